"""Pure decisions of plans, locks and names, without a server."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from app.recovery.core.errors import Locked, Refused, WrongUsage
from app.recovery.db.database import Blocker
from app.recovery.db.locks import explain, pause
from app.recovery.plan.checks import found, not_counted, unanswered
from app.recovery.plan.estimate import FILL_ROWS, SCAN_BYTES, VERIFY_BYTES, estimate_step
from app.recovery.plan.model import Check, Choices, Step
from app.recovery.plan.parsing import parse_plan
from app.recovery.plan.verdict import Outcome, judge
from app.recovery.restore.preconditions import check_plan
from app.routes.words import in_api, on_page

STEP = {
    "sql": "ALTER TABLE t ADD c int",
    "purpose": "add the column",
    "lock": "ACCESS EXCLUSIVE",
    "tables": ["public.t"],
    "grows": False,
    "transaction": 1,
}
DATA = {
    "artifact_id": "a" * 12,
    "object": "public.t.c",
    "target": {"schema": "public", "table": "t", "column": "c"},
    "steps": [{**STEP, "lock": "SHARE"}, STEP],
    "checks": [],
    "conflicts": [],
    "losses": [{"code": "position", "message": "it stands last"}],
    "choices": [{"name": "as", "flag": "--as NAME", "help": "another name"}],
    "archive": {"rows": 3, "size_bytes": 8192, "sealed": True},
}
CONFLICT = {
    "code": "name_taken",
    "message": "taken",
    "detail": "by d",
    "hint": "h",
    "choices": ["--as NAME"],
}
CHECK = Check(
    kind="null_gap",
    object="t",
    message="{count} {row has|rows have} none",
    count_sql="",
    examples_sql=None,
    blocks=True,
    choices=("--fill VALUE",),
    hint=None,
)


def test_choices_go_and_come_back():
    choices = Choices(as_name="d", fill="", allow_null=True)
    assert choices.to_json() == {"as": "d", "fill": "", "allow_null": True}
    assert Choices.from_json(choices.to_json()) == choices
    with pytest.raises(WrongUsage):
        Choices.from_json({"fil": 1})


def test_the_digest_is_of_the_steps():
    plan = parse_plan(DATA)
    assert plan.digest == parse_plan({**DATA, "losses": []}).digest
    assert plan.digest != parse_plan({**DATA, "steps": [STEP]}).digest


def test_locks_name_the_strongest():
    assert parse_plan(DATA).locks == [("public.t", "ACCESS EXCLUSIVE")]


def test_json_has_the_promised_keys():
    data = parse_plan(DATA).to_json()
    assert {"steps", "conflicts", "drift", "choices", "losses", "digest", "blocked"} <= set(data)
    assert {"sql", "purpose", "lock", "tables"} <= set(data["steps"][0])
    assert "checks" not in data


def test_drift_blocks_only_where_there_is_some():
    assert not found(CHECK, 0, ()).blocks
    drift = found(CHECK, 1234, ("1", "2"))
    assert drift.blocks
    assert drift.message == "1,234 rows have none"
    assert found(CHECK, 1, ()).message == "1 row has none"


def test_what_was_not_counted_is_never_none():
    skipped = not_counted(CHECK, "this server is a standby")
    assert (skipped.count, skipped.counted, skipped.blocks) == (None, False, False)
    assert skipped.message == "an unknown number of rows have none"
    gone = unanswered(CHECK, asyncpg.UndefinedColumnError("no column c"))
    assert (gone.count, gone.blocks) == (None, True)
    asks = replace(CHECK, kind="fill_value", message="'x' is no value of the type integer")
    refused = unanswered(asks, asyncpg.InvalidTextRepresentationError("invalid input syntax"))
    assert (refused.count, refused.blocks) == (1, True)
    assert parse_plan(DATA, (found(CHECK, 0, ()),)).clear
    plan = parse_plan(DATA, (found(CHECK, 0, ()), skipped))
    assert not plan.clear
    assert [(d["counted"], d["count"]) for d in plan.to_json()["drift"]] == [
        (True, 0),
        (False, None),
    ]
    assert plan.not_counted == (skipped,)


def test_a_blocked_plan_is_refused_with_its_way_out():
    plan = parse_plan({**DATA, "conflicts": [CONFLICT]}, (found(CHECK, 2, ("1",)),))
    assert plan.blocked == ["taken", "2 rows have none"]
    with pytest.raises(Refused) as error:
        check_plan(plan, None)
    assert error.value.plan is plan
    assert error.value.hint == "resolve with --as NAME"
    # each of several with its own way out
    assert error.value.detail == "2 rows have none (resolve with --fill VALUE)"


def test_another_plan_than_the_confirmed_is_refused():
    plan = parse_plan(DATA)
    check_plan(plan, plan.digest)
    with pytest.raises(Refused, match="confirmed"):
        check_plan(plan, "0" * 64)


def test_pauses_grow_with_jitter_and_a_bound():
    for attempt in range(20):
        longest = min(5.0, 0.1 * 2**attempt)
        assert longest / 2 <= pause(attempt) <= longest


def test_the_blocker_is_named():
    db = SimpleNamespace(lock_retries=2, lock_timeout=timedelta(seconds=2))
    blocker = Blocker(42, "ana", "psql", "10.0.0.1", "idle in transaction", 61.0, "SELECT  1")
    error = explain("the restore", Locked("x", sqlstate="55P03"), [blocker], db)
    assert "3 tries of 2s" in error.message
    assert error.detail == (
        "pid 42 (ana psql from 10.0.0.1, idle in transaction, its transaction open for 61 s):"
        " SELECT 1"
    )
    assert "pg_terminate_backend(42)" in error.hint
    assert "another" not in explain("x", Locked("said"), [], db).detail


FILL = {
    **STEP,
    "sql": "DO $do$ DECLARE n bigint; BEGIN UPDATE t SET c = 1; END $do$",
    "grows": True,
}
PROOF = {**STEP, "sql": "ALTER TABLE t VALIDATE CONSTRAINT k", "grows": True, "transaction": 2}
SIZES = {"public.t": {"rows": 400_000, "bytes": 50_000_000}}


def test_what_grows_is_estimated_and_the_sum_said():
    plan = parse_plan({**DATA, "steps": [STEP, FILL, PROOF], "sizes": SIZES})
    plain, fill, proof = plan.estimates
    assert plain is None
    assert fill.seconds == 400_000 / FILL_ROWS
    assert fill.disk_bytes == 50_000_000  # a fill can double the table
    assert (proof.seconds, proof.disk_bytes) == (50_000_000 / SCAN_BYTES, 0)
    verified = round(DATA["archive"]["size_bytes"] / VERIFY_BYTES, 2)
    data = plan.to_json()
    assert data["estimate"] == {
        "seconds": round(fill.seconds + proof.seconds + verified, 2),
        "disk_bytes": 50_000_000,
        "verify_seconds": verified,
    }
    assert [step["estimate"] is None for step in data["steps"]] == [True, False, False]


def test_an_estimate_is_no_part_of_what_is_confirmed():
    steps = {**DATA, "steps": [STEP, FILL]}
    assert parse_plan(steps).digest == parse_plan({**steps, "sizes": SIZES}).digest


def test_each_surface_says_a_choice_in_its_own_words():
    hint = "resolve with --as NAME or --fill default, or what --fill says"
    assert on_page(hint) == (
        "Resolve with “Restore as” or “get the column's default”,"
        " or what “Rows inserted since the capture” says"
    )
    assert in_api(hint) == "resolve with `as` or `fill_default`, or what `fill` says"


def test_a_fill_in_batches_writes_every_row_and_a_fill_of_what_came_since_those():
    sizes = {"public.t": {"rows": 1_000_000, "bytes": 100_000_000}}
    whole = Step("UPDATE ONLY public.t t SET c = a.c FROM ONLY z.a a WHERE a.id = t.id", "", None,
                 ("public.t",), grows=True)  # fmt: skip
    since = Step("UPDATE ONLY public.t t SET c = DEFAULT WHERE NOT EXISTS (SELECT FROM z.a)", "",
                 None, ("public.t",), grows=True)  # fmt: skip
    every, few = (estimate_step(step, sizes, 1_000) for step in (whole, since))
    assert every.disk_bytes == 100_000_000
    assert few.disk_bytes == 100_000


@pytest.mark.parametrize(
    ("conflict", "changed", "outcome"),
    [
        (None, False, Outcome.YES),
        (CONFLICT, False, Outcome.CHOICE),
        ({**CONFLICT, "choices": []}, False, Outcome.NO),
        ({**CONFLICT, "choices": [], "without": ["grants to a"]}, False, Outcome.CHOICE),
        ({**CONFLICT, "choices": [], "waits_for": ["b" * 12]}, False, Outcome.FIRST),
        (None, True, Outcome.NO),
    ],
)
def test_the_verdict_says_whether_a_plan_can_run(conflict, changed, outcome):
    archive = {**DATA["archive"], "changed": changed}
    conflicts = [conflict] if conflict else []
    verdict = judge(parse_plan({**DATA, "archive": archive, "conflicts": conflicts}))
    assert verdict.outcome is outcome
    assert len(verdict.reasons) == len(conflicts) + changed
    assert verdict.blocking.reads == ("public.t",)
    assert verdict.losses == ("it stands last",)
    assert judge(parse_plan({**DATA, "archive": archive}), Choices(unverified=True)).reasons == ()
