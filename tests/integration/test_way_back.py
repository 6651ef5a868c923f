"""What could not come back is refused at the capture, by name and with its way out."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.conftest import allow_capture

DBA = Actor("dba")


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def refused(db, request: CaptureRequest, match: str) -> None:
    """Fail where plan and capture do not both refuse."""
    for ask in (plan_capture(db, request), capture(db, request, DBA)):
        with pytest.raises(ZanithError, match=match) as caught:
            await ask
        assert caught.value.hint


async def test_an_owner_who_may_not_create_what_comes_back(database, db, create_role):
    owner = create_role("owner")
    allow_capture(database.url, owner)
    database.psql(f"""
        CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO {owner};
        CREATE FUNCTION s.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE s.t (id int PRIMARY KEY, c text, d text UNIQUE, e text);
        CREATE INDEX t_c ON s.t (s.f(c)); CREATE VIEW s.v AS SELECT s.f(e) AS e FROM s.t;
        ALTER TABLE s.t OWNER TO {owner}; ALTER VIEW s.v OWNER TO {owner}""")  # fmt: skip
    made = "may not create the index t_c in the schema s"
    for strategy in ("archive_column", "soft_drop_column"):
        await refused(db, CaptureRequest(strategy, "s.t", "c"), made)
    for strategy, column in (("archive_column", "e"), ("archive_table", None)):
        request = CaptureRequest(strategy, "s.t", column, on_dependents="cascade")
        await refused(db, request, "may not create the view v in the schema s")
    # its owner would make the index of d itself; a superuser may
    with pytest.raises(CommandFailed, match="you may not create the index t_d_key in the schema s"):
        database.psql("SELECT zanith.archive_column('s.t', 'd')", user=owner)
    artifact = await capture(db, CaptureRequest("archive_column", "s.t", "d"), DBA)
    await restore(db, artifact.id, Choices(), DBA)
    database.psql(f"GRANT CREATE ON SCHEMA s TO {owner}")
    made = database.psql("SELECT zanith.archive_column('s.t', 'c')", user=owner)
    assert not (await plan_restore(db, made)).blocked


@pytest.mark.each_version
def test_a_member_who_may_not_become_the_owner(database, create_role):
    if database.server.version < 16:
        pytest.skip("every member may become a role before 16")
    owner, member = create_role("owner"), create_role("member")
    allow_capture(database.url, member)
    database.psql(f"""
        GRANT CREATE ON SCHEMA public TO {owner}, {member};
        CREATE TABLE t (id int PRIMARY KEY, c text); ALTER TABLE t OWNER TO {owner};
        GRANT {owner} TO {member} WITH INHERIT TRUE, SET FALSE""")  # fmt: skip
    calls = ("archive_column('t', 'c')", "soft_drop_column('t', 'c')", "soft_drop_table('t')")
    for call in calls:
        with pytest.raises(CommandFailed, match=f"run as {owner}, and {member} may not become"):
            database.psql(f"SELECT zanith.{call}", user=member)
    database.psql(f"GRANT {owner} TO {member} WITH SET TRUE")
    database.psql(f"SELECT zanith.{calls[0]}", user=member)


async def test_numbers_of_columns_are_kept_for_all_that_is_parked(database, db):
    """A dropped column keeps its number: what comes back needs a new one, and so do others."""
    filler = ", ".join(f"x{n} bool" for n in range(1592))
    database.psql(f"CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, {filler});"
                  "ALTER TABLE t ADD g int GENERATED ALWAYS AS (b + 1) STORED")  # fmt: skip
    made = [
        await capture(db, CaptureRequest("archive_column", "t", "a"), DBA),
        await capture(db, CaptureRequest("archive_column", "t", "b", on_dependents="cascade"), DBA),
    ]
    await refused(db, CaptureRequest("archive_column", "t", "c"), "more than 1600 columns")
    await capture(db, CaptureRequest("soft_drop_column", "t", "c"), DBA)
    for artifact in made:
        await restore(db, artifact.id, Choices(), DBA)
    assert (
        database.psql("SELECT max(attnum) FROM pg_attribute WHERE attrelid = 't'::regclass")
        == "1600"
    )
