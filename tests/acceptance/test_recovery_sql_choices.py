"""Promises 4 and 5: what a person chooses for a restore, and what is said of it beforehand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.scripts import (
    CASCADE,
    EVERY,
    canonical_csv,
    flat,
    psql_alone,
    run_plan,
    world,
)
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.oracle.judges import (
    capture,
    grant_capture,
    recovery_sql,
    restore_by_psql,
    see,
    show_difference,
)

__all__ = ["world"]


@pytest.mark.parametrize("strategy", EVERY)
def test_a_taken_name_wants_another(world: Database, strategy: str) -> None:
    """The plan says so, and with `as` its steps bring the object back beside the new one."""
    column = "b" if strategy.endswith("column") else None
    artifact = capture(world, strategy, "t", column, CASCADE)
    world.psql(
        "ALTER TABLE t ADD b int DEFAULT 7"
        if column
        else "CREATE TABLE t (id int PRIMARY KEY, b text UNIQUE)"
    )
    plan = json.loads(world.psql(f"SELECT zanith.plan_restore('{artifact}')"))
    assert {c["code"] for c in plan["conflicts"]} == {"name_taken"}
    assert any("--as NAME" in c["choices"] for c in plan["conflicts"])
    run_plan(world, artifact, {"as": "back"})
    if column:
        assert world.psql("SELECT id, b, back FROM t WHERE id <> 2 ORDER BY id") == "1|7|x\n3|7|"
        assert (
            world.psql(
                "SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = "
                "'u'"
            )
            == "1"
        )
    else:
        assert world.psql("SELECT count(*) FROM back; SELECT count(*) FROM t") == "3\n0"
        assert (
            world.psql(
                "SELECT count(*) FROM pg_constraint WHERE conrelid = 'back'::regclass AND contype "
                "IN ('p', 'u', 'f', 'c')"
            )
            == "4"
        )


def test_rows_that_came_since_take_what_is_chosen(world: Database) -> None:
    """Drift is counted; `fill` and `fill_default` resolve it, `allow_null` leaves the gap."""
    world.psql("ALTER TABLE t ADD e int NOT NULL DEFAULT 5")
    chosen: list[tuple[dict, str]] = [
        ({"fill": "9"}, "9"),
        ({"fill_default": True}, "5"),
        ({"allow_null": True}, ""),
    ]
    for choices, expected in chosen:
        artifact = capture(world, "archive_column", "t", "e")
        world.psql("INSERT INTO t (id, a) VALUES (50, 1)")
        plan = json.loads(world.psql(f"SELECT zanith.plan_restore('{artifact}')"))
        counts = {check["kind"]: world.psql(check["count_sql"]) for check in plan["checks"]}
        assert (counts["rows_added"], counts["rows_gone"], counts["null_gaps"]) == ("1", "0", "1")
        run_plan(world, artifact, choices)
        assert world.psql("SELECT e FROM t WHERE id = 50") == expected
        assert (
            world.psql("SELECT string_agg(e::text, ',' ORDER BY id) FROM t WHERE id < 50")
            == "5,5,5"
        )
        world.psql("DELETE FROM t WHERE id = 50; ALTER TABLE t ALTER e SET NOT NULL")


def test_an_owner_who_is_no_superuser_does_it_all(
    database: Database, roles: dict[str, str], tmp_path: Path
) -> None:
    """Capture and recovery_sql as the owner alone, under FORCE ROW LEVEL SECURITY."""
    grant_capture(database, roles["owner"])
    database.psql(f"CREATE SCHEMA app AUTHORIZATION {roles['owner']}")
    psql = psql_alone(database, roles["owner"])

    def run(sql: str) -> str:
        ended = subprocess.run(psql, input=sql, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return str(ended.stdout.strip())

    run(
        "CREATE TABLE app.t (id int PRIMARY KEY, c text NOT NULL DEFAULT 'x', d serial, "
        "o text DEFAULT 'mine');"
        "INSERT INTO app.t SELECT n, 'c' || n FROM generate_series(1, 20) n; "
        "ALTER TABLE app.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        f"CREATE POLICY p ON app.t USING (id < 5); "
        f"GRANT SELECT (c) ON app.t TO {roles['reader']}; CREATE INDEX i ON app.t (c);"
    )
    before = see(database, moved=True)
    for call in (
        "archive_column('app.t', 'c')",
        "soft_drop_column('app.t', 'd')",
        "archive_table('app.t')",
        "soft_drop_table('app.t')",
    ):
        artifact = run(f"SELECT zanith.{call}")
        if "soft_drop_column" not in call:
            assert len(canonical_csv(database, artifact).splitlines()) == 21
        file = tmp_path / "as_owner.sql"
        file.write_text(recovery_sql(database, artifact), "utf-8")
        ended = subprocess.run([*psql, "-f", file], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{call}: {ended.stderr}"
        assert not show_difference(flat(before), flat(see(database, moved=True))), call


def test_a_grant_by_another_grantor_is_a_loss_said_beforehand(
    database: Database, roles: dict[str, str], tmp_path: Path
) -> None:
    """The privilege itself comes back; the plan names who gave it."""
    owner, reader, writer = roles["owner"], roles["reader"], roles["writer"]
    database.psql(
        f"CREATE TABLE t (id int PRIMARY KEY, c text); ALTER TABLE t OWNER TO {owner}; "
        f"GRANT SELECT (c) ON t TO {reader} WITH GRANT OPTION;"
        f"SET ROLE {reader}; GRANT SELECT (c) ON t TO {writer}"
    )
    artifact = capture(database, "soft_drop_column", "t", "c")
    plan = json.loads(database.psql(f"SELECT zanith.plan_restore('{artifact}')"))
    assert [
        reader in loss["message"] and writer in loss["message"]
        for loss in plan["losses"]
        if loss["code"] == "grantor"
    ] == [True]
    restore_by_psql(database, artifact, tmp_path)
    assert database.psql(f"SELECT has_column_privilege('{writer}', 't', 'c', 'SELECT')") == "t"


@pytest.mark.parametrize("strategy", EVERY)
def test_a_database_that_publishes_everything(
    world: Database, strategy: str, tmp_path: Path
) -> None:
    """FOR ALL TABLES names no table, so it is asked about, and is the same afterwards."""
    world.psql("ALTER TABLE free ADD id serial PRIMARY KEY; CREATE PUBLICATION p FOR ALL TABLES")
    before = see(world, moved=True)
    column = "s" if strategy.endswith("column") else None
    with pytest.raises(CommandFailed, match="is published"):
        capture(world, strategy, "free", column)
    artifact = capture(world, strategy, "free", column, "published_ok => true")
    restore_by_psql(world, artifact, tmp_path)
    assert not show_difference(flat(before), flat(see(world, moved=True)))
