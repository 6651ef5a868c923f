"""Every answer of the studio to a viewer who may see no row, where every value is a secret."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal
from tests.integration.routes_table import TABLE, every_route
from tests.studios import Running, run_studio, wait_until

pytestmark = pytest.mark.newest

STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
ANA = Actor("ana")
SECRET = "s3cret"
FIVE = "SELECT 's3cret-' || n, 's3cret-' || n, n FROM generate_series(1, 5) n"
# Each restore has rows to show examples of: {name: (what t has beside id, c and d, what happened
# since the capture of c)}.
CASES = {
    "unique_key": (
        "UNIQUE (c)",
        """INSERT INTO t SELECT 's3cret-new-' || n FROM generate_series(1, 3) n;
        DELETE FROM t WHERE id = 's3cret-1'""",
    ),
    "checked": (
        "CHECK (d > 0 OR c IS NULL)",
        "UPDATE t SET d = 0 WHERE id = 's3cret-2'; INSERT INTO t VALUES ('s3cret-33', 0)",
    ),
    "foreign_key": ("FOREIGN KEY (c) REFERENCES u", "DELETE FROM u WHERE k = 's3cret-2'"),
    "excluded": (
        "EXCLUDE USING btree (c WITH =)",
        "DELETE FROM t WHERE id = 's3cret-4'",
    ),
    "generated": ("g text GENERATED ALWAYS AS (c || 'x') STORED", "UPDATE t SET d = 9"),
    "damaged": (
        "CHECK (true)",
        """SET session_replication_role = replica; ALTER TABLE {archive} DISABLE TRIGGER ALL;
        UPDATE {archive} SET c = 's3cret-other' WHERE c = 's3cret-2'""",
    ),
}


@pytest.fixture
async def artifacts(database) -> dict[str, str]:
    """A sealed artifact of each case, and a table without a seal."""
    made = {}
    db = await Database.open(database.url)
    try:
        for name, (part, since) in CASES.items():
            database.psql(f"""CREATE SCHEMA {name}; SET search_path = {name};
                CREATE TABLE u (k text PRIMARY KEY);
                INSERT INTO u SELECT 's3cret-' || n FROM generate_series(1, 5) n;
                CREATE TABLE t (id text PRIMARY KEY, c text, d int, {part});
                INSERT INTO t {FIVE}""")
            capture = f"SELECT zanith.archive_column('{name}.t', 'c', on_dependents => 'cascade')"
            made[name] = database.psql(capture).splitlines()[-1]
            await seal(db, made[name], ANA)
            archive = database.psql(f"""SELECT physical_schema || '.' || physical_table
                FROM zanith._zanith_migration_artifacts WHERE id = '{made[name]}'""")
            database.psql(f"SET search_path = {name}; {since.replace('{archive}', archive)}")
    finally:
        await db.close()
    database.psql(
        f"CREATE TABLE whole (id text PRIMARY KEY, c text, d int); INSERT INTO whole {FIVE}"
    )
    made["whole"] = database.psql("SELECT zanith.archive_table('whole')")
    return made


async def test_no_answer_has_a_value(database, artifacts):
    found, asked = [], 0
    with run_studio(database.tcp_url, **TOKENS, viewer_export=False) as studio:
        jobs = work(studio, artifacts)
        assert {"done", "refused", "queued"} <= set(jobs.values())
        with studio.client(VIEWER) as viewer:
            for method, address, sent in requests_of_a_viewer(studio, artifacts, jobs):
                answer = viewer.request(method, address, **sent)
                asked += 1
                if SECRET in f"{answer.headers}{answer.text}":
                    at = answer.text.find(SECRET)
                    found.append(f"{method} {address}: {answer.text[max(0, at - 90) : at + 40]!r}")
    assert not found, "\n".join(found)
    assert asked > 200


def work(studio: Running, artifacts: dict[str, str]) -> dict[str, str]:
    """Let staff verify, export, erase and restore each; return the states of jobs by their ids."""
    with studio.client(STAFF) as staff:
        for artifact in artifacts.values():
            for path, sent in (
                ("verify", {}),
                ("exports", {"format": "json"}),
                ("erase", {"match": {"id": "s3cret-5"}, "row_count": 1, "confirm": "c"}),
                ("restore", {"confirm": "c", "fill": "chosen"}),
            ):
                staff.post(f"/api/artifacts/{artifact}/{path}", json=sent)
                wait_until(lambda: studio.app.state.studio.runner.running == 0)
        listed = staff.get("/api/jobs?limit=200").json()["jobs"]
    return {job["id"]: job["state"] for job in listed}


def requests_of_a_viewer(studio: Running, artifacts: dict[str, str], jobs: dict[str, str]):
    """Yield (method, address, body) of all that a viewer may ask, about each artifact and job."""
    ended = [job for job, state in jobs.items() if state not in {"queued", "running"}]
    for path, methods in every_route(studio.app):
        # the events of a job that waits have no end
        ids = {
            "{artifact_id}": list(artifacts.values()),
            "{job_id}": ended if path.endswith("/events") else list(jobs),
            "{export_id}": ended if path.endswith("/events") else list(jobs),
        }
        spot = next((name for name in ids if name in path), "")
        for method in sorted(methods & {"GET", "POST"}):
            valid = TABLE[f"{method} {path}"]
            if valid.viewer and not valid.endless:
                for each in ids.get(spot, [""]):
                    sent = {"json": {**valid.json, "dry_run": True}} if valid.json else {}
                    yield method, path.replace(spot, each) if spot else path, sent
    for artifact in artifacts.values():
        yield "POST", f"/api/artifacts/{artifact}/restore", {"json": {"dry_run": True}}
        match = {"dry_run": True, "match": {"id": "guessed"}}
        yield "POST", f"/api/artifacts/{artifact}/erase", {"json": match}


async def test_what_is_kept_has_no_value(database, artifacts):
    """What a restore was refused for stays in its job and in the audit log."""
    db = await Database.open(database.url)
    refused = 0
    try:
        for artifact in artifacts.values():
            with suppress(ZanithError):
                await restore(db, artifact, Choices(), ANA)
                continue
            refused += 1
    finally:
        await db.close()
    assert refused
    kept = database.psql("""
        SELECT concat(j.result, j.error, j.progress, j.params) FROM zanith._zanith_jobs j
        UNION ALL SELECT l.detail::text FROM zanith._zanith_audit_log l""")
    assert kept
    assert SECRET not in kept, kept
