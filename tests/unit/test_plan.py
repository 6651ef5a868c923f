"""Pure decisions of plans, locks and names, without a server."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from app.recovery.database import Blocker
from app.recovery.errors import Locked, Refused, WrongUsage
from app.recovery.locks import explain, pause
from app.recovery.plan import Check, Choices, found, parse_plan
from app.recovery.restore import check_plan

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
    message="{count} rows have none",
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


def test_a_blocked_plan_is_refused_with_its_way_out():
    plan = parse_plan({**DATA, "conflicts": [CONFLICT]}, (found(CHECK, 2, ("1",)),))
    assert plan.blocked == ["taken", "2 rows have none"]
    with pytest.raises(Refused) as error:
        check_plan(plan, None)
    assert error.value.plan is plan
    assert error.value.hint == "resolve with --as NAME or --fill VALUE"


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
