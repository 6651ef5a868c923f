"""Several requests at once: each by itself, and what was refused is said."""

from __future__ import annotations

import pytest

from app.recovery.approvals.several import MOST, approve_several, request_purges
from app.recovery.approvals.standing import of_erasure, of_purge, of_restore
from app.recovery.core.errors import NotConfirmed, NotPermitted, WrongUsage
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import get_approval, list_approvals
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.cleanup import cleanup
from app.recovery.purge.erase import plan_erasure
from app.recovery.purge.hold import hold
from app.recovery.purge.purge import review_purge
from tests.acceptance.command import zanith
from tests.integration.approvals.asking import (
    ANA,
    BOB,
    SECRET,
    UNVERIFIED,
    VIC,
    actions,
    ask,
    without_settings,
)


async def test_each_is_asked_for_and_approved_by_itself(db, archived, people):
    named = [archived.id, people.id[:8], people.id, "nothing.of.this", archived.id]
    asked = await request_purges(db, named, ANA, reason=" the audit is over ")
    assert [one.error.code if one.error else one.approval.state for one in asked] == [
        *("requested", "requested", "refused", "not_found")
    ]
    first, second = (one.approval for one in asked[:2])
    assert {first.reason, second.reason} == {"the audit is over"}
    assert await actions(db, people) == [
        *[entry for entry in await actions(db, people) if entry[0] in {"capture", "seal"}],
        ("request", "done", "ana"),
        ("request", "refused", "ana"),
    ]
    with pytest.raises(NotConfirmed, match="nothing was changed") as wrong:
        await approve_several(db, [first.id, second.id], BOB, confirm=3)
    assert wrong.value.hint == "type 2"
    own = await approve_several(db, [first.id], ANA, confirm=1)
    assert own[0].error.code == "not_permitted"
    seen = {first.id: first.digest, second.id: "0" * 64}
    both = await approve_several(
        *(db, [first.id, second.id], BOB), confirm=2, digests=seen, reason="seen"
    )
    assert [one.error.code if one.error else one.approval.state for one in both] == [
        *("approved", "refused")
    ]
    assert (await get_approval(db, first.id)).decision_reason == "seen"
    gone = await cleanup(db, None, False, ANA, [archived.id, people.id])
    assert sorted(one.outcome for one in gone) == ["purged", "skipped"]
    assert (await get_approval(db, first.id)).state == "used"
    assert (await get_approval(db, second.id)).state == "requested"


async def test_what_cannot_be_purged_is_not_asked_for(db, archived, people):
    await hold(db, people.id, ANA, "legal")
    digests = {archived.id: "0" * 64}
    asked = await request_purges(db, [archived.id, people.id], ANA, reason="old", digests=digests)
    assert "is not the one that you saw" in asked[0].error.message
    assert "is held by ana" in asked[1].error.message
    assert await list_approvals(db) == []


@pytest.mark.parametrize(
    ("named", "reason", "who", "error"),
    [
        (["x"], " ", ANA, WrongUsage),
        ([], "old", ANA, WrongUsage),
        ([str(number) for number in range(MOST + 1)], "old", ANA, WrongUsage),
        (["x"], "old", VIC, NotPermitted),
    ],
    ids=["no reason", "none", "too many", "viewer"],
)
async def test_all_are_refused_at_once(db, named, reason, who, error):
    with pytest.raises(error):
        await request_purges(db, named, who, reason=reason)
    if reason != " ":
        with pytest.raises(error):
            await approve_several(db, named, who, confirm=len(named))


async def test_a_dry_run_says_how_a_change_stands(db, archived, people):
    match = {"email": SECRET}

    async def stand():
        erasure = await plan_erasure(db, people.id, match, ANA)
        restore = await plan_restore(db, archived.id, UNVERIFIED)
        return (
            await of_purge(db, await review_purge(db, archived.id)),
            await of_erasure(db, erasure, match),
            await of_restore(db, restore, UNVERIFIED),
        )

    assert [(one.needed, one.missing, one.found) for one in await stand()] == [
        (True, True, None)
    ] * 3
    params = {"choices": UNVERIFIED.to_json()}
    asked = [
        await ask(db, archived),
        await ask(db, people, kind=Change.ERASE, match=match, rows=10),
        await ask(db, archived, kind=Change.UNVERIFIED, params=params),
    ]
    assert [one.found.id for one in await stand()] == [one.id for one in asked]
    assert all(one.missing for one in await stand())
    approved = await approve_several(db, [one.id for one in asked], BOB, confirm=3)
    assert [one.error for one in approved] == [None] * 3
    assert [one.to_json()["approved"] for one in await stand()] == [True] * 3
    plan = await plan_restore(db, archived.id, Choices())
    assert (await of_restore(db, plan, Choices())).to_json() == {
        "needed": False,
        "approved": False,
        "request": None,
    }
    plain = await without_settings(db)
    try:
        assert not (await of_purge(plain, await review_purge(plain, archived.id))).needed
    finally:
        await plain.close()


async def test_the_command_line_asks_for_several_and_approves_them(
    db, database, operator_database, archived, people
):
    url = operator_database.url
    wanted = {"url": url, "ZANITH_APPROVALS": "purge"}
    dry = zanith("recover", "purge", archived.id, "--dry-run", **wanted)
    assert dry.code == 4
    assert f"zanith approvals request-purge {archived.id} --reason TEXT" in dry.out
    names = (archived.id, people.id, "nothing.of.this")
    command = ("approvals", "request-purge", *names, "--reason", "old")
    mixed = zanith(*command, url=url)
    assert (mixed.code, "✗ nothing.of.this" in mixed.out) == (4, True)
    asked = [one.id for one in await list_approvals(db)]
    own = zanith("approvals", "approve", *asked, "--yes", "--json", url=url)
    assert own.code == 4  # the same name and role
    assert [one["error"]["code"] for one in own.json["outcomes"]] == ["not_permitted"] * 2
    nobody = zanith("approvals", "approve", *asked, url=url)
    assert (nobody.code, "--yes" in nobody.err) == (4, True)
    another = await Database.open(database.url)
    try:
        done = await approve_several(another, asked, BOB, confirm=2)
    finally:
        await another.close()
    assert [one.error for one in done] == [None, None]
    ready = zanith("recover", "purge", archived.id, "--dry-run", "--json", **wanted)
    assert (ready.code, ready.json["approval"]["approved"], ready.json["blocked"]) == (
        *(0, True, False),
    )
