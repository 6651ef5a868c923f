"""Promises 5 and 6: recovery_sql brings an object back without us, and never a changed archive."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from app.recovery import schema
from tests.clusters import SUPERUSER, CommandFailed
from tests.conftest import Database
from tests.oracle.judges import (
    capture,
    dump_entries,
    grant_capture,
    literal,
    open_session,
    quote,
    read_rows,
    recovery_sql,
    restore_by_psql,
    see,
    show_difference,
    unfaithful,
)

WORLD = """
CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3);
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL DEFAULT 2 REFERENCES p, b text UNIQUE,
    c numeric CHECK (c > 0), d serial);
CREATE INDEX ta ON t (a, b); CREATE VIEW v AS SELECT a, b FROM t; GRANT SELECT ON t TO :reader;
GRANT SELECT (b) ON t TO :writer;
INSERT INTO t VALUES (1, 1, 'x', 1.50), (2, 2, E'two\\nlines, "quoted"', NULL), (3, 3, '', 3e10);
CREATE TABLE k (x int REFERENCES t, y text REFERENCES t (b)); INSERT INTO k VALUES (1, 'x');
CREATE TABLE q (id int PRIMARY KEY, s text) PARTITION BY RANGE (id);
CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10);
CREATE TABLE q2 PARTITION OF q DEFAULT; INSERT INTO q SELECT n, 's' || n FROM generate_series(1,
    20) n;
CREATE TABLE free (s text, n float); INSERT INTO free VALUES ('a', 0.1), ('a', 0.1), (NULL, NULL);
"""
EVERY = ("soft_drop_column", "archive_column", "soft_drop_table", "archive_table")
CASCADE = "on_dependents => 'cascade'"


@pytest.fixture
def world(database: Database, roles: dict[str, str]) -> Database:
    database.psql("".join(f"\\set {name} {role}\n" for name, role in roles.items()) + WORLD)
    return database


def seal(database: Database, artifact: str) -> str:
    """Seal with psql and sha256 as anybody could, and return the checksum."""
    text = canonical_csv(database, artifact)
    query = database.psql(f"SELECT zanith.canonical_query('{artifact}')")
    checksum = hashlib.sha256(text).hexdigest()
    rows = database.psql(f"SELECT count(*) FROM ({query}) r")
    database.psql(
        f"SELECT zanith.record_seal('{artifact}', {rows}, '{checksum}', {literal(query)}, "
        f"zanith.canonical_settings())"
    )
    return checksum


def psql_alone(database: Database, user: str = SUPERUSER) -> list[str | Path]:
    """Return the command that anybody would type."""
    program = database.server.bin_dir / "psql"
    return [program, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database.url_of(user)]


def canonical_csv(database: Database, artifact: str) -> bytes:
    settings = json.loads(database.psql("SELECT zanith.canonical_settings()"))
    query = database.psql(f"SELECT zanith.canonical_query('{artifact}')")
    script = "".join(
        f"SET {name} = {value if name == 'search_path' else literal(value)};\n"
        for name, value in settings.items()
    )
    script += f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8');\n"
    command = psql_alone(database)
    return subprocess.run(command, input=script.encode(), capture_output=True, check=True).stdout


def place(database: Database, artifact: str) -> str:
    return database.psql(
        f"SELECT format('%I.%I', physical_schema, "
        f"physical_table) FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )


def tamper(database: Database, table: str, change: str) -> None:
    """Get past the triggers that refuse writes, as a superuser can, and put them back."""
    names = database.psql(
        f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgenabled = 'A'"
    ).splitlines()
    assert names
    on = "".join(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};" for name in names)
    database.psql(f"BEGIN; ALTER TABLE {table} DISABLE TRIGGER USER; {change}; {on} COMMIT")


def status(database: Database, artifact: str) -> str:
    return database.psql(
        f"SELECT status FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )


# ------------------------------------------------------------------------------------ without us


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


def flat(found: dict[str, list[str]]) -> list[str]:
    return [entry for schema in sorted(found) for entry in found[schema]]


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


# ---------------------------------------------------------------------------- under another name


def run_plan(database: Database, artifact: str, choices: dict) -> None:
    """Run the steps of a plan as its two transactions."""
    with open_session(database) as run:
        plan = json.loads(
            run(f"SELECT zanith.plan_restore('{artifact}', {literal(json.dumps(choices))})")
        )
        assert plan["conflicts"] == [], plan["conflicts"]
        for number in (1, 2):
            run("BEGIN")
            run("SET LOCAL search_path = pg_catalog, pg_temp")
            run("SET LOCAL row_security = off")
            for step in plan["steps"]:
                if step["transaction"] == number:
                    run(step["sql"])
            run("COMMIT")


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


# --------------------------------------------------------------------------------------- the gates

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


# ------------------------------------------------------------------------------------------- others


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
        assert [c["code"] for c in plan["conflicts"]] == ["forensic"]
        before = (world.schema(), read_rows(world))
        with suppress(CommandFailed):
            restore_by_psql(world, artifact, tmp_path)
        assert (world.schema(), read_rows(world)) == before


# --------------------------------------------------------------------------------- only data

# What psql could take for a command of its own. It knows USER by itself, the others are set below.
READ_BY_PSQL = {
    "slice": 'CHECK (array_length(a[1:"USER"], 1) > 0)',
    "slice of two": 'CHECK (a["USER":n] <> a[n:"USER"])',
    "slice by a plain name": "CHECK (array_length(a[1:n], 1) > 0)",
    "default": "CHECK (c <> ':USER' AND c <> ':''USER''' AND c <> ':{?USER}')",
    "backslash": r"CHECK (c <> '\! touch {file}' AND c <> E'\\q\n\\! touch {file}' AND c <> '\.')",
    "generated": "EXCLUDE USING btree ((a[1:n]) WITH =) WHERE (a[1:n] <> '{1}')",
    "three colons": "CHECK ((a[1:n::int])[1:(n)::bigint::int] <> '{}')",
}
VARIABLES = ("USER=1; DROP TABLE t; --", "n=0]) ; DROP TABLE t; --", "int=9", "id=9", "b=9")


@pytest.mark.parametrize("case", READ_BY_PSQL)
@pytest.mark.parametrize("conforming", ["on", "off"])
def test_psql_puts_no_variable_into_an_expression(
    database: Database, case: str, conforming: str, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    clause = READ_BY_PSQL[case].replace("{file}", str(touched))
    made = f"""CREATE TABLE t (id int PRIMARY KEY, "USER" int, n int, a int[] DEFAULT '{{1,2}}',
            c text, CONSTRAINT odd {clause}) ;
        CREATE INDEX i ON t ((a[1:n])) WHERE a[1:"USER"] <> '{{3}}';
        CREATE STATISTICS s ON (a[1:n]), id FROM t;
        CREATE VIEW v AS SELECT a[1:n] AS x, a["USER":n] AS y, ':USER' AS z FROM t;
        COMMENT ON COLUMN t.a IS E'\\n\\\\! touch {touched}\\n:USER';
        CREATE TABLE log (x int[]);
        CREATE RULE r AS ON UPDATE TO t DO ALSO (INSERT INTO log VALUES (OLD.a[1:OLD.n]);
            INSERT INTO log VALUES (NEW.a[1:NEW."USER"]));
        CREATE FUNCTION f() RETURNS int[] BEGIN ATOMIC
            SELECT a[1:n] AS begin FROM t; SELECT q.begin FROM (SELECT a[1:"USER"] AS begin FROM t) q;
        END;"""
    with open_session(database) as session:  # psql would read its own variables in it
        session(f"DO $made$BEGIN EXECUTE $all${made}$all$; END$made$")
    before = database.schema()
    start = f"SET standard_conforming_strings = {conforming};"
    for strategy in ("soft_drop_column", "archive_column"):
        call = f"SELECT zanith.{strategy}('t', 'a', {CASCADE});"
        artifact = database.psql(start + call)
        file = tmp_path / f"{strategy}.sql"
        file.write_text(start + "\n" + recovery_sql(database, artifact), "utf-8")
        set_all = [word for variable in VARIABLES for word in ("-v", variable)]
        database.psql(file=file, args=tuple(set_all))
        assert not touched.exists()
        after = database.schema()
        if strategy == "soft_drop_column":
            assert after == before
        else:  # the column stands last, and the archive stays
            lines = (line.rstrip(",") for line in before.splitlines())
            assert not Counter(lines) - Counter(line.rstrip(",") for line in after.splitlines())


NAMES = {
    "command": "x\n\\! touch {file}\n",
    "carriage return": "x\r\\! touch {file}\r",
    "both": "x\r\n\\! touch {file}\r\n--",
    "separators": "x\u2028\\! touch {file}\u2029\u0085\\! touch {file}\v\f",
    "dollar": "$do$ $sql$ $run$; \\q\n\\! touch {file}",
    "copy": "x\n\\.\n\\copy t from program 'touch {file}'\n",
    "comment": "*/ -- \\! touch {file}\n;\n\\! touch {file}",
    "quotes": "x'\"\\'\n\\! touch {file}\n:USER :'USER' :\"USER\"",
    "variable": ":USER :{?USER} :'USER' \n\\gexec\n",
}


@pytest.mark.parametrize("conforming", ["on", "off"])
@pytest.mark.parametrize("case", NAMES)
def test_a_name_in_a_script_is_data(database: Database, case: str, conforming: str) -> None:
    """A name or a comment with line breaks in it runs nothing where the script is run."""
    with TemporaryDirectory(prefix="z") as directory:  # short: a name has 63 bytes
        touched, file = Path(directory) / "t", Path(directory) / "s.sql"
        name = NAMES[case].replace("{file}", str(touched))
        assert len(name.encode()) < 64
        one = quote(name)
        database.psql(
            f"CREATE TABLE {one} (id int PRIMARY KEY, {one} text UNIQUE CHECK ({one} <> ''));"
            f"COMMENT ON COLUMN {one}.{one} IS {literal(name)};"
            f"INSERT INTO {one} VALUES (1, {literal(name)});"
        )
        schema_before = database.schema()
        with open_session(database) as session:
            session(f"SET standard_conforming_strings = {conforming}")
            relation = session("SELECT oid FROM pg_class WHERE relkind = 'r' ORDER BY oid DESC")
            column = session(
                f"SELECT attname::text FROM pg_attribute WHERE attrelid = {relation} AND attnum = 2"
            ).replace("'", "''")
            if conforming == "off":
                column = column.replace("\\", "\\\\")
            for call in (
                f"soft_drop_column({relation}, '{column}', reason => '{column}')",
                f"archive_table({relation}, migration_id => '{column}')",
            ):
                artifact = session(f"SELECT zanith.{call}")
                text = session(
                    "SELECT recovery_sql FROM zanith._zanith_migration_artifacts"
                    f" WHERE id = '{artifact}'"
                )
                file.write_bytes(
                    f"SET standard_conforming_strings = {conforming};\n{text}".encode()
                )
                database.psql(file=file)
                assert not touched.exists()
                assert database.schema() == schema_before
                assert session(f"SELECT {one} FROM {one}") == name


def test_the_installation_is_the_same_whatever_psql_was_told(bare_database, database) -> None:
    """`zanith init --print`, under other settings and variables, installs what `zanith init` does."""
    start = "SET standard_conforming_strings = off; SET backslash_quote = on;\n"
    names = [word for name in ("USER", "n", "c", "ord", "i") for word in ("-v", f"{name}=1); --")]
    bare_database.psql(start + schema.print_sql(), args=tuple(names))
    functions = (
        "SELECT oid::regprocedure, md5(pg_get_functiondef(oid)) FROM pg_proc"
        " WHERE pronamespace = 'zanith'::regnamespace ORDER BY 1::text"
    )
    printed, made = (set(db.psql(functions).splitlines()) for db in (bare_database, database))
    assert printed ^ made == set()
    assert bare_database.schema() == database.schema()


def test_text_that_looks_like_the_end_of_a_transaction_stays(
    database: Database, create_role, tmp_path: Path
) -> None:
    """A script of another role's table ends with a reset of the session; what it restores is text."""
    owner = create_role("owner")
    said = "one\nCOMMIT;\ntwo"
    database.psql(
        f"CREATE SCHEMA s AUTHORIZATION {owner}; SET ROLE {owner};"
        "CREATE TABLE s.t (id int PRIMARY KEY, c text DEFAULT E'\\nCOMMIT;\\n');"
        "COMMENT ON COLUMN s.t.c IS E'one\\nCOMMIT;\\ntwo'; INSERT INTO s.t VALUES (1)"
    )
    made = database.psql("SELECT zanith.archive_column('s.t', 'c')")
    assert "\nRESET ALL;" in recovery_sql(database, made)
    restore_by_psql(database, made, tmp_path)
    assert (
        database.psql(
            "SELECT col_description('s.t'::regclass, attnum) FROM pg_attribute"
            " WHERE attrelid = 's.t'::regclass AND attname = 'c'"
        )
        == said
    )
    kept = "SELECT c = E'\\nCOMMIT;\\n' FROM s.t"
    assert database.psql(kept) == "t"
