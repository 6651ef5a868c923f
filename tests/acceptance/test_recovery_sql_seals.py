"""Promise 6: recovery_sql never brings a changed archive back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.scripts import (
    CASCADE,
    canonical_csv,
    flat,
    place,
    seal,
    status,
    tamper,
    world,
)
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.oracle.judges import (
    capture,
    dump_entries,
    open_session,
    read_rows,
    recovery_sql,
    restore_by_psql,
    see,
    show_difference,
)

__all__ = ["world"]


SEALED = [
    ("archive_column", "t", "b"),
    ("archive_table", "t", None),
    ("soft_drop_table", "t", None),
    ("archive_table", "q", None),
    ("archive_table", "free", None),
]


@pytest.mark.parametrize(("strategy", "table", "column"), SEALED)
def test_a_sealed_archive_comes_back_untouched_or_not_at_all(
    world: Database, strategy: str, table: str, column: str | None, tmp_path: Path
) -> None:
    """One changed value, and psql ends with an error; changed back, the same script restores."""
    entries = see(world, moved=True)
    artifact = capture(world, strategy, table, column, CASCADE)
    parked = place(world, artifact)
    checksum = seal(world, artifact)
    assert checksum in recovery_sql(world, artifact)
    value = column or {"t": "b", "q": "s", "free": "s"}[table]
    leaf = world.psql(f"SELECT tableoid::regclass FROM {parked} LIMIT 1")
    old = world.psql(f"SELECT ctid FROM {leaf} WHERE {value} > '' LIMIT 1")
    tamper(world, leaf, f"UPDATE {leaf} SET {value} = {value} || ' ' WHERE ctid = '{old}'")
    before = (dump_entries(world), read_rows(world), world.psql(f"SELECT * FROM {parked}"))
    with pytest.raises(CommandFailed):
        restore_by_psql(world, artifact, tmp_path)
    assert (dump_entries(world), read_rows(world), world.psql(f"SELECT * FROM {parked}")) == before
    assert status(world, artifact) == "recoverable"
    tamper(
        world, leaf, f"UPDATE {leaf} SET {value} = left({value}, -1) WHERE right({value}, 1) = ' '"
    )
    assert hashlib.sha256(canonical_csv(world, artifact)).hexdigest() == checksum
    restore_by_psql(world, artifact, tmp_path)
    assert not show_difference(flat(entries), flat(see(world, moved=True)))


def test_an_unsealed_archive_that_lost_a_row_does_not_come_back(
    world: Database, tmp_path: Path
) -> None:
    """The count that the capture recorded is the gate until there is a seal."""
    artifact = capture(world, "archive_column", "t", "b", CASCADE)
    parked = place(world, artifact)
    tamper(world, parked, f"DELETE FROM {parked} WHERE id = 2")
    before = (world.schema(), read_rows(world))
    with pytest.raises(CommandFailed, match="recorded"):
        restore_by_psql(world, artifact, tmp_path)
    assert (world.schema(), read_rows(world)) == before


def test_the_first_seal_stands(world: Database) -> None:
    """A second one may say the same; another checksum, query or setting is refused."""
    artifact = capture(world, "archive_table", "free")
    checksum = seal(world, artifact)
    assert seal(world, artifact) == checksum
    query = "zanith.canonical_query($$" + artifact + "$$)"
    with open_session(world) as run:
        for given, sqlstate in [
            (f"3, '{'0' * 64}', {query}, zanith.canonical_settings()", "55000"),
            (f"3, '{checksum}', 'SELECT 1', zanith.canonical_settings()", "22023"),
            (f"3, '{checksum}', {query}, '{{}}'", "22023"),
        ]:
            with pytest.raises(asyncpg.PostgresError) as caught:
                run(f"SELECT zanith.record_seal('{artifact}', {given})")
            assert caught.value.sqlstate == sqlstate
    assert checksum in recovery_sql(world, artifact)
