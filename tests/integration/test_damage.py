"""Every way to damage what is parked from outside, told apart: damage × strategy.

Each case has an artifact of its own; all live side by side in one database, so that none may be
taken for another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from app.recovery.artifacts import ArtifactFilter, list_artifacts
from app.recovery.burial import purge
from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Actor, Database
from app.recovery.errors import Refused, ZanithError
from app.recovery.health import ORDER, doctor
from app.recovery.plan import Choices
from app.recovery.restore import restore
from app.recovery.seal import verify

DBA = Actor("dba")
MOVED = ("soft_drop_table", "archive_table")
COPIED = ("archive_column", "rebuild_table")
TABLES = (*MOVED, *COPIED)
COLUMN = ("soft_drop_column",)
EVERY = (*COLUMN, *TABLES)


@dataclass(frozen=True)
class Damage:
    """What somebody does to `{parked}` (and `{column}`), and what the doctor must say of it."""

    sql: str
    finds: str  # kind/code, several by comma
    strategies: tuple[str, ...] = TABLES
    restores: bool | None = False  # None: not asked, as after a purge of everything
    shape: str = "plain"


PLAIN = """
CREATE TABLE {name} (id int PRIMARY KEY, c {type}, d text CONSTRAINT {name}_d CHECK (d <> ''));
CREATE INDEX {name}_i ON {name} ({indexed});
INSERT INTO {name} SELECT n, NULL, 'd' || n FROM generate_series(1, 9) n;
"""
SHAPES = {
    "plain": PLAIN.replace("{type}", "int").replace("{indexed}", "c"),
    "domain": "CREATE DOMAIN {name}_type AS int;"
    + PLAIN.replace("{type}", "{name}_type").replace("{indexed}", "d"),
    "enum": "CREATE TYPE {name}_type AS ENUM ('a');"
    + PLAIN.replace("{type}", "{name}_type").replace("{indexed}", "d"),
    "serial": PLAIN.replace("c {type}", "c serial").replace("{indexed}", "c").replace("NULL", "n"),
    "tree": """
CREATE TABLE {name} (id int PRIMARY KEY, c int, d text) PARTITION BY RANGE (id);
CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (0) TO (5);
CREATE TABLE {name}_2 PARTITION OF {name} FOR VALUES FROM (5) TO (99);
INSERT INTO {name} SELECT n, n, 'd' FROM generate_series(1, 9) n;
""",
}

DAMAGES = {
    "nothing": Damage("SELECT 1", "", EVERY, True),
    "nothing_tree": Damage("SELECT 1", "", (*COLUMN, *MOVED), True, "tree"),
    "nothing_serial": Damage("SELECT 1", "", EVERY, True, "serial"),
    "dropped": Damage("DROP TABLE {parked}", "missing/table_dropped"),
    "column_dropped": Damage(
        "ALTER TABLE {parked} DROP COLUMN {column}", "missing/column_dropped", (*COLUMN, *COPIED)
    ),
    "column_with_index_dropped": Damage(
        "ALTER TABLE {parked} DROP COLUMN {column}",
        "missing/column_dropped,changed/index_dropped",
        MOVED,
    ),
    "live_dropped": Damage("DROP TABLE {parked}", "missing/live_table_dropped", COLUMN),
    "type_dropped": Damage(
        "DROP TYPE {name}_type CASCADE", "missing/type_dropped", EVERY, False, "enum"
    ),
    "domain_dropped": Damage(
        "DROP DOMAIN {name}_type CASCADE", "missing/type_dropped", TABLES, False, "domain"
    ),
    "owned_dropped": Damage(
        "ALTER TABLE {parked} OWNER TO {role}; DROP OWNED BY {role}", "missing/table_dropped"
    ),
    "renamed": Damage("ALTER TABLE {parked} RENAME TO {name}_else", "moved/renamed"),
    "schema_changed": Damage("ALTER TABLE {parked} SET SCHEMA elsewhere", "moved/schema_changed"),
    "owner_changed": Damage("ALTER TABLE {parked} OWNER TO {role}", "moved/owner_changed"),
    "live_renamed": Damage(
        "ALTER TABLE {parked} RENAME TO {name}_else", "moved/live_table_renamed", COLUMN, True
    ),
    "live_moved": Damage(
        "ALTER TABLE {parked} SET SCHEMA elsewhere", "moved/live_table_schema_changed", COLUMN, True
    ),
    "live_given": Damage(
        "ALTER TABLE {parked} OWNER TO {role}", "moved/live_table_owner_changed", COLUMN, True
    ),
    "column_added": Damage(
        "ALTER TABLE {parked} ADD COLUMN extra int", "changed/column_added", TABLES, True
    ),
    "column_renamed": Damage(
        "ALTER TABLE {parked} RENAME COLUMN {other} TO other", "changed/column_renamed"
    ),
    "value_renamed": Damage(
        "ALTER TABLE {parked} RENAME COLUMN {column} TO other",
        "missing/column_dropped",
        (*COLUMN, "archive_column"),
    ),
    "column_retyped": Damage(
        "ALTER TABLE {parked} ALTER COLUMN {column} TYPE bigint", "changed/column_retyped"
    ),
    "parked_retyped": Damage(
        "ALTER TABLE {parked} ALTER COLUMN {column} TYPE bigint",
        "changed/column_retyped",
        COLUMN,
        None,
    ),
    "default_given": Damage(
        "ALTER TABLE {parked} ALTER COLUMN {column} SET DEFAULT 1",
        "changed/column_altered",
        COLUMN,
        True,
    ),
    "index_dropped": Damage(
        "DO $$ BEGIN EXECUTE (SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index"
        " WHERE indrelid = '{parked}'::regclass AND NOT indisprimary); END $$",
        "changed/index_dropped",
        (*COLUMN, *MOVED),
        None,
    ),
    "key_dropped": Damage(
        "DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE {parked} DROP CONSTRAINT ' ||"
        " quote_ident(conname)"
        " FROM pg_constraint WHERE conrelid = '{parked}'::regclass AND contype = 'p'); END $$",
        "changed/index_dropped",
        COPIED,
        True,
    ),
    "constraint_dropped": Damage(
        "ALTER TABLE {parked} DROP CONSTRAINT {name}_d", "changed/constraint_dropped", MOVED
    ),
    "trigger_dropped": Damage(
        "DROP TRIGGER _zanith_refuse_row ON {parked}", "changed/trigger_dropped", TABLES, True
    ),
    "trigger_disabled": Damage(
        "ALTER TABLE {parked} DISABLE TRIGGER _zanith_refuse_statement",
        "changed/trigger_disabled",
        TABLES,
        True,
    ),
    "trigger_lowered": Damage(
        "ALTER TABLE {parked} ENABLE TRIGGER _zanith_refuse_row",
        "changed/trigger_disabled",
        TABLES,
        True,
    ),
    "comment_removed": Damage(
        "COMMENT ON TABLE {parked} IS NULL", "changed/comment_changed", TABLES, True
    ),
    "comment_changed": Damage(
        "COMMENT ON TABLE {parked} IS 'mine'", "changed/comment_changed", TABLES, True
    ),
    "granted": Damage(
        "GRANT SELECT ON {parked} TO PUBLIC", "changed/readable_by_others", TABLES, True
    ),
    "column_granted": Damage(
        "GRANT SELECT ({column}) ON {parked} TO {role}", "changed/readable_by_others", EVERY, True
    ),
    "row_security": Damage(
        "ALTER TABLE {parked} ENABLE ROW LEVEL SECURITY",
        "changed/row_security_changed",
        TABLES,
        True,
    ),
    "edited": Damage(
        "SET session_replication_role = replica; ALTER TABLE {parked} DISABLE TRIGGER ALL;"
        " UPDATE {parked} SET {column} = 7;"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_row;"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_statement;"
        " SET session_replication_role = origin",
        "changed/seal_broken",
    ),
    "gained": Damage(
        "ALTER TABLE {parked} DISABLE TRIGGER USER; INSERT INTO {parked} (id) VALUES (77);"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_row;"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_statement",
        "changed/seal_broken",
    ),
    "truncated": Damage(
        "ALTER TABLE {parked} DISABLE TRIGGER USER; TRUNCATE {parked};"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_row;"
        " ALTER TABLE {parked} ENABLE ALWAYS TRIGGER _zanith_refuse_statement",
        "changed/seal_broken",
    ),
    "row_deleted": Damage(
        "DELETE FROM zanith._zanith_migration_artifacts WHERE id = '{id}'",
        "orphan/orphan_table",
        TABLES,
        None,
    ),
    "column_row_deleted": Damage(
        "DELETE FROM zanith._zanith_migration_artifacts WHERE id = '{id}'",
        "orphan/orphan_column",
        COLUMN,
        None,
    ),
    "serial_row_deleted": Damage(
        "DELETE FROM zanith._zanith_migration_artifacts WHERE id = '{id}'",
        "orphan/orphan_table,orphan/orphan_sequence",
        ("archive_column",),
        None,
        "serial",
    ),
    "sequence_dropped": Damage(
        "DO $$ BEGIN EXECUTE (SELECT 'DROP SEQUENCE ' || oid::regclass FROM pg_class"
        " WHERE relkind = 'S' AND relname LIKE '%{id}%'); END $$",
        "missing/sequence_dropped",
        ("archive_column",),
        False,
        "serial",
    ),
    "checksum_edited": Damage(
        "UPDATE zanith._zanith_migration_artifacts SET checksum = repeat('0', 64)"
        " WHERE id = '{id}'",
        "changed/row_edited,changed/recipe_differs",
        ("archive_column", *MOVED),
    ),
    "recipe_edited": Damage(
        "UPDATE zanith._zanith_migration_artifacts"
        " SET recovery_sql = recovery_sql || 'DROP TABLE t;' WHERE id = '{id}'",
        "changed/recipe_differs",
        EVERY,
        True,
    ),
    "definition_edited": Damage(
        "UPDATE zanith._zanith_migration_artifacts"
        " SET definition = jsonb_set(definition, '{{table,name}}', '\"other\"') WHERE id = '{id}'",
        "changed/row_edited",
        COLUMN,
        None,
    ),
    "copied": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked};"
        " COMMENT ON TABLE {name}_copy IS 'zanith artifact {id}'",
        "orphan/claimed_twice",
        TABLES,
        True,
    ),
    "column_copied": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked}", "orphan/claimed_twice", COLUMN, True
    ),
    "copied_and_moved": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked};"
        " COMMENT ON TABLE {name}_copy IS 'zanith artifact {id}';"
        " ALTER TABLE {parked} RENAME TO {name}_else",
        "moved/claimed_twice,orphan/claimed_twice",
    ),
    "column_copied_and_moved": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked}; ALTER TABLE {parked} RENAME TO {name}_else",
        "moved/claimed_twice,orphan/claimed_twice",
        COLUMN,
    ),
    "partition_dropped": Damage(
        "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || max(inhrelid)::regclass FROM pg_inherits"
        " WHERE inhparent = '{parked}'::regclass); END $$",
        "missing/partition_dropped",
        MOVED,
        False,
        "tree",
    ),
    "partition_detached": Damage(
        "DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE {parked} DETACH PARTITION ' ||"
        " max(inhrelid)::regclass FROM pg_inherits WHERE inhparent = '{parked}'::regclass); END $$",
        "changed/partition_detached",
        MOVED,
        False,
        "tree",
    ),
    "partition_attached": Damage(
        "CREATE TABLE {name}_more PARTITION OF {parked} FOR VALUES FROM (100) TO (200)",
        "changed/partition_attached",
        MOVED,
        False,
        "tree",
    ),
    "live_gone": Damage("DROP TABLE {name}", "blocked/live_table_gone", ("archive_column",)),
    "live_elsewhere": Damage(
        "ALTER TABLE {name} RENAME TO {name}_else",
        "blocked/live_table_elsewhere",
        ("archive_column",),
    ),
}
CASES = [(name, strategy) for name, d in DAMAGES.items() for strategy in d.strategies]


@pytest.fixture
def role(database, create_role):
    """A role that may own what is parked."""
    name = create_role("stranger")
    database.psql(
        "CREATE SCHEMA elsewhere;"
        f"GRANT CREATE ON SCHEMA public, elsewhere, _zanith_shadow TO {name}"
    )
    return name


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def damage_all(db, database, role, cases):
    """Capture a table for each case and damage it; return the artifacts by case."""
    made = {}
    numbered = {case: f"t{number}" for number, case in enumerate(cases)}
    database.psql(
        "".join(SHAPES[DAMAGES[c].shape].replace("{name}", n) for (c, _), n in numbered.items())
    )
    for (case, strategy), name in numbered.items():
        column = "c" if strategy.endswith("column") else None
        request = CaptureRequest(
            strategy, name, column, keep_rows=strategy == "rebuild_table", on_dependents="cascade"
        )
        made[case, strategy] = await capture(db, request, DBA)
    for case, artifact in made.items():
        names = names_of(artifact, numbered[case], role)
        database.psql(DAMAGES[case[0]].sql.format(**names))
    for (case, _), artifact in made.items():
        if "seal_broken" in DAMAGES[case].finds:
            found = await verify(db, artifact.id, DBA)
            assert not found.matches
    return made


def names_of(artifact, name, role):
    column = artifact.artifact_type.endswith("column")
    soft = artifact.artifact_type == "soft_drop_column"
    parked = f"public.{name}" if soft else f'{artifact.physical_schema}."{artifact.physical_name}"'
    return {
        "name": name,
        "id": artifact.id,
        "role": role,
        "parked": parked,
        "column": f'"{artifact.physical_name}"' if soft else "c",
        "other": "id" if column else "d",
    }


async def test_every_damage_is_told_apart_and_stops_what_it_must(db, database, role):
    made = await damage_all(db, database, role, CASES)
    found: dict[str, set] = {}
    by_object = {}
    diagnosis = await doctor(db)
    for finding in diagnosis.findings:
        assert finding.message, finding
        assert finding.hint, finding
        assert "{" not in finding.hint, finding
        found.setdefault(finding.artifact_id, set()).add(f"{finding.kind}/{finding.code}")
        if finding.artifact_id is None:
            by_object.setdefault(finding.object, set()).add(f"{finding.kind}/{finding.code}")
    faults = []
    for (case, strategy), artifact in made.items():
        said = found.get(artifact.id, set()) | {
            code for name, codes in by_object.items() if artifact.id in name for code in codes
        }
        wanted = set(filter(None, DAMAGES[case].finds.split(",")))
        if strategy == "rebuild_table":
            said -= {"changed/recipe_differs"} - wanted
        if said != wanted:
            faults.append(f"{case} of {strategy}: {sorted(said)}, not {sorted(wanted)}")
    assert not faults, "\n".join(faults)
    assert diagnosis.damaged
    await badges_agree(db, diagnosis)
    faults = await restore_all(db, made)
    assert not faults, "\n".join(faults)


async def badges_agree(db, diagnosis):
    """The badge of an artifact is the worst that the doctor found of it, but for copies of it."""
    worst: dict[str, str] = {}
    for finding in diagnosis.findings:
        told = finding.code not in {"claimed_twice", "recipe_differs"} or finding.kind == "moved"
        if finding.artifact_id and finding.kind not in {"blocked", "orphan"} and told:
            worst.setdefault(finding.artifact_id, finding.kind)
    page = await list_artifacts(db, ArtifactFilter(limit=1000))
    assert {a.id: a.health for a in page.items} == {a.id: worst.get(a.id, "ok") for a in page.items}
    for health in ("missing", "moved", "changed", "ok"):
        some = await list_artifacts(db, ArtifactFilter(limit=1000, health=health))
        assert {a.id for a in some.items} == {a.id for a in page.items if a.health == health}


async def restore_all(db, made):
    """What the doctor finds stops the restore, or the restore goes through; return what differs."""
    faults = []
    for (case, strategy), artifact in made.items():
        if DAMAGES[case].restores is None or strategy == "rebuild_table":
            continue
        try:
            await restore(db, artifact.id, Choices(), DBA)
            outcome = True
        except Refused:
            outcome = False
        except ZanithError as error:
            faults.append(f"{case} of {strategy}: {error!r}")
            continue
        if outcome != DAMAGES[case].restores:
            faults.append(f"{case} of {strategy}: {'restored' if outcome else 'refused'}")
    return faults


async def test_purge_takes_nothing_that_is_another(db, database, role):
    cases = [c for c in CASES if c[0] in {"copied", "column_copied", "copied_and_moved", "renamed"}]
    made = await damage_all(db, database, role, cases)
    for (case, _strategy), artifact in made.items():
        if case in {"copied", "column_copied"}:
            await purge(db, artifact.id, DBA, confirm=None, confirmed=True)
        else:
            with pytest.raises(Refused):
                await purge(db, artifact.id, DBA, confirm=None, confirmed=True)
    copies = database.psql(
        "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+_(copy|else)$' AND relkind = 'r'"
    )
    kept = [c for c, _ in cases]
    assert int(copies) == len(kept) + kept.count("copied_and_moved")


async def test_a_shadow_that_a_backup_left_out(db, database):
    database.psql(SHAPES["plain"].replace("{name}", "a") + SHAPES["plain"].replace("{name}", "b"))
    for name in "ab":
        await capture(db, CaptureRequest("archive_table", name), DBA)
    assert {"zanith", "_zanith_shadow", "public"} <= set((await doctor(db)).schemas)
    database.psql("DROP SCHEMA _zanith_shadow CASCADE")
    found = await doctor(db)
    assert [f.code for f in found.findings] == ["shadow_dropped"] * 2


async def test_the_engine_itself(db, database):
    assert (await doctor(db)).findings == ()
    database.psql(
        "CREATE OR REPLACE FUNCTION zanith.version() RETURNS text LANGUAGE sql IMMUTABLE"
        " AS $$ SELECT '0.1.0'::text $$; CREATE FUNCTION zanith.own() RETURNS int RETURN 1"
    )
    found = await doctor(db)
    assert {(f.kind, f.code) for f in found.findings} == {
        ("engine", "function_altered"),
        ("engine", "function_unknown"),
    }
    database.psql("DROP FUNCTION zanith.describe_now")
    found = await doctor(db)
    assert "function_missing" in {f.code for f in found.findings}
    assert found.damaged


async def test_the_worst_comes_first_and_json_is_whole(db, database):
    database.psql(SHAPES["plain"].replace("{name}", "a"))
    await capture(db, CaptureRequest("archive_table", "a"), DBA)
    found = await doctor(db, ceiling_bytes=1)
    data = json.loads(json.dumps(found.to_json()))
    assert [f["kind"] for f in data["findings"]] == ["ceiling"]
    assert len(data["unverified"]) == data["sealed"] == 1
    assert data["verified"] == 0
    assert [ORDER.index(f.kind) for f in found.findings] == sorted(
        ORDER.index(f.kind) for f in found.findings
    )
