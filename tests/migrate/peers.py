"""The rules of other linters of migrations, each with a statement that has it, and what the plan says.

`python -m tests.migrate.peers` checks that the plan flags each of them. `--document` makes the table of docs/peers.md anew.
`--squawk PATH` lets squawk judge the statements of its own rules: it must report the rule, so that the table is not by memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.plan import plan_migrations
from app.migrate.risk import Level, Operation

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "peers.md"
_MARKS = ("<!-- rules -->", "<!-- end of rules -->")


@dataclass(frozen=True)
class Rule:
    """A rule of another linter. `sql` has it; `why` says why the plan has nothing like it."""

    peer: str
    name: str
    sql: str = ""
    why: str = ""


SETUP = """CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a int, b text, c varchar(10), p int);
CREATE TABLE p (id int, a int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9);
CREATE INDEX i ON t (a); CREATE UNIQUE INDEX u ON t (a); ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);
CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s;
CREATE SCHEMA x; CREATE POLICY pol ON t; CREATE TYPE pair AS (l int);"""

_STYLE = "it is about style, not about locks, data or failure"
_WAIT = "`up` gives each lock a timeout and retries; a file for another tool is that tool's"
_ROLE = "it is about rights or settings of the server, not about locks, data or failure"
_CODE = "it is about code that clients call: it takes no lock and loses no row"
_S = "squawk"
SQUAWK = [
    Rule(_S, "adding-field-with-default", "ALTER TABLE t ADD e uuid DEFAULT gen_random_uuid()"),
    Rule(_S, "adding-foreign-key-constraint", "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (p) REFERENCES o (id)"),
    Rule(_S, "adding-not-nullable-field", "ALTER TABLE t ALTER COLUMN a SET NOT NULL"),
    Rule(_S, "adding-required-field", "ALTER TABLE t ADD COLUMN e int NOT NULL"),
    Rule(_S, "adding-serial-primary-key-field", "ALTER TABLE t ADD COLUMN e serial PRIMARY KEY"),
    Rule(_S, "ban-alter-domain-with-add-constraint", "ALTER DOMAIN d ADD CONSTRAINT pos CHECK (value > 0)"),
    Rule(_S, "ban-char-field", why=_STYLE),
    Rule(_S, "ban-concurrent-index-creation-in-transaction", "BEGIN; CREATE INDEX CONCURRENTLY j ON t (b); COMMIT"),
    Rule(_S, "ban-create-domain-with-constraint", why=_STYLE),
    Rule(_S, "ban-drop-column", "ALTER TABLE t DROP COLUMN a"),
    Rule(_S, "ban-drop-database", "DROP DATABASE shop"),
    Rule(_S, "ban-drop-not-null", "ALTER TABLE t ALTER COLUMN a DROP NOT NULL"),
    Rule(_S, "ban-drop-table", "DROP TABLE t"),
    Rule(_S, "ban-truncate-cascade", "TRUNCATE t CASCADE"),
    Rule(_S, "ban-uncommitted-transaction", why=_STYLE),
    Rule(_S, "changing-column-type", "ALTER TABLE t ALTER COLUMN a TYPE bigint"),
    Rule(_S, "constraint-missing-not-valid", "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 1)"),
    Rule(_S, "disallowed-unique-constraint", "ALTER TABLE t ADD CONSTRAINT n UNIQUE (b)"),
    Rule(_S, "identifier-too-long", why=_STYLE),
    Rule(_S, "prefer-bigint-over-int", why=_STYLE),
    Rule(_S, "prefer-bigint-over-smallint", why=_STYLE),
    Rule(_S, "prefer-identity", why=_STYLE),
    Rule(_S, "prefer-robust-stmts", why=_STYLE),
    Rule(_S, "prefer-text-field", why=_STYLE),
    Rule(_S, "prefer-timestamp-tz", why=_STYLE),
    Rule(_S, "renaming-column", "ALTER TABLE t RENAME COLUMN a TO e"),
    Rule(_S, "renaming-table", "ALTER TABLE t RENAME TO e"),
    Rule(_S, "require-concurrent-index-creation", "CREATE INDEX j ON t (b)"),
    Rule(_S, "require-concurrent-index-deletion", "DROP INDEX i"),
    Rule(_S, "require-concurrent-partition-detach", "ALTER TABLE p DETACH PARTITION p1"),
    Rule(_S, "require-concurrent-reindex", "REINDEX TABLE t"),
    Rule(_S, "require-enum-value-ordering", why=_STYLE),
    Rule(_S, "require-lock-timeout", why=_WAIT),
    Rule(_S, "require-statement-timeout", why=_WAIT),
    Rule(_S, "require-table-schema", why=_STYLE),
    Rule(_S, "require-timeout-settings", why=_WAIT),
    Rule(_S, "transaction-nesting", why=_STYLE),
    Rule(_S, "prefer-repack", "VACUUM FULL t"),
    Rule(_S, "ban-drop-constraint", "ALTER TABLE t DROP CONSTRAINT k"),
    Rule(_S, "ban-drop-index", "DROP INDEX i"),
    Rule(_S, "ban-drop-view", "DROP VIEW v"),
    Rule(_S, "ban-drop-schema", "DROP SCHEMA x CASCADE"),
    Rule(_S, "ban-drop-sequence", "DROP SEQUENCE s"),
    Rule(_S, "ban-drop-type", "DROP TYPE mood"),
    Rule(_S, "ban-drop-domain", "DROP DOMAIN d"),
    Rule(_S, "ban-drop-extension", "DROP EXTENSION citext"),
    Rule(_S, "ban-drop-policy", "DROP POLICY pol ON t"),
    Rule(_S, "ban-drop-function", "DROP FUNCTION f()"),
    Rule(_S, "ban-set-schema", "ALTER TABLE t SET SCHEMA x"),
    Rule(_S, "ban-disable-trigger", "ALTER TABLE t DISABLE TRIGGER ALL"),
    Rule(_S, "ban-replica-identity", "ALTER TABLE t REPLICA IDENTITY FULL"),
    Rule(_S, "ban-create-policy", "CREATE POLICY q ON t"),
    Rule(_S, "ban-alter-row-level-security", "ALTER TABLE t ENABLE ROW LEVEL SECURITY"),
    Rule(_S, "ban-alter-policy-condition", "ALTER POLICY pol ON t USING (a > 1)"),
    Rule(_S, "renaming-object", "ALTER VIEW v RENAME TO w"),
    Rule(_S, "ban-detach-inheritance", "ALTER TABLE t NO INHERIT o"),
    Rule(_S, "ban-alter-system-options", "ALTER SYSTEM SET work_mem = '1MB'"),
    Rule(_S, "ban-add-composite-attribute", why=_CODE),
    Rule(_S, "ban-add-column", why="a new column without a default is `low`: a short lock"),
    Rule(_S, "ban-add-enum-value", why=_CODE),
    Rule(_S, "ban-alter-policy-roles", "ALTER POLICY pol ON t TO public"),
    Rule(_S, "ban-alter-extension", "ALTER EXTENSION citext UPDATE"),
    Rule(_S, "ban-alter-generated-expression", "ALTER TABLE t ALTER COLUMN a SET EXPRESSION AS (id)"),
    Rule(_S, "ban-drop-generated-expression", why="a short lock: the column keeps its values"),
    Rule(_S, "ban-new-write-restriction", "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 1)"),
    Rule(_S, "ban-alter-identity", why=_CODE),
    Rule(_S, "ban-alter-sequence-values", why=_CODE),
    Rule(_S, "ban-set-default", why=_CODE),
    Rule(_S, "ban-replace-view-function", why=_CODE),
    Rule(_S, "ban-alter-function-options", why=_CODE),
    Rule(_S, "ban-alter-view-options", why=_CODE),
    Rule(_S, "ban-alter-role-options", why=_ROLE),
    Rule(_S, "ban-alter-database-options", why=_ROLE),
    Rule(_S, "ban-revoke", why=_ROLE),
    Rule(_S, "ban-duplicate-column-assignments", why=_STYLE),
    Rule(_S, "unused-ignore", why=_STYLE),
]  # fmt: skip

_E = "eugene"
EUGENE = [
    Rule(_E, "E1", "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 1)"),
    Rule(_E, "E2", "ALTER TABLE t ALTER COLUMN a SET NOT NULL"),
    Rule(_E, "E3", why=_STYLE),
    Rule(_E, "E4", "ALTER TABLE t ADD e int; CREATE INDEX j ON o (id)"),
    Rule(_E, "E5", "ALTER TABLE t ALTER COLUMN a TYPE bigint"),
    Rule(_E, "E6", "CREATE INDEX j ON t (b)"),
    Rule(_E, "E7", "ALTER TABLE t ADD CONSTRAINT n UNIQUE (b)"),
    Rule(_E, "E8", "ALTER TABLE t ADD CONSTRAINT n EXCLUDE (a WITH =)"),
    Rule(_E, "E9", why=_WAIT),
    Rule(_E, "E10", "ALTER TABLE t SET UNLOGGED"),
    Rule(_E, "E11", "ALTER TABLE t ADD e int GENERATED ALWAYS AS (a * 2) STORED"),
    Rule(_E, "W12", why=_STYLE),
    Rule(_E, "W13", why=_STYLE),
    Rule(_E, "W14", "ALTER TABLE t ADD CONSTRAINT n PRIMARY KEY USING INDEX u"),
    Rule(_E, "E15", why="it is about the speed of later deletes, not about the migration"),
]

_A = "Atlas"
ATLAS = [
    Rule(_A, "DS101", "DROP SCHEMA x CASCADE"),
    Rule(_A, "DS102", "DROP TABLE t"),
    Rule(_A, "DS103", "ALTER TABLE t DROP COLUMN a"),
    Rule(_A, "MF101", "CREATE UNIQUE INDEX j ON t (b)"),
    Rule(_A, "MF102", "DROP INDEX i; CREATE UNIQUE INDEX i ON t (a)"),
    Rule(_A, "MF103", "ALTER TABLE t ADD COLUMN e int NOT NULL"),
    Rule(_A, "MF104", "ALTER TABLE t ALTER COLUMN a SET NOT NULL"),
    Rule(_A, "BC101", "ALTER TABLE t RENAME TO e"),
    Rule(_A, "BC102", "ALTER TABLE t RENAME COLUMN a TO e"),
    Rule(_A, "CD101", "ALTER TABLE t DROP CONSTRAINT k"),
    Rule(_A, "PG101", "CREATE INDEX j ON t (b)"),
    Rule(_A, "PG102", "DROP INDEX i"),
    Rule(_A, "PG103", "BEGIN; CREATE INDEX CONCURRENTLY j ON t (b); COMMIT"),
    Rule(_A, "PG104", "ALTER TABLE t ADD CONSTRAINT n PRIMARY KEY (a)"),
    Rule(_A, "PG105", "ALTER TABLE t ADD CONSTRAINT n UNIQUE (b)"),
    Rule(_A, "PG109", "ALTER TABLE t ADD CONSTRAINT n EXCLUDE (a WITH =)"),
    Rule(_A, "PG110", why=_STYLE),
    Rule(_A, "PG301", "ALTER TABLE t ALTER COLUMN a TYPE bigint"),
    Rule(_A, "PG302", "ALTER TABLE t ADD e uuid DEFAULT gen_random_uuid()"),
    Rule(_A, "PG303", "ALTER TABLE t ALTER COLUMN a SET NOT NULL"),
    Rule(_A, "PG304", "ALTER TABLE t ADD CONSTRAINT n PRIMARY KEY (a)"),
    Rule(_A, "PG305", "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 1)"),
    Rule(_A, "PG306", "ALTER TABLE t ADD CONSTRAINT n FOREIGN KEY (p) REFERENCES o (id)"),
    Rule(_A, "PG307", "ALTER TABLE t SET UNLOGGED"),
    Rule(_A, "PG308", why="CREATE TRIGGER is `low`: it takes SHARE ROW EXCLUSIVE for a short time"),
    Rule(_A, "PG309", "ALTER TABLE t ADD e int GENERATED ALWAYS AS (a * 2) STORED"),
    Rule(_A, "PG310", "ALTER TABLE t ADD e int GENERATED ALWAYS AS IDENTITY"),
    Rule(_A, "PG311", "ALTER TABLE t SET ACCESS METHOD heap"),
    Rule(_A, "PG312", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)"),
    Rule(_A, "PG314", "ALTER TABLE t REPLICA IDENTITY FULL"),
    Rule(_A, "PG320", why=_STYLE),
    Rule(_A, "TX101", "BEGIN; CREATE INDEX CONCURRENTLY j ON t (b); COMMIT"),
    Rule(_A, "TX201", why=_STYLE),
    Rule(_A, "SA101", "DO $$ BEGIN EXECUTE 'DROP TABLE t'; END $$"),
]
RULES = [*SQUAWK, *EUGENE, *ATLAS]


def judged(rule: Rule) -> Operation | None:
    """Return the worst operation of the rule's statement; None if it has none."""
    if not rule.sql:
        return None
    before = Migration("0", Script(Path("0.sql"), SETUP.encode()))
    own = Migration("1", Script(Path("1.sql"), rule.sql.encode()))
    plan = plan_migrations(Layout.ZANITH, [own], applied=[before])
    return max(plan.operations, key=lambda one: (one.level, len(one.reasons)))


def is_flagged(operation: Operation) -> bool:
    """Whether somebody who reads the plan learns of it: by a reason, or by its level."""
    return bool(operation.reasons) or operation.level >= Level.MEDIUM


def document(text: str) -> str:
    """Return the document with its table made anew."""
    lines = ["| linter | rule | statement | level | reasons |", "| --- | --- | --- | --- | --- |"]
    for rule in RULES:
        operation = judged(rule)
        if operation is None:
            lines.append(f"| {rule.peer} | `{rule.name}` | none: {rule.why} | | |")
            continue
        codes = ", ".join(f"`{code}`" for code in operation.codes)
        lines.append(
            f"| {rule.peer} | `{rule.name}` | `{rule.sql}` | {operation.level.word} | {codes} |"
        )
    begin, end = _MARKS
    head, rest = text.split(begin)
    return f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}"


def squawk_says(program: Path, rule: Rule) -> bool:
    """Whether squawk itself reports the rule for the statement."""
    command = [str(program), "--reporter=json", f"--include={rule.name}", "--stdin-filepath=x.sql"]
    command += ["--pg-version=19"] if rule.name == "prefer-repack" else []
    found = subprocess.run(
        command, input=f"{rule.sql};", capture_output=True, text=True, check=False
    )
    names = {item["rule_name"] for item in json.loads(found.stdout or "[]")}
    return rule.name in names


def main() -> int:
    """Check the table, make it, or let squawk judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--document", action="store_true", help="make docs/peers.md anew")
    parser.add_argument("--squawk", type=Path, help="the program squawk")
    options = parser.parse_args()
    if options.document:
        DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8")), "utf-8")
        return 0
    wrong = [
        f"{r.peer} {r.name}: not flagged" for r in RULES if (o := judged(r)) and not is_flagged(o)
    ]
    if options.squawk:
        asked = [rule for rule in SQUAWK if rule.sql]
        wrong += [
            f"squawk {r.name}: not reported" for r in asked if not squawk_says(options.squawk, r)
        ]
        helped = subprocess.run(
            [options.squawk, "--version"], capture_output=True, text=True, check=True
        )
        print(f"{helped.stdout.strip()} judged {len(asked)} statements")
    print(*wrong, sep="\n") if wrong else print(
        f"{len(RULES)} rules: the plan flags each that has a statement"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
