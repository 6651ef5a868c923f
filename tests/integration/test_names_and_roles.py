"""Who did something: the name that a client gave never stands without the database role."""

from __future__ import annotations

import asyncpg
import pytest

from tests.acceptance.command import zanith
from tests.studios import run_studio, wait_until

CLAIMED = "ana"


@pytest.fixture
def impostor(database, create_role) -> str:
    """A role that captured as somebody else, and captured nothing else."""
    role = create_role("migrator")
    database.psql(f"""
        CREATE TABLE public.badges (id integer PRIMARY KEY, code text);
        INSERT INTO public.badges SELECT n, 'b' || n FROM generate_series(1, 5) AS n;
        ALTER TABLE public.badges OWNER TO {role};
        GRANT USAGE, CREATE ON SCHEMA public TO {role};""")
    assert zanith("init", "--grant", role, url=database.tcp_url).code == 0
    database.psql(
        f"SET ROLE {role}; SET zanith.actor = '{CLAIMED}';"
        "SELECT zanith.archive_column('public.badges', 'code')"
    )
    return role


def test_a_capture_names_the_role_beside_the_claimed_name(database, impostor):
    row = database.psql(
        "SELECT created_by, created_by_role FROM zanith._zanith_migration_artifacts"
    )
    assert row == f"{CLAIMED}|{impostor}"
    logged = database.psql(
        "SELECT actor, db_role FROM zanith._zanith_audit_log WHERE action = 'capture'"
    )
    assert logged == f"{CLAIMED}|{impostor}"


@pytest.mark.newest
def test_every_output_shows_both(database, impostor):
    both = f"{CLAIMED} as {impostor}"
    inspected = zanith("recover", "inspect", "badges.code", url=database.tcp_url)
    assert inspected.out.count(both) == 2, inspected.out  # where it was dropped, and the activity
    found = zanith("recover", "inspect", "badges.code", "--json", url=database.tcp_url).json
    assert (found["created_by"], found["created_by_role"]) == (CLAIMED, impostor)
    assert [(e["actor"], e["actor_role"]) for e in found["activity"]] == [(CLAIMED, impostor)]

    shown = f'{CLAIMED} <span class="role">as {impostor}</span>'
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        wait_until(lambda: client.get("/api/jobs").json()["jobs"])  # it seals what it finds
        here = f"/studio/artifacts/{found['id']}"
        assert client.get(here).text.count(shown) == 3  # the head, the life line, the activity
        assert shown in client.get("/studio").text
        assert shown in client.get("/studio/activity").text
        searched = client.get("/api/artifacts", params={"search": impostor}).json()
        assert [item["created_by_role"] for item in searched["artifacts"]] == [impostor]
        cleanup = client.get("/studio/cleanup", params={"older_than": "0s", "before_expiry": "yes"})
        assert shown in cleanup.text

    with run_studio(database.tcp_url) as studio, studio.client() as client:
        name = {"confirm": "code"}
        assert client.post(f"/api/artifacts/{found['id']}/hold", json={"reason": "x"}).is_success
        held = client.get(f"/api/artifacts/{found['id']}").json()
        role = database.psql("SELECT current_user")
        assert (held["held_by_role"], held["held"]) == (role, True)
        refused = client.request("DELETE", f"/api/artifacts/{found['id']}", json=name)
        who = held["held_by"] if held["held_by"] == role else f"{held['held_by']} as {role}"
        assert f"is held by {who}" in refused.json()["error"]["message"]
        assert client.post(f"/api/artifacts/{found['id']}/release").is_success
        stone = client.request("DELETE", f"/api/artifacts/{found['id']}", json=name).json()
        assert stone["row"]["created_by_role"] == impostor
        assert stone["purged_by_role"] == role
        assert shown in client.get(f"/studio/artifacts/{found['id']}").text  # the tombstone


async def test_a_restore_keeps_its_role(database, connection):
    await connection.execute("CREATE TABLE public.t (id integer PRIMARY KEY, c text)")
    found = await connection.fetchval("SELECT zanith.soft_drop_column('public.t', 'c')")
    restored = zanith("recover", "restore-column", "t.c", "--yes", url=database.tcp_url)
    assert restored.code == 0, restored.err
    row = await connection.fetchrow(
        "SELECT restored_by_role, current_user::text AS role"
        " FROM zanith._zanith_migration_artifacts WHERE id = $1",
        found,
    )
    assert row["restored_by_role"] == row["role"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE zanith._zanith_audit_log SET actor = 'nobody'",
        "DELETE FROM zanith._zanith_audit_log",
        "TRUNCATE zanith._zanith_audit_log",
    ],
)
async def test_the_log_refuses_changes_in_every_replication_role(connection, statement):
    """Triggers of the usual kind do not fire there; the log's does."""
    await connection.execute(
        "INSERT INTO zanith._zanith_audit_log (actor, action, outcome)"
        " VALUES ('a', 'login', 'done')"
    )
    for role in ("origin", "local", "replica"):
        await connection.execute(f"SET session_replication_role = {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)
    assert await connection.fetchval("SELECT count(*) FROM zanith._zanith_audit_log") == 1
