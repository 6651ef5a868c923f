"""How a parked object can be changed from outside, and what the doctor must say of it."""

from __future__ import annotations

from dataclasses import dataclass

MOVED = ("soft_drop_table", "archive_table")
COPIED = ("archive_column", "archive_values", "archive_rows", "rebuild_table")
TABLES = (*MOVED, *COPIED)
COLUMN = ("soft_drop_column",)
EVERY = (*COLUMN, *TABLES)
ARCHIVED = ("archive_column", "archive_values")
NATIVE = tuple(s for s in EVERY if s not in ARCHIVED)  # that keep values with their type


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
        "DROP TYPE {name}_type CASCADE", "missing/type_dropped", NATIVE, False, "enum"
    ),
    "domain_dropped": Damage(
        "DROP DOMAIN {name}_type CASCADE",
        "missing/type_dropped",
        tuple(s for s in NATIVE if s in TABLES),
        False,
        "domain",
    ),
    "type_of_archive_dropped": Damage(
        "DROP TYPE {name}_type CASCADE", "", ("archive_column",), False, "enum"
    ),
    "domain_of_archive_dropped": Damage(
        "DROP DOMAIN {name}_type CASCADE", "", ("archive_column",), False, "domain"
    ),
    "owned_dropped": Damage(
        "ALTER TABLE {parked} OWNER TO {role}; DROP OWNED BY {role}", "missing/table_dropped"
    ),
    "renamed": Damage("ALTER TABLE {parked} RENAME TO {name}_else", "moved/renamed"),
    "schema_changed": Damage("ALTER TABLE {parked} SET SCHEMA elsewhere", "moved/schema_changed"),
    "owner_changed": Damage("ALTER TABLE {parked} OWNER TO {role}", "moved/owner_changed", COPIED),
    "given_away": Damage("ALTER TABLE {parked} OWNER TO {role}", "blocked/given_to_another", MOVED),
    "live_renamed": Damage(
        "ALTER TABLE {parked} RENAME TO {name}_else", "moved/live_table_renamed", COLUMN, True
    ),
    "live_moved": Damage(
        "ALTER TABLE {parked} SET SCHEMA elsewhere", "moved/live_table_schema_changed", COLUMN, True
    ),
    "live_given": Damage("ALTER TABLE {parked} OWNER TO {role}", "", COLUMN, True),
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
        "changed/row_edited,changed/script_differs",
        ("archive_column", *MOVED),
    ),
    "recipe_edited": Damage(
        "UPDATE zanith._zanith_migration_artifacts"
        " SET recovery_sql = recovery_sql || 'DROP TABLE t;' WHERE id = '{id}'",
        "changed/script_differs",
        EVERY,
        True,
    ),
    "definition_edited": Damage(
        "UPDATE zanith._zanith_migration_artifacts"
        " SET definition = jsonb_set(definition, '{{table,name}}', '\"other\"') WHERE id = '{id}'",
        "changed/row_edited,changed/script_differs",
        COLUMN,
        None,
    ),
    "copied": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked};"
        " COMMENT ON TABLE {name}_copy IS 'zanith artifact {id}'",
        "orphan/duplicate_id",
        TABLES,
        True,
    ),
    "column_copied": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked}", "orphan/duplicate_id", COLUMN, True
    ),
    "copied_and_moved": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked};"
        " COMMENT ON TABLE {name}_copy IS 'zanith artifact {id}';"
        " ALTER TABLE {parked} RENAME TO {name}_else",
        "moved/duplicate_id,orphan/duplicate_id",
    ),
    "column_copied_and_moved": Damage(
        "CREATE TABLE {name}_copy AS TABLE {parked}; ALTER TABLE {parked} RENAME TO {name}_else",
        "moved/duplicate_id,orphan/duplicate_id",
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
