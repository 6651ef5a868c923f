"""Rewriting a migration: each drop becomes its capture, and no other byte changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.migrate.read.statements import Unreadable
from app.migrate.rewriting.files import find_files, rewrite_files, write_files
from app.migrate.rewriting.rewrite import literal, rewrite
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.names import quote

# statements that stay, each with what a reader by hand would take for a drop or for an end
KEPT = (
    "SELECT 'DROP TABLE a; -- '",
    "SELECT $q$ ; DROP TABLE a; $q$",
    "SELECT $$ $q$ ; $$, 1",
    "/* DROP TABLE a; /* nested ; */ */ SELECT 1",
    "-- DROP TABLE a;\nSELECT 2",
    'CREATE TABLE "DROP TABLE a;" ("x;y" int)',
    "SELECT E'\\' ; DROP TABLE a; '",
    "CREATE INDEX ON t (a)",
    "DROP INDEX i CASCADE",
    "DROP VIEW v CASCADE",
    "DROP MATERIALIZED VIEW m",
    "DROP SCHEMA s",
    "DROP TYPE y",
    "ALTER TABLE t ADD COLUMN dropped int, DROP CONSTRAINT k CASCADE, ALTER COLUMN c DROP DEFAULT",
    "ALTER VIEW v RENAME TO w",
    "DELETE FROM t",
    "INSERT INTO t VALUES ('é😀', 'drop')",
    "BEGIN",
    "COMMIT",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
)
BETWEEN = ("", " ", "\n", "\r\n", "\t-- é; DROP TABLE a\n", "/* ; é */", " \n\n ")
NAMES = st.one_of(
    st.sampled_from(
        ("orders", "Orders", "a.b", 'q"q', "é😀", "it's", "back\\slash", "x\ny", "select")
    ),
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20
    ).filter(lambda name: len(name.encode()) < 64),
)


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


@st.composite
def drops(draw):
    """Return a statement that drops, and what it has to become."""
    parts = tuple(draw(st.lists(NAMES, min_size=1, max_size=2)))
    column = draw(NAMES)
    cascade = draw(st.booleans())
    more = ", on_dependents => 'cascade'" if cascade else ""
    behaviour = " CASCADE" if cascade else draw(st.sampled_from(("", " RESTRICT")))
    relation, name = literal(quote(parts)), quoted(*parts)
    form = draw(st.sampled_from(("table", "column", "mixed")))
    if form == "table":
        return f"DROP TABLE {name}{behaviour}", f"SELECT zanith.archive_table({relation}{more})"
    capture = f"SELECT zanith.archive_column({relation}, {literal(column)}{more})"
    drop = f"DROP {draw(st.sampled_from(('', 'COLUMN ')))}{quoted(column)}{behaviour}"
    if form == "column":
        return f"alter  table {name}\n {drop}", capture
    others = draw(
        st.permutations((drop, "ADD z int DEFAULT (f(1, ARRAY[2, 3]))", "ALTER y SET DEFAULT ','"))
    )
    kept = ", ".join(other for other in others if other != drop)
    return f"ALTER TABLE {name} {', '.join(others)}", f"{capture}; ALTER TABLE {name} {kept}"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(KEPT).map(lambda sql: (sql, sql)), drops()),
            st.sampled_from(BETWEEN),
            st.sampled_from(BETWEEN),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_each_drop_becomes_its_capture_and_no_other_byte_changes(pieces, ended):
    def text(at: int) -> bytes:
        parts = [f"{before}{piece[at]}{after}" for piece, before, after in pieces]
        return (";".join(parts) + (";\n" if ended else "")).encode()

    result = rewrite(text(0))
    assert result.data == text(1)
    assert len(result.changes) == sum(piece[0] != piece[1] for piece, _, _ in pieces)
    assert rewrite(result.data).data == result.data  # a second time changes nothing


@pytest.mark.parametrize(
    ("sql", "becomes"),
    [
        (
            "DROP TABLE a, s.b CASCADE",
            "SELECT zanith.archive_table('a', on_dependents => 'cascade'); "
            "SELECT zanith.archive_table('s.b', on_dependents => 'cascade')",
        ),
        (
            "DROP TABLE IF EXISTS a",
            "SELECT zanith.archive_table(t.oid) FROM pg_catalog.to_regclass('a') t(oid) "
            "WHERE t.oid IS NOT NULL",
        ),
        (
            "ALTER TABLE t DROP a, DROP COLUMN b",
            "SELECT zanith.archive_column('t', 'a'); SELECT zanith.archive_column('t', 'b')",
        ),
        (
            "ALTER TABLE t * DROP a, ADD b int",
            "SELECT zanith.archive_column('t', 'a'); ALTER TABLE t * ADD b int",
        ),
        (
            "ALTER TABLE IF EXISTS t DROP a",
            "SELECT zanith.archive_column(t.oid, 'a') FROM pg_catalog.to_regclass('t') t(oid) "
            "WHERE t.oid IS NOT NULL",
        ),
        (
            "ALTER TABLE t DROP IF EXISTS a",
            "SELECT zanith.archive_column(a.attrelid, a.attname) FROM pg_catalog.pg_attribute a "
            "WHERE a.attrelid = 't'::pg_catalog.regclass AND a.attname = 'a'"
            " AND NOT a.attisdropped",
        ),
        ("\ufeffDROP TABLE a", "\ufeffSELECT zanith.archive_table('a')"),
    ],
)
def test_forms(sql, becomes):
    assert rewrite(sql.encode()).data.decode() == becomes


def test_the_strategy_and_the_migration_are_chosen():
    sql = b"DROP TABLE a; ALTER TABLE b DROP c"
    assert rewrite(sql, "soft_drop", "it's 42").data.decode() == (
        "SELECT zanith.soft_drop_table('a', migration_id => 'it''s 42'); "
        "SELECT zanith.soft_drop_column('b', 'c', migration_id => 'it''s 42')"
    )


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("TRUNCATE a", "TRUNCATE deletes the rows"),
        ("DROP SCHEMA s CASCADE", "DROP SCHEMA"),
        ("DROP OWNED BY r", "DROP OWNED"),
        ("DROP DATABASE d", "DROP DATABASE"),
        ("DROP TYPE y CASCADE", "DROP TYPE … CASCADE"),
        ("DROP DOMAIN y CASCADE", "DROP DOMAIN … CASCADE"),
        ("DROP EXTENSION e CASCADE", "DROP EXTENSION … CASCADE"),
        ("DROP FUNCTION f() CASCADE", "DROP FUNCTION … CASCADE"),
        ("ALTER TABLE ONLY t DROP c", "ONLY leaves the column"),
        ("ALTER TABLE t ALTER c TYPE int USING c::int", "can change the values"),
        ("ALTER TYPE y DROP ATTRIBUTE a", "DROP ATTRIBUTE"),
        ("DO $$ BEGIN DROP TABLE a; END $$", "a DO block drops something"),
        ("DO 'BEGIN EXECUTE $x$TRUNCATE a$x$; TRUNCATE b; END'", "a DO block drops something"),
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN DROP TABLE a; END$$",
            "a function drops something",
        ),
        ("CREATE TEMP TABLE a (); DROP TABLE a, b", "temporary tables and others"),
    ],
)
def test_what_still_loses_something_is_named_and_stays(sql, reason):
    result = rewrite(sql.encode())
    assert result.data == sql.encode()
    [left] = result.left
    assert reason in left.reason
    assert left.hint


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE a (); DROP TABLE a",
        "CREATE TEMPORARY TABLE a AS SELECT 1; DROP TABLE IF EXISTS a",
        "SELECT 1 AS x INTO TEMP a; ALTER TABLE a DROP x",
        "DROP TABLE pg_temp.a",
        "DROP FOREIGN TABLE a",
        "DO $$ BEGIN RAISE NOTICE 'DROP TABLE a'; END $$",
    ],
)
def test_what_loses_nothing_is_left_alone(sql):
    result = rewrite(sql.encode())
    assert (result.data, result.changes, result.left) == (sql.encode(), (), ())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SELECT 1;\n\\d t", "f.sql:2:1: \\d is a psql command"),
        ("SELECT 'é😀';\n\nDROP TABLE :name".encode(), "f.sql:3:12: syntax error"),
        (b"SELECT 1;\nSELEC 2", "f.sql:2:1: syntax error"),
        (b"DROP TABLE a;\n-- \xe9", "f.sql:2:4: the file is not UTF-8"),
        (b"DROP TABLE a;\n\0", "f.sql:2:1: the text holds a zero byte"),
        (b"SELECT 'open", "f.sql:1:8: unterminated quoted string"),
        (b"COPY t FROM stdin;\n1\tx\n\\.\n", "f.sql:2:1: syntax error"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(data, said):
    with pytest.raises(Unreadable) as caught:
        rewrite(data, name="f.sql")
    assert caught.value.message.startswith(said)
    assert caught.value.hint


def test_files_are_written_all_or_none(tmp_path):
    good, bad = tmp_path / "1_good.sql", tmp_path / "2_bad.sql"
    good.write_text("DROP TABLE a;")
    bad.write_text("DROP TABLE :a;")
    with pytest.raises(Unreadable, match=r"2_bad.sql:1"):
        rewrite_files(find_files([tmp_path]))
    bad.write_text("\\echo nothing here\n")
    good.chmod(0o640)
    files = rewrite_files(find_files([tmp_path]))
    assert write_files(files) == 1
    assert good.read_text() == "SELECT zanith.archive_table('a', migration_id => '1_good');"
    assert good.stat().st_mode & 0o777 == 0o640
    assert [bool(file.skipped) for file in files] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1_good.sql", "2_bad.sql"]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real.sql", tmp_path / "link.sql"
    real.write_text("DROP TABLE a")
    link.symlink_to(real)
    write_files(rewrite_files([link], migration_id=""))
    assert link.is_symlink()
    assert real.read_text() == "SELECT zanith.archive_table('a')"


def test_files_are_found_by_name_and_hidden_ones_are_not(tmp_path):
    for name in ("b/2.sql", "a/1.sql", ".git/3.sql", "a/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = [str(path.relative_to(tmp_path)) for path in find_files([tmp_path])]
    assert found == ["a/1.sql", "b/2.sql"]
    with pytest.raises(NotFound):
        find_files([tmp_path / "nowhere"])
    with pytest.raises(WrongUsage, match="not a SQL file"):
        find_files([tmp_path / "a/readme.md"])
