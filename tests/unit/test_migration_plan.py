"""The plan of migrations: what each operation does, gates, comments, and the forms of output."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
from postgast import pg_query_pb2 as pg

from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.alter_table_facts import ALTER_TABLE
from app.migrate.review.classify import statements_known
from app.migrate.review.plan import Gates, plan_migrations
from app.migrate.review.report import recovery_words, to_markdown, to_sarif
from app.migrate.risk import Level, Reason
from app.recovery.core.errors import NotFound
from tests.migrate.documented import DOCUMENT, document


def migration(sql: str, name: str = "0001_a") -> Migration:
    return Migration(name, Script(Path(f"{name}.sql"), sql.encode()))


def plan(*texts: str, layout: Layout = Layout.FILE, **more):
    found = [migration(sql, f"{n:04}_x") for n, sql in enumerate(texts, 1)]
    return plan_migrations(layout, found, **more)


def last(*texts: str, **more):
    return plan(*texts, **more).operations[-1]


T = "CREATE TABLE t (id int PRIMARY KEY, n smallint, v varchar(10), m mood);"


@pytest.mark.parametrize(
    ("before", "sql", "level", "codes"),
    [
        # what the same migration created is empty
        ("", f"{T} ALTER TABLE t ADD COLUMN c int NOT NULL", "safe", []),
        ("", f"{T} DROP TABLE t", "safe", []),
        ("", f"{T} CREATE INDEX i ON public.t (n); DROP INDEX i", "safe", []),
        ("", f"{T} ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN n", "safe", []),
        ("", "CREATE TEMP TABLE t (i int); DROP TABLE t", "safe", []),
        ("", "CREATE TABLE IF NOT EXISTS t (i int); DROP TABLE t", "destructive",
         ["drops_table_with_data"]),
        # what an earlier one created is not
        (T, "DROP TABLE t", "destructive", ["drops_table_with_data"]),
        # types that are known
        (T, "ALTER TABLE t ALTER n TYPE integer", "high",
         ["changes_column_type", "rewrites_table", "blocks_writes", "blocks_reads"]),
        (T, "ALTER TABLE t ALTER v TYPE varchar(20)", "medium", ["changes_column_type"]),
        (T, "ALTER TABLE t ALTER v TYPE text", "medium", ["changes_column_type"]),
        (T, "ALTER TABLE t ALTER v TYPE varchar(5)", "high",
         ["narrows_column_type", "changes_column_type", "rewrites_table", "blocks_writes",
          "blocks_reads"]),
        ("CREATE TYPE mood AS ENUM ('a');", "ALTER TABLE u ADD COLUMN c mood", "low", []),
        ("CREATE DOMAIN mood AS int;", "ALTER TABLE u ADD COLUMN c mood", "high",
         ["rewrites_table", "blocks_writes", "blocks_reads", "adds_check_constraint"]),
        # a CHECK that was validated makes the scan unnecessary, and one that was not does not
        (f"{T} ALTER TABLE t ADD CONSTRAINT k CHECK (n IS NOT NULL) NOT VALID;"
         " ALTER TABLE t VALIDATE CONSTRAINT k;", "ALTER TABLE t ALTER n SET NOT NULL", "low", []),
        (f"{T} ALTER TABLE t ADD CONSTRAINT k CHECK (n IS NOT NULL) NOT VALID;",
         "ALTER TABLE t ALTER n SET NOT NULL", "high",
         ["scans_table", "blocks_writes", "blocks_reads", "changes_column_nullable_to_not_null"]),
        (f"{T} ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID;",
         "ALTER TABLE t VALIDATE CONSTRAINT k", "medium", ["scans_table", "adds_check_constraint"]),
        # defaults
        ("", "ALTER TABLE t ADD c timestamptz NOT NULL DEFAULT now()", "low", []),
        ("", "ALTER TABLE t ADD c int NOT NULL DEFAULT NULL::int", "high",
         ["adds_required_column_without_default"]),
        ("", "ALTER TABLE t ADD c int DEFAULT my_function()", "high",
         ["rewrites_table", "blocks_writes", "blocks_reads", "requires_backfill"]),
        # the lock of one action is that of all
        ("", "ALTER TABLE t VALIDATE CONSTRAINT k, ALTER c SET DEFAULT 1", "low", []),
        # queries
        ("", "SELECT setval('s', 1)", "safe", []),
        ("", "SELECT pg_catalog.anything()", "safe", []),
        ("", "SELECT my_function()", "medium", ["opaque_sql"]),
        ("", "WITH x AS (SELECT 1) SELECT * FROM x", "safe", []),
        ("", "SELECT zanith.archive_table('orders')", "medium", []),
    ],
)  # fmt: skip
def test_what_the_files_say_sharpens_the_answer(before, sql, level, codes):
    found = last(before, sql)
    assert (found.level.word, found.codes) == (level, codes)


def test_with_after_the_pending_migrations_are_one():
    texts = (T, "CREATE TABLE u (i int)", "DROP TABLE u; DROP TABLE t")
    gone, kept = plan(*texts, after="0001").operations[-2:]
    assert (gone.object, gone.level, kept.object, kept.level) == (
        "u", Level.SAFE, "t", Level.DESTRUCTIVE,
    )  # fmt: skip
    assert [one.id for one in plan(*texts, after="0001_x").migrations] == ["0002_x", "0003_x"]
    with pytest.raises(NotFound):
        plan(*texts, after="9")


def test_a_lock_that_the_transaction_holds_makes_others_wait():
    sql = "ALTER TABLE a ADD c int;\nUPDATE b SET i = 1;"
    held = last(sql)
    assert {Reason.BLOCKS_READS, Reason.BLOCKS_WRITES} <= held.reasons
    assert "ACCESS EXCLUSIVE on a since line 1" in held.notes[-1]
    for parted in (
        "-- zanith: no-transaction\n\n" + sql,
        f"BEGIN; {sql.replace(';', '; COMMIT; BEGIN;')}",
        sql.replace("ADD c int", "SET (fillfactor = 70)"),
    ):
        assert not {Reason.BLOCKS_READS, Reason.BLOCKS_WRITES} & last(parted).reasons


@pytest.mark.parametrize(
    ("sql", "layout", "level"),
    [
        ("CREATE INDEX CONCURRENTLY ON t (c)", Layout.ZANITH, Level.BLOCKED),
        ("CREATE INDEX CONCURRENTLY ON t (c)", Layout.FILE, Level.LOW),
        ("BEGIN; CREATE INDEX CONCURRENTLY ON t (c); COMMIT", Layout.FILE, Level.BLOCKED),
        ("-- zanith: no-transaction\nDROP INDEX CONCURRENTLY i", Layout.ZANITH, Level.MEDIUM),
        ("REINDEX TABLE CONCURRENTLY t", Layout.GOOSE, Level.BLOCKED),
        ("REINDEX TABLE t", Layout.GOOSE, Level.HIGH),
        ("VACUUM t", Layout.DBMATE, Level.BLOCKED),
        ("ANALYZE t", Layout.DBMATE, Level.LOW),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", Layout.DRIZZLE, Level.BLOCKED),
    ],
)
def test_what_postgresql_refuses_in_a_transaction_is_blocked(sql, layout, level):
    found = plan(sql, layout=layout)
    assert found.level is level
    assert [one.gate for one in found.failures] == (["blocked"] if level is Level.BLOCKED else [])


@pytest.mark.parametrize(
    ("sql", "gates", "failed"),
    [
        ("DROP TABLE t", Gates(), []),
        ("DROP TABLE t", Gates(max_risk=60), ["max_risk"]),
        ("DROP TABLE t", Gates(max_risk=80), []),
        ("TRUNCATE t", Gates(), ["destructive"]),
        ("TRUNCATE t", Gates(allow_destructive=True), []),
        ("-- zanith: allow truncates_table\nTRUNCATE t", Gates(), []),
        ("-- zanith: allow drops_table_with_data\nTRUNCATE t", Gates(), ["destructive"]),
        ("DELETE FROM t", Gates(), ["destructive"]),
        ("DROP SCHEMA s CASCADE", Gates(), ["destructive"]),
        ("DROP OWNED BY r", Gates(), ["destructive"]),
        ("ALTER TABLE t RENAME TO u", Gates(fail_on=frozenset({Reason.RENAMES})), ["fail_on"]),
        ("ALTER TABLE t RENAME TO u -- zanith: allow renames_object",
         Gates(fail_on=frozenset({Reason.RENAMES}), max_risk=15), []),
    ],
)  # fmt: skip
def test_gates(sql, gates, failed):
    assert [one.gate for one in plan(sql, gates=gates).failures] == failed


def test_comments_are_in_the_output():
    (found,) = plan(
        "-- zanith: reason a cache\n-- zanith: allow truncates_table\nTRUNCATE t"
    ).operations
    assert (found.to_json()["reason"], found.to_json()["allowed"]) == (
        "a cache",
        ["truncates_table"],
    )
    soft = last("-- zanith: strategy soft\nALTER TABLE t DROP COLUMN c")
    assert soft.recovery.strategy == "soft"


HOSTILE = '"a|b\x1b[31m*_`<b>@all\n# x"'


def test_markdown_takes_no_markup_from_names():
    text = to_markdown(plan(f"DROP TABLE {HOSTILE}; TRUNCATE {HOSTILE}"))
    for piece in ("\x1b", "a|b", "*_", "<b>", "@all", "\n# x"):
        assert piece not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {8}


def _object(required: tuple[str, ...] = (), **properties) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = _object(("text",), text={"type": "string"})
LEVEL = {"enum": ["none", "note", "warning", "error"]}
TAGS = {"type": "array", "uniqueItems": True, "items": {"type": "string"}}
POSITIVE = {"type": "integer", "minimum": 1}
LOCATION = _object(
    physicalLocation=_object(
        artifactLocation=_object(uri={"type": "string", "format": "uri-reference"}),
        region=_object(startLine=POSITIVE, startColumn=POSITIVE),
    )
)
RULE = _object(
    ("id",),
    id={"type": "string"},
    shortDescription=TEXT,
    defaultConfiguration=_object(level=LEVEL),
    properties={"type": "object", "properties": {"tags": TAGS}},
)
SUPPRESSION = _object(
    ("kind",), kind={"enum": ["inSource", "external"]}, justification={"type": "string"}
)
RESULT = _object(
    ("message",),
    ruleId={"type": "string"},
    level=LEVEL,
    message=TEXT,
    locations={"type": "array", "items": LOCATION},
    suppressions={"type": "array", "uniqueItems": True, "items": SUPPRESSION},
    properties={"type": "object"},
)
DRIVER = _object(
    ("name",),
    name={"type": "string"},
    semanticVersion={"type": "string"},
    rules={"type": "array", "uniqueItems": True, "items": RULE},
)
NOTIFICATION = _object(("message",), message=TEXT, level={"enum": ["warning"]})
INVOCATION = _object(
    ("executionSuccessful",),
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications={"type": "array", "items": NOTIFICATION},
)
# Of the schema of OASIS, the objects and properties that a plan has.
SARIF = _object(
    ("version", "runs"),
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "items": _object(
            ("tool",),
            tool=_object(("driver",), driver=DRIVER),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            invocations={"type": "array", "items": INVOCATION},
            results={"type": "array", "items": RESULT},
        ),
    },
)


def test_sarif_is_valid_and_has_each_reason():
    text = f"DROP TABLE {HOSTILE};\n  TRUNCATE t; -- zanith: allow truncates_table"
    found = to_sarif(replace(plan(text), notes=("a note",)))
    jsonschema_rs.validator_for(SARIF, validate_formats=True).validate(found)
    (run,) = found["runs"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {*Reason, "gate"}
    results = run["results"]
    assert [one["ruleId"] for one in results[:2]] == ["drops_table_with_data", "truncates_table"]
    region = results[1]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 3, "startColumn": 3}
    assert results[1]["suppressions"]


def test_every_statement_and_action_has_a_fact():
    """What PostgreSQL's parser can return, without the parts of other statements."""
    fields = {field.name for field in pg.Node.DESCRIPTOR.fields if field.name.endswith("_stmt")}
    parts = {"raw_stmt", "set_operation_stmt", "return_stmt", "plassign_stmt"}
    assert fields - parts - {"replica_identity_stmt"} == set(statements_known())
    subtypes = {value for name, value in pg.AlterTableType.items() if name.startswith("AT_")}
    internal = {
        value
        for name, value in pg.AlterTableType.items()
        if name.startswith("AT_Re" + "Add")
        or name in {"AT_AddIndex", "AT_AddIndexConstraint", "AT_AddColumnToView"}
    }
    assert subtypes - internal == set(ALTER_TABLE)


def test_the_document_has_the_tables_of_the_code():
    """`python -m tests.migrate --document` makes them anew."""
    text = DOCUMENT.read_text("utf-8")
    assert document(text) == text


def test_a_thousand_statements_take_less_than_two_seconds():
    texts = [
        f"ALTER TABLE t{n} ADD COLUMN c uuid DEFAULT gen_random_uuid() CHECK (c IS NOT NULL);"
        for n in range(500)
    ] + [f"CREATE TABLE u{n} (id int PRIMARY KEY, o int REFERENCES t{n});" for n in range(500)]
    before = time.process_time()
    assert len(plan("\n".join(texts)).operations) == 1000
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("sql", "gates", "words"),
    [
        ("DROP TABLE t", None, "yes, by a capture (archive)"),
        ("DROP TABLE t", Gates(), "yes, by a capture (archive)"),
        ("TRUNCATE t", None, "yes, if zanith guard truncate names the table (rows)"),
        ("TRUNCATE t", Gates(), "no, unless zanith guard truncate names the table"),
        ("TRUNCATE t", Gates(guard=True), "no, unless zanith guard truncate names the table"),
        ("TRUNCATE t", Gates(guard=True, kept_rows=frozenset({"t"})), "yes, by the guard (rows)"),
        ("DROP VIEW v", None, "yes, if the guard is on (definition)"),
        ("DROP VIEW v", Gates(), "no, unless the guard is on"),
        ("DROP VIEW v", Gates(guard=True), "yes, by the guard (definition)"),
        ("DELETE FROM t", Gates(guard=True), "no"),
        ("CREATE TABLE u ()", Gates(guard=True), ""),
    ],
)
def test_says_whether_a_loss_can_be_undone(sql, gates, words):
    found = plan(sql, gates=gates)
    assert recovery_words(found.operations[0], gates and found.gates) == words


def test_a_file_outside_a_transaction_is_not_told_to_run_outside_one():
    sql = "CREATE INDEX CONCURRENTLY i ON t (a)"
    told = "run it outside a transaction"
    assert told in last(sql).notes
    assert told not in last(f"-- zanith: no-transaction\n{sql}").notes
    assert told not in last(f"-- zanith: no-transaction\n{sql}", layout=Layout.ZANITH).notes
