"""Promises 5 and 6: recovery_sql brings an object back without us, and never a changed archive."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.scripts import CASCADE, EVERY, canonical_csv, flat, place, status, world
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.oracle.judges import (
    capture,
    open_session,
    read_rows,
    recovery_sql,
    restore_by_psql,
    see,
    show_difference,
    unfaithful,
)

__all__ = ["world"]


@pytest.mark.smoke
def test_it_needs_nothing_of_ours(world: Database, tmp_path: Path) -> None:
    """Saved before the schema zanith was lost, every script still brings its object back."""
    moved = see(world, moved=True)
    files = []
    for strategy, table, column in [
        ("archive_column", "t", "b"),
        ("soft_drop_column", "t", "a"),
        ("archive_table", "q", None),
        ("soft_drop_table", "free", None),
    ]:
        artifact = capture(world, strategy, table, column, CASCADE)
        files.append(tmp_path / f"{artifact}.sql")
        files[-1].write_text(recovery_sql(world, artifact), "utf-8")
    world.psql("DROP SCHEMA zanith CASCADE")
    for file in reversed(files):
        world.psql(file=file)
    assert not show_difference(flat(moved), flat(see(world, moved=True)))


@pytest.mark.parametrize("strategy", EVERY)
def test_it_is_one_transaction_that_stops_at_the_first_error(
    world: Database, strategy: str, tmp_path: Path
) -> None:
    """With the old name taken it fails, and leaves everything as it found it."""
    artifact = capture(world, strategy, "t", "b" if strategy.endswith("column") else None, CASCADE)
    world.psql(
        "ALTER TABLE t ADD b int" if strategy.endswith("column") else "CREATE TABLE t (other int)"
    )
    before = (world.schema(), read_rows(world))
    with pytest.raises(CommandFailed):
        restore_by_psql(world, artifact, tmp_path)
    assert (world.schema(), read_rows(world)) == before
    assert status(world, artifact) == "recoverable"


@pytest.mark.parametrize("strategy", EVERY)
def test_it_tells_the_bookkeeping(world: Database, strategy: str, tmp_path: Path) -> None:
    """The artifact is restored, by whom and when; its dependents and plan go on being readable."""
    artifact = capture(world, strategy, "t", "b" if strategy.endswith("column") else None, CASCADE)
    restore_by_psql(world, artifact, tmp_path)
    assert status(world, artifact) == "restored"
    plan = json.loads(world.psql(f"SELECT zanith.plan_restore('{artifact}')"))
    assert [conflict["code"] for conflict in plan["conflicts"]] == ["restored"]
    assert plan["steps"] == []


# ---------------------------------------------------------------------------- many, and again


def test_many_of_one_table_come_back_in_any_order(world: Database, tmp_path: Path) -> None:
    """Three columns and then the table; columns wait for their table, not for one another."""
    before = see(world, moved=True)
    columns = {
        "a": capture(world, "archive_column", "t", "a", CASCADE),
        "b": capture(world, "soft_drop_column", "t", "b", CASCADE),
        "d": capture(world, "archive_column", "t", "d", CASCADE),
    }
    table = capture(world, "archive_table", "t", None, CASCADE)
    with open_session(world) as run:
        for artifact in columns.values():
            if (
                run(
                    f"SELECT artifact_type FROM zanith._zanith_migration_artifacts WHERE id = "
                    f"'{artifact}'"
                )
                == "archive_column"
            ):
                codes = [
                    c["code"]
                    for c in json.loads(run(f"SELECT zanith.plan_restore('{artifact}')"))[
                        "conflicts"
                    ]
                ]
                assert codes[0] == "table_gone", codes
                assert set(codes) <= {"table_gone", "column_gone"}, codes
    for artifact in (table, columns["d"], columns["b"], columns["a"]):
        restore_by_psql(world, artifact, tmp_path)
    # the view used a and b: it went with a, the first to be captured, and came back with it
    assert not show_difference(flat(before), flat(see(world, moved=True)))


@pytest.mark.parametrize("strategy", EVERY)
def test_capture_restore_capture_again(world: Database, strategy: str, tmp_path: Path) -> None:
    """Each round has an artifact of its own, and ends as it began."""
    column = "a" if strategy.endswith("column") else None
    before = see(world, moved=True)
    for _ in range(3):
        artifact = capture(world, strategy, "t", column, CASCADE)
        restore_by_psql(world, artifact, tmp_path)
        with open_session(world) as run:
            assert not unfaithful(json.loads(run(f"SELECT zanith.compare('{artifact}')")))
    assert not show_difference(flat(before), flat(see(world, moved=True)))
    assert world.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "3"


def test_several_captures_in_one_transaction(world: Database, tmp_path: Path) -> None:
    """What one migration parked comes back newest first."""
    before = see(world, moved=True)
    found = world.psql(
        f"BEGIN; SELECT zanith.soft_drop_column('t', 'b', 'm1', {CASCADE}); "
        f"SELECT zanith.archive_column('t', 'c', 'm1');"
        f"SELECT zanith.soft_drop_table('k', 'm1'); SELECT zanith.archive_table('t', 'm1'); COMMIT;"
    ).split()
    order = world.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE migration_id = 'm1' ORDER BY "
        "capture_order DESC"
    ).split()
    assert order == found[::-1]
    for artifact in order:
        restore_by_psql(world, artifact, tmp_path)
    assert not show_difference(flat(before), flat(see(world, moved=True)))


def test_a_rebuild_is_recorded_and_not_restored(world: Database, tmp_path: Path) -> None:
    """Forensic: the definition then beside now, the rows where asked; recovery_sql refuses."""
    bare = capture(world, "rebuild_table", "t")
    kept = capture(world, "rebuild_table", "t", None, "keep_rows => true")
    rows = world.psql(f"SELECT * FROM {place(world, kept)} ORDER BY 1")
    assert rows == world.psql("SELECT * FROM t ORDER BY 1")
    assert world.psql(f"SELECT zanith.canonical_query('{bare}') IS NULL") == "t"
    assert len(canonical_csv(world, kept).decode().splitlines()) > 3
    world.psql("ALTER TABLE t DROP c, ADD n int")
    report = json.loads(world.psql(f"SELECT zanith.compare('{bare}')"))
    assert report["missing"] or report["different"]
    for artifact in (bare, kept):
        plan = json.loads(world.psql(f"SELECT zanith.plan_restore('{artifact}')"))
        assert [c["code"] for c in plan["conflicts"]] == ["rebuilt"]
        before = (world.schema(), read_rows(world))
        with suppress(CommandFailed):
            restore_by_psql(world, artifact, tmp_path)
        assert (world.schema(), read_rows(world)) == before
