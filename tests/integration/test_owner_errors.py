"""What an owner's code raises chooses no exit code, no HTTP status, and not that it is retried."""

from __future__ import annotations

import time

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.acceptance.command import zanith
from tests.conftest import allow_capture
from tests.studios import run_studio, wait_for_job

pytestmark = pytest.mark.newest

DBA = Actor("dba", None, "staff")
STAFF = "the-token-of-staff"
# What an owner may raise: as if something were missing, misused, forbidden, locked, cancelled, full
STATES = ("P0001", "P0002", "42P01", "22023", "42501", "28000", "55P03", "40P01", "57014", "53100")
MADE = """
CREATE TABLE public.says (state text);
INSERT INTO public.says VALUES ('');
CREATE FUNCTION public.tell(code text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE state text := (SELECT s.state FROM public.says s);
    BEGIN
        IF state = 'missing' THEN PERFORM 1 FROM public.nowhere; END IF;
        IF state <> '' THEN
            RAISE EXCEPTION 'the owner says no' USING ERRCODE = state, HINT = 'ask the owner';
        END IF;
        RETURN code;
    END $$;
CREATE FUNCTION public.tell_of_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
    DECLARE state text := (SELECT s.state FROM public.says s);
    BEGIN
        IF state = 'missing' THEN PERFORM 1 FROM public.nowhere; END IF;
        IF state <> '' THEN RAISE EXCEPTION 'the owner says no' USING ERRCODE = state; END IF;
    END $$;
CREATE TABLE public.t (id int PRIMARY KEY, code text NOT NULL);
INSERT INTO public.t SELECT g, 'c' || g FROM generate_series(1, 20) g;
CREATE INDEX telling ON public.t (public.tell(code));
"""


@pytest.fixture
async def db(database):
    database.psql(MADE)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def test_a_step_that_runs_an_owners_code_is_refused_whatever_that_raises(database, db):
    artifact = await capture(db, CaptureRequest("archive_column", "public.t", "code"), DBA)
    for state in (*STATES, "missing"):
        database.psql(f"UPDATE public.says SET state = '{state}'")
        begun = time.monotonic()
        with pytest.raises(Refused) as refused:
            await restore(db, artifact.id, Choices(), DBA)
        assert type(refused.value) is Refused, state
        assert "in the step: " in (refused.value.detail or ""), state
        assert time.monotonic() - begun < 2, state  # a lock that is none is not tried again
        if state != "missing":
            assert refused.value.message == "the owner says no"
            assert refused.value.hint == "ask the owner"
            assert refused.value.sqlstate == state
    command = ("recover", "restore-column", "t.code", "--yes")
    running = run_studio(database.tcp_url, auth_token=f"ana:{STAFF}")
    with running as studio, studio.client(STAFF) as client:
        for state in ("P0002", "22023", "53100"):
            database.psql(f"UPDATE public.says SET state = '{state}'")
            assert zanith(*command, url=database.url).code == 4, state
            asked = {"rehearse": True, "blocking_ok": True}
            said = client.post(f"/api/artifacts/{artifact.id}/restore", json=asked)
            ended = wait_for_job(client, said.json()["job"]["id"])
            assert (ended["state"], ended["error"]["code"]) == ("refused", "refused"), state
    database.psql("UPDATE public.says SET state = ''")
    await restore(db, artifact.id, Choices(), DBA)


async def test_a_check_that_says_that_it_may_not_be_asked_is_not_left_to_the_proof(database, db):
    database.psql(
        "CREATE FUNCTION public.ok(c text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " IF current_setting('work_mem') = '4MB' THEN"
        " RAISE EXCEPTION 'no' USING ERRCODE = 'insufficient_privilege'; END IF;"
        " RETURN true; END $$; SET work_mem = '5MB';"
        "ALTER TABLE public.t ADD CHECK (public.ok(code))"
    )
    artifact = await capture(db, CaptureRequest("archive_column", "public.t", "code"), DBA)
    assert (await plan_restore(db, artifact.id)).blocked


async def test_an_event_trigger_chooses_no_exit_code_of_a_capture(database, db):
    database.psql(
        "CREATE EVENT TRIGGER telling ON ddl_command_end EXECUTE FUNCTION public.tell_of_ddl()"
    )
    for state in ("P0002", "22023", "42501", "missing"):
        database.psql(f"UPDATE public.says SET state = '{state}'")
        for strategy, column in (("soft_drop_column", "code"), ("archive_table", None)):
            with pytest.raises(Refused, match="the event trigger telling failed") as refused:
                await capture(db, CaptureRequest(strategy, "public.t", column), DBA)
            assert type(refused.value) is Refused, (state, strategy)


def test_a_role_that_may_only_capture_is_told_that_psql_restores(database, create_role, tmp_path):
    role = create_role("migrator")
    allow_capture(database.url, role)
    database.psql(
        MADE + f"ALTER TABLE public.t OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role};"
    )
    url = database.url_of(role)
    with_psql = f"SET ROLE {role}; SELECT zanith.archive_column('public.t', 'code')"
    artifact = database.psql(with_psql).split()[-1]
    assert zanith("recover", "list", url=url).code == 0
    assert zanith("recover", "seal", artifact, url=database.url).code == 0
    # the checksum is in the audit log too, which the role cannot read
    assert zanith("recover", "list", url=url).code == 0
    for command in (
        ("inspect", artifact),
        ("verify", artifact),
        ("export", artifact, "-o", str(tmp_path / "t.csv")),
        ("seal", artifact),
        ("restore-column", "t.code", "--yes"),
        ("purge", artifact, "--yes"),
        ("hold", artifact),
    ):
        said = zanith("recover", *command, "--json", url=url)
        assert said.code == 6, (command, said)
        assert said.error["message"].startswith("this role may capture with Zanith"), command
        assert "SELECT recovery_sql FROM" in said.error["hint"], command
        assert "permission denied for table _zanith_" in said.error["detail"], command
    script = "SELECT recovery_sql FROM zanith._zanith_migration_artifacts"
    assert "ADD COLUMN code" in database.psql(f"SET ROLE {role}; {script}")
