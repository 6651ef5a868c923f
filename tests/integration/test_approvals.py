"""Four eyes: what one person asks for, another one approves, once, for a day, and for one plan."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from app.recovery.approvals.deciding import approve, lapse, reject, request, require, withdraw
from app.recovery.approvals.looking import review
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused, WrongUsage
from app.recovery.core.four_eyes import GUARDED, ApprovalNeeded, Change
from app.recovery.db.database import Database
from app.recovery.db.grants import grant_read
from app.recovery.jobs.approvals import get_approval, list_approvals, summarize
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.cleanup import cleanup, plan_cleanup
from app.recovery.purge.erase import erase
from app.recovery.purge.purge import purge
from app.recovery.restore.migration import restore_migration
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal
from tests.sessions import client_of

ANA = Actor("ana", "10.0.0.1", "staff")
BOB = Actor("bob", "10.0.0.2", "staff")
CY = Actor("cy", "10.0.0.3", "staff")
VIC = Actor("vic", None, "viewer")
NOBODY = Actor("token 1", None, "staff", named=False)
SECRET = "ann@example.com"
UNVERIFIED = Choices(unverified=True)


@pytest.fixture
async def db(operator_database):
    opened = await Database.open(
        operator_database.url,
        lock_timeout=timedelta(milliseconds=200),
        lock_retries=1,
        approvals=frozenset(GUARDED),
    )
    async with client_of(opened) as connection:
        await connection.execute(
            "CREATE TABLE people (id int PRIMARY KEY, email text, note text);"
            f"INSERT INTO people SELECT n, CASE WHEN n % 10 = 0 THEN '{SECRET}' ELSE 'x' || n END,"
            " 'n' || n FROM generate_series(1, 100) n;"
            "CREATE TABLE orders (id int PRIMARY KEY, code text);"
            "INSERT INTO orders SELECT n, 'C' || n FROM generate_series(1, 50) n;"
        )
    yield opened
    await opened.close()


@pytest.fixture
async def archived(db):
    made = await capture(
        db, CaptureRequest("archive_column", "orders", "code", migration_id="0007"), ANA
    )
    await seal(db, made.id, ANA)
    return await get_artifact(db, made.id)


@pytest.fixture
async def people(db):
    made = await capture(db, CaptureRequest("archive_table", "people"), ANA)
    await seal(db, made.id, ANA)
    return await get_artifact(db, made.id)


async def ask(db, artifact, who=ANA, kind=Change.PURGE, **more):
    return await request(db, kind, artifact.id, who, reason="retention is over", **more)


async def age(db, approval, by="25 hours"):
    """Let the request be older than it is; the trigger lets nobody do that."""
    async with client_of(db) as connection:
        await connection.execute(
            "ALTER TABLE zanith._zanith_approvals DISABLE TRIGGER approval_is_checked;"
            "UPDATE zanith._zanith_approvals SET requested_at = requested_at - interval '25 hours',"
            f" expires_at = expires_at - interval '{by}' WHERE id = '{approval.id}';"
            "ALTER TABLE zanith._zanith_approvals ENABLE ALWAYS TRIGGER approval_is_checked"
        )


async def actions(db, artifact):
    entries = await list_activity(db, ActivityFilter(artifact_id=artifact.id))
    return [(entry.action, entry.outcome, entry.actor) for entry in reversed(entries)]


async def without_settings(db):
    """A client of the same database that does not know the setting."""
    found = db._asked["dsn"]
    return await Database.open(found, lock_retries=1)


@pytest.mark.smoke
async def test_one_asks_another_approves_and_it_is_used_once(db, archived):
    with pytest.raises(ApprovalNeeded) as refused:
        await purge(db, archived.id, ANA, confirm="code")
    assert archived.id in refused.value.hint
    asked = await ask(db, archived)
    assert (asked.state, asked.requested_by) == ("requested", "ana")
    assert timedelta(hours=23) < asked.expires_at - asked.requested_at <= timedelta(days=1)
    assert (await summarize(db)).pending == 1
    with pytest.raises(ApprovalNeeded, match="waits for an approval"):
        await purge(db, archived.id, ANA, confirm="code")
    with pytest.raises(Refused, match="ana asked for the purge of"):
        await ask(db, archived, BOB)
    approved = await approve(db, asked.id[:8], BOB, confirm="code", reason="seen")
    assert (approved.state, approved.decided_by, approved.decision_reason) == (
        "approved",
        "bob",
        "seen",
    )
    with pytest.raises(Refused, match="is approved already"):
        await ask(db, archived)
    await purge(db, archived.id, ANA, confirm="code")
    used = await get_approval(db, asked.id)
    assert (used.state, bool(used.job_id)) == ("used", True)
    assert await actions(db, archived) == [
        *[entry for entry in await actions(db, archived) if entry[0] in {"capture", "seal"}],
        ("purge", "refused", "ana"),
        ("request", "done", "ana"),
        ("purge", "refused", "ana"),
        ("request", "refused", "bob"),
        ("approve", "done", "bob"),
        ("request", "refused", "ana"),
        ("use", "done", "ana"),
        ("purge", "done", "ana"),
    ]


CLI_ANA = Actor("ana", None, "cli")


async def test_who_asked_does_not_approve(db, archived):
    asked = await ask(db, archived)
    for who in (ANA, Actor(" ANA ", "10.9.9.9", "staff"), CLI_ANA):
        with pytest.raises(NotPermitted, match="ana asked for it"):
            await approve(db, asked.id, who, confirm="code")
        with pytest.raises(NotPermitted, match="ana asked for it"):
            await reject(db, asked.id, who)
    for who in (VIC, NOBODY):
        for does in (approve, reject, withdraw):
            words = {"confirm": "code"} if does is approve else {}
            with pytest.raises(NotPermitted):
                await does(db, asked.id, who, **words)
        with pytest.raises(NotPermitted):
            await ask(db, archived, who)
    # the command line over the very role of the studio: the name is only what the client says
    with pytest.raises(NotPermitted, match="the database role"):
        await approve(db, asked.id, Actor("bob", None, "cli"), confirm="code")
    with pytest.raises(NotPermitted, match="withdraw"):
        await withdraw(db, asked.id, BOB)
    with pytest.raises(Refused, match="not confirmed"):
        await approve(db, asked.id, BOB, confirm="something else")
    assert (await get_approval(db, asked.id)).state == "requested"


async def test_on_the_command_line_the_name_and_the_role_must_differ(database, create_role):
    others = [create_role("dba", "LOGIN SUPERUSER") for _ in range(2)]
    db, first, second = [
        await Database.open(url, approvals=frozenset(GUARDED))
        for url in (database.url, *map(database.url_of, others))
    ]
    try:
        async with client_of(db) as connection:
            await connection.execute("CREATE TABLE orders (id int PRIMARY KEY, code text)")
        archived = await capture(db, CaptureRequest("archive_column", "orders", "code"), ANA)
        asked = await ask(first, archived, Actor("root", None, "cli"))
        assert asked.requested_by_role == others[0]
        tries = [
            (first, Actor("other", None, "cli"), "the database role"),
            (second, Actor("root", None, "cli"), "root asked for it"),
            (second, Actor(others[0], None, "cli"), "root asked for it"),
            # in a studio with a token that is called as the role
            (db, Actor(others[0], None, "staff"), "root asked for it"),
        ]
        for where, who, why in tries:
            with pytest.raises(NotPermitted, match=why):
                await approve(where, asked.id, who, confirm="code")
        await approve(second, asked.id, Actor("other", None, "cli"), confirm="code")
        await purge(first, archived.id, Actor("root", None, "cli"), confirm="code")
    finally:
        for each in (db, first, second):
            await each.close()


async def test_two_decide_at_once_and_one_does(db, archived):
    asked = await ask(db, archived)
    said = await asyncio.gather(
        approve(db, asked.id, BOB, confirm="code"),
        approve(db, asked.id, CY, confirm="code"),
        reject(db, asked.id, Actor("dan", None, "staff")),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Refused) for one in said) == 2
    found = await get_approval(db, asked.id)
    decided = [entry for entry in await actions(db, archived) if entry[0] in {"approve", "reject"}]
    assert [entry[2] for entry in decided if entry[1] == "done"] == [found.decided_by]


async def test_two_ask_at_once_and_one_does(db, archived):
    said = await asyncio.gather(ask(db, archived), ask(db, archived, BOB), return_exceptions=True)
    assert sum(isinstance(one, Refused) for one in said) == 1
    assert len(await list_approvals(db)) == 1


async def test_an_approval_is_used_once_whoever_comes(db, archived):
    """A restore and a purge of one approval cannot both have it; nor two restores."""
    asked = await ask(
        db, archived, kind=Change.UNVERIFIED, params={"choices": UNVERIFIED.to_json()}
    )
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as one, client_of(db) as two:
        uses = [
            connection.fetchval(
                "SELECT zanith._use_approval('unverified', true, $1, $2, NULL, 'x', NULL)",
                *(archived.id, asked.digest),
            )
            for connection in (one, two)
        ]
        said = await asyncio.gather(*uses)
    assert sorted(word["why"] if word else "" for word in said) == ["", "none"]
    assert (await get_approval(db, asked.id)).state == "used"
    with pytest.raises(ApprovalNeeded):
        await restore(db, archived.id, UNVERIFIED, ANA)


async def test_an_approval_is_used_also_by_a_client_that_needs_none(db, archived, people):
    match = {"email": SECRET}
    erasure = await ask(db, people, kind=Change.ERASE, match=match, rows=10)
    waiting = await ask(db, people)
    purging = await ask(db, archived)
    for asked, name in ((erasure, "people"), (purging, "code")):
        await approve(db, asked.id, BOB, confirm=name)
    plain = await without_settings(db)
    try:
        await purge(plain, archived.id, ANA, confirm="code")
        await erase(plain, people.id, match, ANA, rows=10, confirm="people")
        await purge(
            plain, people.id, ANA, confirm="people"
        )  # nobody approved it, and it needs none
    finally:
        await plain.close()
    states = [(await get_approval(db, one.id)).state for one in (erasure, purging, waiting)]
    assert states == ["used", "used", "requested"]


@pytest.mark.parametrize("reason", [None, "", " \n\t"])
async def test_a_request_needs_a_reason(db, archived, reason):
    with pytest.raises(WrongUsage, match="no reason was given"):
        await request(db, Change.PURGE, archived.id, ANA, reason=reason)
    assert await list_approvals(db) == []


async def test_a_change_that_fails_uses_nothing(db, archived):
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as connection, connection.transaction():
        place = await connection.fetchval(
            "SELECT format('%I.%I', physical_schema, physical_table)"
            " FROM zanith._zanith_migration_artifacts WHERE id = $1",
            archived.id,
        )
        await connection.execute(f"LOCK TABLE {place} IN ACCESS SHARE MODE")
        with pytest.raises(Exception, match="lock"):
            await purge(db, archived.id, ANA, confirm="code")
    assert (await get_approval(db, asked.id)).state == "approved"
    await purge(db, archived.id, CY, confirm="code")
    assert (await get_approval(db, asked.id)).state == "used"


async def test_a_changed_plan_ends_a_request(db, people):
    asked = await ask(db, people)
    async with client_of(db) as connection:
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET row_count = 7 WHERE id = $1", people.id
        )
    seen = await review(db, await get_approval(db, asked.id), BOB)
    assert seen.changed
    assert [(each.label, each.then, each.now) for each in seen.differences] == [("Rows", 100, 7)]
    with pytest.raises(Refused, match="another than ana asked for") as refused:
        await approve(db, asked.id, BOB, confirm="people")
    assert refused.value.detail == "changed: rows"
    assert (await get_approval(db, asked.id)).state == "lapsed"
    again = await ask(db, people)
    await approve(db, again.id, BOB, confirm="people")
    async with client_of(db) as connection:
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET row_count = 100 WHERE id = $1", people.id
        )
    with pytest.raises(ApprovalNeeded, match="lapsed"):
        await purge(db, people.id, ANA, confirm="people")
    third = await ask(db, people)
    assert (await get_approval(db, again.id)).state == "lapsed"
    assert (await review(db, third, BOB)).changed is False


async def test_a_request_lapses_after_a_day(db, archived, people):
    asked = await ask(db, archived)
    await age(db, asked)
    assert (await get_approval(db, asked.id)).state == "lapsed"
    assert (await summarize(db)).pending == 0
    with pytest.raises(Refused, match="it lapsed"):
        await approve(db, asked.id, BOB, confirm="code")
    approved = await approve(db, (await ask(db, people)).id, BOB, confirm="people")
    await age(db, approved)
    with pytest.raises(ApprovalNeeded, match="lapsed"):
        await purge(db, people.id, ANA, confirm="people")
    assert await lapse(db, CY) == 2
    assert await lapse(db, CY) == 0
    assert ("lapse", "done", "cy") in await actions(db, people)
    again = await ask(db, archived)
    await approve(db, again.id, BOB, confirm="code")
    await purge(db, archived.id, ANA, confirm="code")


async def test_an_approval_that_lapses_while_it_is_used(db, archived):
    """The purge waits for the row: by the time that it has it, the day is over."""
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    await age(db, asked, by="23 hours 59 minutes 58 seconds")
    async with client_of(db) as connection:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM zanith._zanith_approvals WHERE id = $1 FOR UPDATE", asked.id
            )
            slow = await Database.open(
                db._asked["dsn"], lock_timeout=timedelta(seconds=8), approvals=db.approvals
            )
            task = asyncio.create_task(purge(slow, archived.id, ANA, confirm="code"))
            await asyncio.sleep(2.5)
        with pytest.raises(ApprovalNeeded, match="lapsed"):
            await task
        await slow.close()
    assert (await get_artifact(db, archived.id)).status == "recoverable"


async def test_reject_and_withdraw(db, archived):
    asked = await ask(db, archived)
    found = await reject(db, asked.id, BOB, reason="finance still reads it")
    assert (found.state, found.decision_reason) == ("rejected", "finance still reads it")
    with pytest.raises(Refused, match="bob rejected it already"):
        await approve(db, asked.id, CY, confirm="code")
    again = await ask(db, archived)
    await approve(db, again.id, BOB, confirm="code")
    found = await withdraw(db, again.id, BOB)  # who approved may think again
    assert (found.state, found.decided_by) == ("withdrawn", "bob")
    with pytest.raises(ApprovalNeeded):
        await purge(db, archived.id, ANA, confirm="code")
    with pytest.raises(Refused, match="it was withdrawn"):
        await withdraw(db, again.id, ANA)


async def test_an_erasure_keeps_no_value_and_needs_them_again(db, people):
    match = {"email": SECRET}
    with pytest.raises(ApprovalNeeded):
        await erase(db, people.id, match, ANA, rows=10, confirm="people")
    with pytest.raises(Refused, match="10 rows match, not 9"):
        await ask(db, people, kind=Change.ERASE, match=match, rows=9)
    asked = await ask(db, people, kind=Change.ERASE, match=match, rows=10)
    assert asked.params == {"columns": ["email"], "sets": 1, "rows": 10}
    with pytest.raises(Refused, match="already"):
        await ask(db, people, BOB, kind=Change.ERASE, match=match, rows=10)
    other = await ask(db, people, kind=Change.ERASE, match={"email": "x1"}, rows=1)
    await approve(db, asked.id, BOB, confirm="people")
    for wrong, rows in (({"email": "x2"}, 1), ({"email": "x1"}, 1), ({"id": "10"}, 1)):
        with pytest.raises(ApprovalNeeded):
            await erase(db, people.id, wrong, ANA, rows=rows, confirm="people")
    async with client_of(db) as connection:
        texts = [
            await connection.fetchval(f"SELECT string_agg(t::text, '') FROM zanith.{table} t")
            for table in ("_zanith_approvals", "_zanith_audit_log", "_zanith_jobs")
        ]
    assert not any(SECRET in text for text in texts)
    await erase(db, people.id, match, ANA, rows=10, confirm="people")
    assert (await get_approval(db, asked.id)).state == "used"
    async with client_of(db) as connection:
        hashes = await connection.fetch(
            "SELECT state, match_hash FROM zanith._zanith_approvals ORDER BY request_order"
        )
    assert [(row["state"], row["match_hash"] is None) for row in hashes] == [
        ("used", True),
        ("requested", False),
    ]
    with pytest.raises(Refused, match="another than ana asked for"):  # of other rows by now
        await approve(db, other.id, BOB, confirm="people")


async def test_a_restore_without_the_seal(db, archived):
    choices = {"choices": UNVERIFIED.to_json()}
    with pytest.raises(ApprovalNeeded):
        await restore(db, archived.id, UNVERIFIED, ANA)
    with pytest.raises(ApprovalNeeded):
        await restore_migration(db, "0007", UNVERIFIED, ANA)
    with pytest.raises(WrongUsage, match="needs no approval"):
        await ask(db, archived, kind=Change.UNVERIFIED, params={"choices": {}})
    asked = await ask(db, archived, kind=Change.UNVERIFIED, params=choices)
    await approve(db, asked.id, BOB, confirm="code")
    with pytest.raises(ApprovalNeeded):  # other choices
        await restore(db, archived.id, Choices(unverified=True, as_name="code2"), ANA)
    with pytest.raises(Refused, match="cannot work online"):
        await restore(db, archived.id, Choices(unverified=True, online=True), ANA)
    plan = await plan_restore(db, archived.id, UNVERIFIED)
    await restore(db, archived.id, UNVERIFIED, CY, expected_digest=plan.digest)
    assert (await get_approval(db, asked.id)).state == "used"
    assert (await get_artifact(db, archived.id)).status == "restored"


async def test_a_restore_that_checks_the_seal_needs_nobody(db, archived):
    await restore(db, archived.id, Choices(), ANA)
    assert await list_approvals(db) == []


async def test_a_migration_with_approvals(db, archived):
    asked = await ask(
        db, archived, kind=Change.UNVERIFIED, params={"choices": UNVERIFIED.to_json()}
    )
    await approve(db, asked.id, BOB, confirm="code")
    assert len(await restore_migration(db, "0007", UNVERIFIED, ANA)) == 1


async def test_cleanup_takes_what_is_approved_and_names_the_rest(db, archived, people):
    """Also with ids, as cron and the pages give them."""
    planned = await plan_cleanup(db, timedelta(0), before_expiry=True)
    assert {why.split(":")[0] for _, why in planned} == {"a second person must approve it"}
    results = await cleanup(db, timedelta(0), False, ANA, before_expiry=True)
    assert {(one.outcome, one.why.split(":")[0]) for one in results} == {
        ("skipped", "a second person must approve it")
    }
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    results = await cleanup(db, None, False, CY, [archived.id, people.id])
    assert {one.artifact.id: one.outcome for one in results} == {
        archived.id: "purged",
        people.id: "skipped",
    }
    assert (await get_approval(db, asked.id)).state == "used"


async def test_an_approval_of_another_plan_does_not_serve_a_cleanup(db, archived):
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as connection:
        await connection.execute("UPDATE zanith._zanith_migration_artifacts SET row_count = 7")
    (result,) = await cleanup(db, timedelta(0), False, ANA, before_expiry=True)
    assert (result.outcome, "lapsed" in result.why) == ("skipped", True)


async def test_the_rule_of_the_database_holds_without_the_setting(db, archived):
    plain = await without_settings(db)
    try:
        assert await require(plain, frozenset({Change.PURGE}), ANA) == ["purge"]
        assert await require(plain, frozenset({Change.PURGE}), ANA) == []
        with pytest.raises(ApprovalNeeded):
            await purge(plain, archived.id, ANA, confirm="code")
        async with client_of(plain) as connection:
            for statement in (
                "DELETE FROM zanith._zanith_approval_rules",
                "TRUNCATE zanith._zanith_approval_rules",
                "UPDATE zanith._zanith_approval_rules SET kind = 'erase'",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="second person"):
                    await connection.execute(statement)
        lift = {"params": {"kinds": ["purge"]}, "reason": "too slow"}
        with pytest.raises(Refused, match="requires no approval of erase"):
            await request(
                plain, Change.LIFT, None, ANA, params={"kinds": ["erase"]}, reason="too slow"
            )
        asked = await request(plain, Change.LIFT, None, ANA, **lift)
        with pytest.raises(NotPermitted):
            await approve(plain, asked.id, ANA, confirm="purge")
        assert (await approve(plain, asked.id, BOB, confirm="purge")).state == "used"
        await purge(plain, archived.id, ANA, confirm="code")
    finally:
        await plain.close()


async def test_a_role_that_may_capture_or_look_forges_nothing(
    db, archived, operator_database, create_role
):
    """It reads at most what everybody may see, and never the hash of an erasure's values."""
    asked = await ask(db, archived)
    looker = create_role("looker")
    async with operator_database.connect() as connection:
        await grant_read(connection, looker)
    tries = (
        "UPDATE zanith._zanith_approvals SET state = 'approved', decided_by = 'eve',"
        " decided_through = 'studio'",
        "INSERT INTO zanith._zanith_approvals (id, kind, artifact_id, object, digest, requested_by,"
        f" requested_through) VALUES ('forged00', 'purge', '{archived.id}', 'x', '{'0' * 64}',"
        " 'eve', 'studio')",
        "DELETE FROM zanith._zanith_approval_rules",
        "SELECT match_hash FROM zanith._zanith_approvals",
        f"SELECT zanith._use_approval('purge', true, '{archived.id}', '{asked.digest}', NULL,"
        " 'eve', NULL)",
    )
    for role in (operator_database.owner, looker):
        async with operator_database.connect(role) as connection:
            for statement in tries:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    readers = await Database.open(operator_database.server.url(operator_database.name, looker))
    try:
        assert [one.id for one in await list_approvals(readers)] == [asked.id]
        await plan_cleanup(readers, timedelta(0), before_expiry=True)
    finally:
        await readers.close()
    assert (await get_approval(db, asked.id)).state == "requested"


async def test_who_writes_the_table_forges_nothing_by_accident(db, archived):
    """The owner can turn the trigger off; until then it is checked too."""
    asked = await ask(db, archived)
    forged = (
        "UPDATE {0} SET state = 'approved', decided_by = 'ana', decided_through = 'studio'",
        "UPDATE {0} SET state = 'used'",
        "UPDATE {0} SET digest = repeat('0', 64)",
        "UPDATE {0} SET requested_by = 'bob'",
        "UPDATE {0} SET expires_at = 'infinity'",
        "DELETE FROM {0}",
        "TRUNCATE {0}",
        "INSERT INTO {0} (id, kind, artifact_id, object, digest, requested_by, requested_through,"
        " state, decided_by, decided_by_role, decided_through, decided_at)"
        " SELECT 'forged00', kind, 'other', object, digest, 'eve', 'studio', 'approved', 'x',"
        " 'x', 'studio', now() FROM {0}",
    )
    async with client_of(db) as connection:
        for statement in forged:
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement.format("zanith._zanith_approvals"))
    assert (await get_approval(db, asked.id)).state == "requested"
