"""Promise 5: names, expressions and comments in recovery_sql are data, which psql never takes for commands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.recovery.db import installer
from tests.acceptance.scripts import CASCADE
from tests.conftest import Database
from tests.oracle.judges import (
    literal,
    open_session,
    quote,
    recovery_sql,
    restore_by_psql,
)

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
    bare_database.psql(start + installer.print_sql(), args=tuple(names))
    functions = (
        "SELECT oid::regprocedure, md5(pg_get_functiondef(oid)) FROM pg_proc"
        " WHERE prokind = 'f'"
        " AND pronamespace = 'zanith'::regnamespace ORDER BY 1::text"
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
