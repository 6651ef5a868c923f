"""Names that quoting could spoil, and tables as wide as PostgreSQL lets them be."""

from __future__ import annotations

from tests.acceptance.shapes import CASCADE, SOFT
from tests.oracle.judges import Shape

LONG = "x" * 34
HOSTILE = [
    'quo"te',
    "apo's",
    "dot.ted",
    "sp ace",
    "naïve",
    "😀" * 15,
    "new\nline",
    "tab\t",
    "back\\slash",
    "$$dollar$do$",
    "UPPER",
    "select",
    "%s%I%L",
    "{brace}",
    ":colon",
    ":reader",
    "a" * 63,
    "é" * 31,
    LONG + "one",
    LONG + "two",
    "-- comment",
    "/* c */",
    ";",
    "$quiet$",
    "E'x'",
    "`",
    "$fill$",
    "$",
    "ü" * 20 + "…" * 7,
    "null",
    "\\gexec",
    "\\",
    "t.c",
    "count",
    "r",
    "a",
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def hostile_table(name: str) -> str:
    """A table, all of whose parts bear the name or begin with it."""
    q, lit = quoted(name), "'" + name.replace("'", "''") + "'"
    lit = lit if "\\" not in name else " E" + lit.replace("\\", "\\\\")
    # psql would take :reader for a variable, only outside of quotes
    return (
        f"CREATE TABLE {q} (id int PRIMARY KEY, "
        f"{q} text DEFAULT {lit} NOT NULL CONSTRAINT {q} CHECK ({q} <> ''), z text);"
        f"INSERT INTO {q} VALUES (1, {lit}), (2, 'x'); CREATE INDEX ON {q} ({q}, z); "
        f"CREATE INDEX ON {q} (z) WHERE {q} > '';"
        f"COMMENT ON COLUMN {q}.{q} IS {lit}; CREATE UNIQUE INDEX ON {q} (({q} || z)); "
        f"GRANT SELECT ({q}) ON {q} TO :reader;"
        f"CREATE VIEW {quoted('v')} AS SELECT {q} FROM {q}; "
        f"ALTER TABLE {q} ADD FOREIGN KEY (id) REFERENCES {q}"
    )


NAMES = {
    name[:50] if len(name) < 60 else f"long{n}": Shape(hostile_table(name), name, name, CASCADE)
    for n, name in enumerate(HOSTILE)
}
NAMES["near_names"] = Shape(
    f'CREATE TABLE t (id int PRIMARY KEY, "{LONG}1" text, c text NOT NULL, '
    f"\"{LONG}2\" text UNIQUE); INSERT INTO t VALUES (1, 'a', 'b', 'c')",
    column=LONG + "1",
)

WIDE = {
    "nearly_full": Shape(
        "SELECT format('CREATE TABLE t (id int PRIMARY KEY, %s)', "
        "string_agg(format('c%s smallint', n), ',')) FROM generate_series(1, 1598) n \\gexec\n"
        "ALTER TABLE t RENAME c800 TO c; INSERT INTO t (id, c, c1598) VALUES (1, 7, 9)"
    ),
    "full": Shape(
        "SELECT format('CREATE TABLE t (id int PRIMARY KEY, %s)', "
        "string_agg(format('c%s smallint', n), ',')) FROM generate_series(1, 1599) n \\gexec\n"
        "ALTER TABLE t RENAME c800 TO c; ALTER TABLE t ALTER c SET NOT NULL; "
        "INSERT INTO t (id, c, c1599) VALUES (1, 7, 9)",
        only=SOFT,
    ),
}
