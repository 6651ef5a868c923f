"""A migration is named by its id or by its version in every command of `zanith migrate`."""

from __future__ import annotations

import pytest

from app.migrate.read.migrations import find_named
from app.recovery.core.errors import WrongUsage
from tests.acceptance.command import done, zanith


def test_each_command_takes_the_version_of_a_migration(database, tmp_path):
    (tmp_path / "0001_orders.sql").write_text("CREATE TABLE orders (id int);\n")
    (tmp_path / "0002_code.sql").write_text("ALTER TABLE orders ADD COLUMN code text;\n")
    known = {"url": database.url, "ZANITH_MIGRATIONS": str(tmp_path)}
    done("migrate", "up", "--to", "0001", **known)
    done("migrate", "up", "--to", "0002_code", **known)
    shown = done("migrate", "snapshot", "show", "0001:before", **known)
    assert "orders" not in shown.out
    assert "orders" in done("migrate", "snapshot", "show", "0001_orders:after", **known).out
    changed = done("migrate", "snapshot", "diff", "0002:before", "0002:after", **known)
    assert "orders.code" in changed.out
    listed = done("migrate", "snapshot", "list", "--migration", "0002", "--json", **known)
    assert {one["migration_id"] for one in listed.json["snapshots"]} == {"0002_code"}
    runs = done("migrate", "history", "--id", "0001", "--json", **known).json["runs"]
    assert [one["id"] for one in runs] == ["0001_orders"]
    for line in ("snapshot list --migration nope", "snapshot show nope:after", "history --id nope"):
        refused = zanith("migrate", *line.split(), **known)
        assert refused.code == 3, refused
    # a number alone is a snapshot, and no migration of this version
    alone = zanith("migrate", "snapshot", "show", "0999", **known)
    assert (alone.code, "MIGRATION:before" in alone.err) == (3, True), alone


@pytest.mark.parametrize(
    ("text", "found"),
    [("0001", "0001"), ("0002", "0002_b"), ("0002_b", "0002_b"), ("00", None), ("0002_", None)],
)
def test_the_whole_id_comes_before_the_version(text, found):
    assert find_named(text, ["0001", "0001_a", "0002_b"]) == found


def test_a_version_of_several_is_refused():
    with pytest.raises(WrongUsage, match=r"0001 is the beginning of 2 migrations: 0001_a, 0001-b"):
        find_named("0001", ["0001_a", "0001-b"])
