"""A parked object, or its table, was given to another role: a choice of the restore, no damage."""

from __future__ import annotations

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.acceptance.command import done, zanith
from tests.clusters import CommandFailed
from tests.conftest import allow_capture
from tests.oracle.judges import restore_by_psql
from tests.studios import run_studio

DBA = Actor("dba")
COLUMNS = ("soft_drop_column", "archive_column")
TABLES = ("soft_drop_table", "archive_table")
STRATEGIES = (*COLUMNS, *TABLES)
MADE = """
SET ROLE {old};
CREATE TABLE {t} (id int PRIMARY KEY, c serial, d text CHECK (d <> ''), k int REFERENCES {t});
CREATE VIEW v_{t} AS SELECT c FROM {t}; GRANT SELECT ON v_{t} TO {other};
GRANT SELECT ON {t} TO {other}; GRANT UPDATE (c) ON {t} TO PUBLIC;
CREATE INDEX i_{t} ON {t} (c) WHERE f(c) > 0;
INSERT INTO {t} (id, d) SELECT n, 'd' || n FROM generate_series(1, 9) n;
"""
FUNCTION = "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'"


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def park(database, db, create_role) -> tuple[dict, str, str, str]:
    old, new, other = f"{database.name}_old", create_role("new"), create_role("other")
    database.psql(f"CREATE ROLE {old}; GRANT ALL ON SCHEMA public TO {old}, {new}; {FUNCTION}")
    made = {}
    for strategy in STRATEGIES:
        database.psql(MADE.format(t=strategy, old=old, other=other))
        column = "c" if strategy in COLUMNS else None
        request = CaptureRequest(strategy, strategy, column, on_dependents="cascade")
        made[strategy] = (await capture(db, request, DBA)).id
    return made, old, new, other


async def bring_back(way, database, db, artifact, directory) -> None:
    """Restore by psql alone or by the engine, which must report no difference."""
    if way == "psql":
        restore_by_psql(database, artifact, directory)
    else:
        report = await restore(db, artifact, Choices(), DBA)
        assert not report.fidelity["different"]


@pytest.mark.parametrize("role", ["stays", "goes"])
async def test_all_comes_back_to_the_owner_of_today(database, db, create_role, role):
    made, old, new, other = await park(database, db, create_role)
    gone = "; DROP ROLE " + old
    revoked = f"REASSIGN OWNED BY {old} TO {new}; DROP OWNED BY {old}"
    database.psql(revoked + gone if role == "goes" else f"REASSIGN OWNED BY {old} TO {new}")
    try:
        found = (await doctor(db)).findings
        assert {(one.kind, one.artifact_id) for one in found} == {
            ("blocked", made[strategy]) for strategy in TABLES
        }
        for strategy, artifact in made.items():
            assert (await get_artifact(db, artifact)).health == "ok"
            plan = await plan_restore(db, artifact)
            wanted = ["owner_changed"] if strategy in TABLES else []
            codes = [conflict.code for conflict in plan.conflicts]
            # a view that is gone keeps its owner, and stays away where that role is gone too
            assert [code for code in codes if code != "role_missing"] == wanted
            assert ("role_missing" in codes) == (role == "goes")
            left = tuple(label for found in plan.conflicts for label in found.without)
            assert all(drift.count is not None for drift in plan.drift), strategy
            if wanted:
                with pytest.raises(Refused, match="was given to another role") as caught:
                    await restore(db, artifact, Choices(without=left), DBA)
                assert caught.value.hint == "resolve with --current-owner"
            plan = await plan_restore(db, artifact, Choices(current_owner=True, without=left))
            assert {step.role for step in plan.steps} <= {None, new, old}
            chosen = Choices(current_owner=bool(wanted), without=left)
            report = await restore(db, artifact, chosen, DBA)
            missing = [entry["what"] for entry in report.fidelity["missing"]]
            assert missing == ([f"view v_{strategy}"] if role == "goes" else [])
            assert [loss.code for loss in report.losses if loss.code == "owner"] == (
                ["owner"] if wanted else []
            )
            owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN "
            names = f"('{strategy}', '{strategy}_c_seq', 'i_{strategy}')"
            assert database.psql(owners + names) == new
            view = f"SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'v_{strategy}'"
            assert database.psql(view) == (old if role == "stays" else "")
            counted = f"SET ROLE {other}; SELECT count(*) FROM {strategy} WHERE c = id"
            assert database.psql(counted) == "9"
        assert [one.kind for one in (await doctor(db)).findings] == []
    finally:
        if role == "stays":
            database.psql(f"DROP OWNED BY {old} CASCADE; DROP ROLE {old}")


@pytest.mark.parametrize("strategy", COLUMNS)
async def test_grants_of_what_others_own_stay_as_they_are(database, db, create_role, strategy):
    old, new, other = create_role("old"), create_role("new"), create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {old}, {new}, {other}; SET ROLE {old};
        CREATE TABLE t (id int PRIMARY KEY, c int, g int GENERATED ALWAYS AS (c + 1) STORED);
        INSERT INTO t (id, c) VALUES (1, 1);
        GRANT SELECT ON t TO {other}; GRANT SELECT (g) ON t TO {other}; SET ROLE {other};
        CREATE VIEW gv AS SELECT c FROM t; GRANT SELECT ON gv TO {old}""")  # fmt: skip
    made = await capture(db, CaptureRequest(strategy, "t", "c", on_dependents="cascade"), DBA)
    database.psql(f"ALTER TABLE t OWNER TO {new}")
    report = await restore(db, made.id, Choices(), DBA)
    assert not report.fidelity["missing"]
    assert database.psql("SELECT c, g FROM t") == "1|2"
    may = "SELECT string_agg(has_table_privilege(r, 'gv', 'SELECT')::text, ' ' ORDER BY ord) FROM"
    roles = f"unnest(ARRAY['{old}', '{new}', '{other}']) WITH ORDINALITY u(r, ord)"
    assert database.psql(f"{may} {roles}") == "true false true"
    grantor = "SELECT attacl FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'g'"
    assert database.psql(grantor) == f"{{{other}=r/{new}}}"


async def test_a_load_without_owners_is_restored_for_whoever_loaded(
    database, bare_database, db, create_role
):
    made, old, *_ = await park(database, db, create_role)
    bare_database.psql(database.pg_dump("--no-owner"))
    loaded = await Database.open(bare_database.url)
    try:
        for strategy, artifact in made.items():
            plan = await plan_restore(loaded, artifact)
            wanted = ["owner_changed"] if strategy in TABLES else []
            assert [conflict.code for conflict in plan.conflicts] == wanted
            await restore(loaded, artifact, Choices(current_owner=bool(wanted)), DBA)
            assert bare_database.psql(f"SELECT count(*) FROM {strategy} WHERE c = id") == "9"
    finally:
        await loaded.close()
        bare_database.psql(f"DROP OWNED BY {old} CASCADE")
        database.psql(f"DROP OWNED BY {old} CASCADE; DROP ROLE {old}")


@pytest.mark.parametrize("strategy", TABLES)
def test_the_script_says_that_the_table_was_given_away(database, create_role, tmp_path, strategy):
    old, new, group = create_role("old"), create_role("new"), create_role("group")
    allow_capture(database.url, old)
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {old}, {new}, {group}; SET ROLE {old};
        CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)""")
    made = database.psql(f"SELECT zanith.{strategy}('t')", user=old).splitlines()[-1]
    parked = "SELECT oid::regclass FROM pg_class WHERE relname ~ '^_zanith_dropped_t_[0-9a-z]+$'"
    given = f"ALTER TABLE {database.psql(parked)} OWNER TO"
    database.psql(f"{given} {new}")
    with pytest.raises(CommandFailed, match=f"now belongs to {new}") as caught:
        restore_by_psql(database, made, tmp_path)
    assert "zanith recover restore-table public.t --current-owner" in str(caught.value)
    # a member of its owner may do what the owner may
    database.psql(f"{given} {group}; GRANT {group} TO {old}")
    restore_by_psql(database, made, tmp_path)
    assert database.psql("SELECT count(*) FROM t") == "1"


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("strategy", TABLES)
async def test_children_of_another_owner_stay_theirs(
    database, db, create_role, tmp_path, strategy, way
):
    other = create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {other};
        CREATE TABLE t (id int NOT NULL, c text CHECK (c <> ''));
        CREATE TABLE p (own int) INHERITS (t);
        CREATE TABLE q () INHERITS (p);
        INSERT INTO t VALUES (1, 't'); INSERT INTO p VALUES (2, 'p', 2);
        ALTER TABLE q OWNER TO {other}""")
    if strategy == "archive_table":
        database.psql("ALTER TABLE p NO INHERIT t")  # archive_table takes no children
    made = await capture(db, CaptureRequest(strategy, "t", on_dependents="keep"), DBA)
    await bring_back(way, database, db, made.id, tmp_path)
    rows = {"soft_drop_table": "t, p", "archive_table": "t"}[strategy]
    assert database.psql("SELECT string_agg(c, ', ' ORDER BY id) FROM t") == rows
    assert database.psql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'q'") == (
        other
    )


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("strategy", TABLES)
async def test_a_child_of_another_owners_table_inherits_again(
    database, db, create_role, tmp_path, strategy, way
):
    owner = create_role("owner")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner}; {FUNCTION};
        CREATE TABLE t (id int NOT NULL CHECK (f(id) > 0),
            g int GENERATED ALWAYS AS (id + 1) STORED);
        CREATE TABLE p (own int) INHERITS (t); INSERT INTO p VALUES (2, DEFAULT, 3);
        ALTER TABLE t ADD CHECK (id < 9) NOT VALID; ALTER TABLE p OWNER TO {owner}""")
    before = database.schema()
    made = await capture(db, CaptureRequest(strategy, "p"), DBA)
    assert database.psql("SELECT count(*) FROM t") == "0"
    await bring_back(way, database, db, made.id, tmp_path)
    assert database.schema() == before
    assert database.psql("SELECT id, g FROM t") == "2|3"


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("side", ["referencing", "referenced"])
async def test_a_child_of_another_owner_keeps_no_foreign_key_from_being_validated(
    database, db, create_role, tmp_path, side, way
):
    """PostgreSQL's query for a foreign key leaves inheritance children out."""
    owner, other = create_role("owner"), create_role("other")
    parent = "t" if side == "referencing" else "r"
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner}, {other}; SET ROLE {owner};
        CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1);
        CREATE TABLE t (id int PRIMARY KEY, c int CONSTRAINT key REFERENCES r);
        INSERT INTO t VALUES (1, 1);
        CREATE TABLE child () INHERITS ({parent}); RESET ROLE; ALTER TABLE child OWNER TO {other};
        SET ROLE {other}; {FUNCTION}; ALTER TABLE child ADD CHECK (f(id) > 0)""")
    before = database.schema()
    captured = "r" if side == "referencing" else "t"
    request = CaptureRequest("archive_table", captured, on_dependents="cascade")
    made = await capture(db, request, DBA)
    await bring_back(way, database, db, made.id, tmp_path)
    valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'key'"
    assert database.psql(valid) == "t"
    assert database.schema() == before


@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_a_partition_of_another_owner_is_looked_at_for_a_foreign_key(
    database, db, create_role, tmp_path, way
):
    owner, other = create_role("owner"), create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner}, {other}; SET ROLE {owner};
        CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE child PARTITION OF r DEFAULT; INSERT INTO r VALUES (1);
        CREATE TABLE t (id int PRIMARY KEY, c int CONSTRAINT key REFERENCES r);
        INSERT INTO t VALUES (1, 1);
        RESET ROLE; ALTER TABLE child OWNER TO {other};
        SET ROLE {other}; {FUNCTION}; ALTER TABLE child ADD CHECK (f(id) > 0)""")
    made = await capture(db, CaptureRequest("archive_table", "t"), DBA)
    if way == "psql":
        restore_by_psql(database, made.id, tmp_path)
    else:
        await restore(db, made.id, Choices(), DBA)
    assert (
        database.psql("SELECT bool_or(convalidated) FROM pg_constraint WHERE conname = 'key'")
        == "f"
    )


@pytest.mark.parametrize("strategy", TABLES)
async def test_a_child_whose_parent_calls_another_owners_code_is_not_captured(
    database, db, create_role, strategy
):
    owner, other = create_role("owner"), create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner}, {other}; SET ROLE {other}; {FUNCTION};
        CREATE TABLE t (id int NOT NULL CHECK (f(id) > 0)); CREATE TABLE p () INHERITS (t);
        RESET ROLE; ALTER TABLE p OWNER TO {owner}""")
    with pytest.raises(Refused, match=r"belongs to another role and calls code") as caught:
        await capture(db, CaptureRequest(strategy, "p"), DBA)
    assert caught.value.hint


def test_whoever_may_not_read_the_parent_is_told(database, create_role):
    owner = create_role("owner")
    allow_capture(database.url, owner)
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner};
        CREATE TABLE t (id int); CREATE TABLE p () INHERITS (t); ALTER TABLE p OWNER TO {owner}""")
    with pytest.raises(CommandFailed, match=rf"GRANT SELECT ON public.t TO {owner}"):
        database.psql("SELECT zanith.archive_table('p')", user=owner)


async def test_a_child_that_was_given_away_since_stops_the_script(
    database, db, create_role, tmp_path
):
    other = create_role("other")
    database.psql("CREATE TABLE t (id int, c text); CREATE TABLE p () INHERITS (t)")
    made = await capture(db, CaptureRequest("soft_drop_table", "t", on_dependents="keep"), DBA)
    database.psql(f"ALTER TABLE p OWNER TO {other}")
    with pytest.raises(CommandFailed, match=f"p now belongs to {other}"):
        restore_by_psql(database, made.id, tmp_path)


@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_a_key_to_a_table_with_rules_is_validated_again(
    database, db, create_role, tmp_path, way
):
    """A query that proves a key runs no rule for INSERT, UPDATE or DELETE."""
    other = create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {other};
        CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'x');
        CREATE RULE r AS ON UPDATE TO t WHERE OLD.c IN ('x', 'y') DO ALSO NOTHING;
        CREATE TABLE q (x int PRIMARY KEY, y int REFERENCES t); INSERT INTO q VALUES (2, 1);
        ALTER TABLE t OWNER TO {other}""")
    made = await capture(db, CaptureRequest("archive_table", "t", on_dependents="cascade"), DBA)
    await bring_back(way, database, db, made.id, tmp_path)
    keys = "SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'q'::regclass"
    assert database.psql(f"{keys} AND contype = 'f'") == "q_y_fkey|t"


@pytest.mark.parametrize("way", ["engine", "psql", "capture"])
async def test_no_cast_of_the_parents_owner_runs_when_a_partition_is_attached(
    database, db, create_role, tmp_path, way
):
    """ATTACH PARTITION proves the parent's foreign keys, and casts their columns."""
    mallory, alice = create_role("mallory"), create_role("alice")
    key = "ALTER TABLE p ADD FOREIGN KEY (k) REFERENCES r"
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {mallory}, {alice}; SET ROLE {mallory};
        CREATE TABLE log (who text); GRANT ALL ON log TO PUBLIC;
        CREATE TABLE r (x int PRIMARY KEY); INSERT INTO r VALUES (1);
        CREATE TYPE kind AS ENUM ('1');
        CREATE FUNCTION c(kind) RETURNS int LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO public.log VALUES (current_user); RETURN 1; END$$;
        CREATE CAST (kind AS int) WITH FUNCTION c(kind) AS IMPLICIT; CREATE DOMAIN d AS kind;
        CREATE TABLE p (id int, k d) PARTITION BY LIST (id);
        CREATE TABLE t PARTITION OF p DEFAULT;
        INSERT INTO p VALUES (1, '1'); RESET ROLE; ALTER TABLE t OWNER TO {alice}""")  # fmt: skip
    wanted = CaptureRequest("archive_table", "t", on_dependents="cascade")
    if way == "capture":
        database.psql(f"{key}; DELETE FROM log")
        with pytest.raises(Refused, match="would call code"):
            await capture(db, wanted, DBA)
    else:
        made = await capture(db, wanted, DBA)
        database.psql(f"SET ROLE {mallory}; {key}")
        with pytest.raises((Refused, CommandFailed), match=r"would call code|would run as"):
            await bring_back(way, database, db, made.id, tmp_path)
    assert database.psql("SELECT who FROM log") == ""


@pytest.mark.parametrize("strategy", COLUMNS)
@pytest.mark.parametrize("form", ["generated", "cascaded", "domain", "check", "check beneath"])
async def test_what_a_tree_of_several_owners_would_evaluate_is_not_captured(
    database, db, create_role, strategy, form
):
    other = create_role("other")
    kind = "d" if form == "domain" else "text"
    check = "CHECK (c <> '')" if form == "check" else ""
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {other}; CREATE DOMAIN d AS text CHECK (VALUE <> '');
        CREATE TABLE t (id int PRIMARY KEY, c {kind} {check}) PARTITION BY RANGE (id);
        CREATE TABLE p PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 'c')""")
    if form == "check beneath":
        database.psql("ALTER TABLE p ADD CHECK (c <> 'z')")
    elif form in {"generated", "cascaded"}:
        database.psql("ALTER TABLE t ADD g text GENERATED ALWAYS AS (lower(c)) STORED")
    database.psql(f"ALTER TABLE p OWNER TO {other}")
    column = "g" if form == "generated" else "c"
    request = CaptureRequest(strategy, "t", column, on_dependents="cascade")
    with pytest.raises(Refused, match=r"belong to other roles|is a generated column") as caught:
        await capture(db, request, DBA)
    assert caught.value.hint
    assert database.psql("SELECT c FROM t") == "c"


def test_every_interface_takes_the_choice(database, create_role):
    new = create_role("new")
    database.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    url = database.url
    drop = ("drop", "table", "t", "--strategy", "soft", "--yes", "--json")
    made = done(*drop, url=url).json
    database.psql(f"ALTER TABLE {made['physical_name']} OWNER TO {new}")
    refused = zanith("recover", "restore-table", "t", "--yes", url=url)
    assert refused.code == 4
    assert "resolve with --current-owner" in refused.err
    with (
        run_studio(database.tcp_url, auth_token="ana:the-token-of-staff") as running,
        running.client("the-token-of-staff") as staff,
    ):
        path = f"/studio/artifacts/{made['id']}/restore"
        assert f'href="{path}?current_owner=yes"' in staff.get(path).text
        page = staff.get(path, params={"current_owner": "yes"}).text
        assert f"it comes back as a table of {new}" in page
        assert '<input type="hidden" name="current_owner" value="yes">' in page
        answer = staff.post(
            f"/api/artifacts/{made['id']}/restore", json={"current_owner": True, "dry_run": True}
        )
        assert answer.json()["plan"]["blocked"] == []
    done("recover", "restore-table", "t", "--current-owner", "--yes", url=url)
    assert (
        database.psql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't'") == new
    )


@pytest.mark.parametrize(
    "captured", ["the key's column", "the key's column, with code", "the referenced table"]
)
async def test_who_owns_a_partitioned_table_may_have_lost_the_right_to_refer(
    database, db, create_role, tmp_path, captured
):
    """Before 18 its key is validated at once: as its owner, or as the operator without code."""
    owner, other = create_role("owner"), create_role("other")
    database.psql(f"""
        GRANT ALL ON SCHEMA public TO {owner}, {other};
        CREATE TABLE r (id int PRIMARY KEY, x int); INSERT INTO r VALUES (1, 1);
        ALTER TABLE r OWNER TO {other};
        CREATE TABLE p (id int PRIMARY KEY, k int CONSTRAINT key REFERENCES r)
            PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, 1);
        ALTER TABLE p OWNER TO {owner}; ALTER TABLE part OWNER TO {owner}""")  # fmt: skip
    if "code" in captured:
        database.psql(f"""
            SET ROLE {owner};
            CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
            CREATE INDEX ON p (public.f(id))""")
    before = database.pg_dump("--schema-only", "--schema=public")
    table, column = ("r", "id") if captured == "the referenced table" else ("p", "k")
    request = CaptureRequest("archive_column", table, column, on_dependents="cascade")
    if table == "r":
        request = CaptureRequest("archive_table", table, on_dependents="cascade")
    made = await capture(db, request, DBA)
    label = "foreign key key" if table == "p" else "foreign key key of public.p"
    plan = await plan_restore(db, made.id)
    if database.server.version >= 18 or captured == "the key's column":
        assert plan.conflicts == ()
    else:
        (conflict,) = plan.conflicts
        assert f"GRANT REFERENCES ON public.r TO {owner}" in (conflict.hint or "")
        assert conflict.without == (label,)
        if table == "p":
            database.psql(f"GRANT REFERENCES ON r TO {owner}")
        else:
            await restore(db, made.id, Choices(without=(label,)), DBA)
            keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = "
            assert database.psql(keys + "'public'::regnamespace") == "0"
            return
    await restore(db, made.id, Choices(), DBA)
    database.psql(f"REVOKE REFERENCES ON r FROM {owner}")
    assert database.pg_dump("--schema-only", "--schema=public") == before
    if captured == "the key's column":
        again = await capture(db, request, DBA)
        restore_by_psql(database, again.id, tmp_path)
        assert database.pg_dump("--schema-only", "--schema=public") == before
