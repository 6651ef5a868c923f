"""What one person asks for, another one approves, for a day, and for one plan."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.approvals.deciding import approve, lapse, reject, request, withdraw
from app.recovery.approvals.looking import review
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused, WrongUsage
from app.recovery.core.four_eyes import GUARDED, ApprovalNeeded, Change
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import get_approval, list_approvals, summarize
from app.recovery.purge.purge import purge
from tests.integration.approvals.asking import (
    ANA,
    BOB,
    CLI_ANA,
    CY,
    NOBODY,
    VIC,
    actions,
    age,
    ask,
)
from tests.sessions import client_of


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


@pytest.mark.parametrize("reason", [None, "", " \n\t"])
async def test_a_request_needs_a_reason(db, archived, reason):
    with pytest.raises(WrongUsage, match="no reason was given"):
        await request(db, Change.PURGE, archived.id, ANA, reason=reason)
    assert await list_approvals(db) == []


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
