"""Who may see rows, what is recorded of them, and as whom code of a table runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.recovery.core.errors import NotFound, NotPermitted, Refused
from app.recovery.purge.erase import erase
from app.recovery.purge.purge import purge
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import copy_rows, plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.recovery.rows.conditions import parse_conditions
from app.recovery.rows.search import find_rows
from tests.integration.rows.putting import (
    BLIND,
    DBA,
    archived_notes,
    plan_for,
    put_back,
)
from tests.online import execute, fetchval


@pytest.mark.newest
async def test_who_may_see_no_rows_sees_none(db):
    artifact = await archived_notes(db)
    plan = await plan_for(db, artifact, "order_id = 4")
    done = await put_back(db, plan)
    refs = [row.row.ref for row in plan.rows]
    for attempt in (
        find_rows(db, artifact, parse_conditions(["order_id = 4"]), BLIND),
        plan_rows(db, artifact, refs, BLIND),
        copy_rows(db, artifact, refs, BLIND, "csv"),
        find_overwritten(db, done.job_id, BLIND),
        restore_rows(
            *(db, artifact, refs, replace(BLIND, sees_rows=True)),
            confirm=plan.object,
            expected_digest=plan.digest,
        ),
    ):
        with pytest.raises(NotPermitted):
            await attempt


@pytest.mark.newest
async def test_the_log_has_keys_that_are_numbers_and_no_values(db, database):
    artifact = await archived_notes(db)
    done = await put_back(db, await plan_for(db, artifact, "note = 'note 4'"), reason="ticket 9")
    logged = "SELECT detail FROM zanith._zanith_audit_log WHERE action = 'restore_rows'"
    said = await fetchval(db, logged)
    assert (said["keys"], said["rows"], said["reason"]) == ([["4"]], 1, "ticket 9")
    await execute(
        db,
        "CREATE TABLE people (email text PRIMARY KEY, note text);"
        " INSERT INTO people VALUES ('ann@example.com', 'secret')",
    )
    people = await fetchval(db, "SELECT zanith.archive_column('people', 'note')")
    await execute(db, "ALTER TABLE people ADD note text DEFAULT 'overwritten'")
    plan = await plan_for(db, people, "email = 'ann@example.com'")
    job = (await put_back(db, plan)).job_id
    kept = "SELECT string_agg(t::text, '') FROM zanith.{} t"
    for table in ("_zanith_audit_log", "_zanith_jobs"):
        text = await fetchval(db, kept.format(table))
        assert not any(word in text for word in ("ann@", "secret", "overwritten", "note 4"))
    values = await fetchval(db, kept.format("_zanith_overwritten"))
    assert "ann@example.com" in values
    await erase(db, people, {"email": "ann@example.com"}, DBA, rows=1, confirm=plan.object)
    await purge(db, artifact, DBA, confirm=None, confirmed=True)
    assert await fetchval(db, "SELECT count(*) FROM zanith._zanith_overwritten") == 0
    for gone in (job, done.job_id):
        with pytest.raises(NotFound, match="nothing that this job overwrote is kept"):
            await find_overwritten(db, gone, DBA)


@pytest.mark.each_version
async def test_code_of_an_owner_runs_as_the_owner(db, create_role):
    artifact = await archived_notes(db)
    role = create_role("owner")
    await execute(
        db,
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}; ALTER TABLE orders OWNER TO {role};"
        f"SET ROLE {role}; CREATE TABLE heard (by text);"
        "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.heard VALUES (current_user || ' ' || TG_OP); RETURN NEW; END $$;"
        "CREATE TRIGGER hear BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION hear();"
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hear();"
        "CREATE FUNCTION odd(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " IF current_user <> 'postgres' THEN RETURN true; END IF;"
        " RAISE EXCEPTION 'as %', current_user; END $$;"
        "ALTER TABLE orders ADD CHECK (odd(note)) NOT VALID; RESET ROLE",
    )
    done = await put_back(db, await plan_for(db, artifact, "order_id <= 2"))
    assert done.rows == 2
    heard = await fetchval(db, "SELECT array_agg(DISTINCT by) FROM heard")
    assert heard == [f"{role} UPDATE"]


@pytest.mark.each_version
async def test_a_trigger_behind_a_foreign_key_never_runs_as_the_owner_of_the_rows(db, create_role):
    """Before 18 an AFTER trigger of the table that a foreign key updates runs as the updater."""
    artifact = await archived_notes(db)
    role = create_role("other")
    await execute(
        db,
        "UPDATE orders SET note = 'now ' || order_id; ALTER TABLE orders ADD UNIQUE (note);"
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}; GRANT REFERENCES ON orders TO {role};"
        f"SET ROLE {role}; CREATE TABLE heard (by text);"
        "CREATE TABLE refers (note text REFERENCES orders (note) ON UPDATE CASCADE);"
        "INSERT INTO refers VALUES ('now 1');"
        "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.heard VALUES (current_user); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER hear AFTER UPDATE ON refers DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hear(); RESET ROLE",
    )
    plan = await plan_for(db, artifact, "order_id = 1")
    if int(await fetchval(db, "SHOW server_version_num")) < 180000:
        assert [conflict.code for conflict in plan.conflicts] == ["code_of_another"]
        with pytest.raises(Refused):
            await put_back(db, plan)
    else:
        assert (await put_back(db, plan)).rows == 1
        assert await fetchval(db, "SELECT array_agg(by) FROM heard") == [role]
    await execute(db, "DROP TABLE refers")
    assert (await put_back(db, await plan_for(db, artifact, "order_id = 2"))).rows == 1
