"""Forms of the column c: every built-in type, and what a column may be besides a type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.oracle.features import CHILDREN, PARTS, PLAIN, STRATEGIES, TABLE


@dataclass(frozen=True)
class ColumnForm:
    """What the column c is: its definition, values for nine rows, and where that can be captured."""

    name: str
    sql: str
    values: tuple[str, ...]  # SQL, one a row, from the first row on
    number: bool = False
    before: str = ""
    after: str = ""  # of the table, and before any feature
    since: int = 15
    strategies: tuple[str, ...] = STRATEGIES
    kinds: tuple[str, ...] = (PLAIN, PARTS, CHILDREN)
    group: str = ""  # what coverage counts it as, where not by its name


NUMBERS = tuple(str(n * 2) for n in range(1, 10))
BUILT_IN = {
    "bigint": ("9223372036854775807", "-1", "NULL"),
    "boolean": ("true", "false", "NULL"),
    "bytea": (r"'\x00ff0a'", "''", "NULL"),
    '"char"': ("'x'", "''", "NULL"),
    "name": ("'pg'", "'a b'", "NULL"),
    "text": ("'it''s'", "''", "E'tab\\t\\nline'"),
    "varchar(9)": ("'abc'", "' '", "NULL"),
    "char(5)": ("'ab'", "''", "NULL"),
    'text COLLATE "C"': ("'B'", "'a'", "NULL"),
    "numeric(12, 4)": ("1.5", "'NaN'", "NULL"),
    "numeric": ("'Infinity'", "1e-30", "123456789012345678901234567890"),
    "real": ("0.1", "'-Infinity'", "NULL"),
    "double precision": ("1e-300", "'NaN'", "0.1"),
    "money": ("12.5", "-1", "NULL"),
    "date": ("'2020-02-29'", "'infinity'", "'0044-03-15 BC'"),
    "time(3)": ("'24:00'", "'01:02:03.456'", "NULL"),
    "time with time zone": ("'01:02:03+05:30'", "NULL", "NULL"),
    "timestamp": ("'2020-01-01 00:00:00.000001'", "'-infinity'", "NULL"),
    "timestamp(2) with time zone": ("'2020-01-01 12:00+05'", "NULL", "NULL"),
    "interval": ("'1 mon -2 days 03:04:05.678'", "'0'", "NULL"),
    "interval day to second(3)": ("'3 days 04:05:06.789'", "NULL", "NULL"),
    "bit(4)": ("B'1010'", "NULL", "NULL"),
    "bit varying": ("B'1'", "B''", "NULL"),
    "uuid": ("'00000000-0000-0000-0000-000000000001'", "NULL", "NULL"),
    "inet": ("'10.0.0.1/24'", "'::1'", "NULL"),
    "cidr": ("'10.0.0.0/8'", "NULL", "NULL"),
    "macaddr": ("'08:00:2b:01:02:03'", "NULL", "NULL"),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'", "NULL", "NULL"),
    "json": ("""'{"b": 1,\n "b": 2}'""", "'[1,  2]'", "NULL"),
    "jsonb": ("""'{"a": [null, 1.50]}'""", "'null'", "NULL"),
    "jsonpath": ("'$.a[*]'", "NULL", "NULL"),
    "xid8": ("'77'", "NULL", "NULL"),
    "pg_lsn": ("'16/B374D848'", "NULL", "NULL"),
    "oid": ("4294967295", "0", "NULL"),
    "regclass": ("'pg_class'", "NULL", "NULL"),
    "regtype": ("'int4'", "NULL", "NULL"),
    "tid": ("'(1,2)'", "NULL", "NULL"),
    "tsvector": ("'a:1 b:2'", "''", "NULL"),
    "tsquery": ("'a & !b'", "NULL", "NULL"),
    "point": ("'(1.5,2)'", "NULL", "NULL"),
    "line": ("'{1,2,3}'", "NULL", "NULL"),
    "lseg": ("'[(0,0),(1,1)]'", "NULL", "NULL"),
    "box": ("'(2,2),(0,0)'", "NULL", "NULL"),
    "path": ("'[(0,0),(1,1)]'", "NULL", "NULL"),
    "polygon": ("'((0,0),(1,1),(1,0))'", "NULL", "NULL"),
    "circle": ("'<(0,0),1>'", "NULL", "NULL"),
    "int4range": ("'[1,5)'", "'empty'", "NULL"),
    "numrange": ("'(1.5,]'", "NULL", "NULL"),
    "tstzrange": ("'[2020-01-01Z,)'", "NULL", "NULL"),
    "daterange": ("'[2020-01-01,2020-02-01)'", "NULL", "NULL"),
    "int8multirange": ("'{[1,5),[7,9)}'", "'{}'", "NULL"),
    "int[]": ("'{1,NULL,3}'", "'[0:1][1:2]={{1,2},{3,4}}'", "'{}'"),
    "text[]": ("""'{"a,b","",NULL}'""", "NULL", "'{}'"),
    "jsonb[]": ("""ARRAY['{"a": 1}'::jsonb]""", "NULL", "NULL"),
}
MADE = "CREATE TYPE mood AS ENUM ('sad', 'o k'); CREATE TYPE pair AS (x int, \"Y y\" text);\
CREATE DOMAIN pos AS bigint CHECK (VALUE > 0); CREATE DOMAIN big AS pos DEFAULT 12 CHECK (VALUE < 1000000000);\
CREATE DOMAIN tags AS text[] CHECK (array_length(VALUE, 1) < 4) NOT NULL DEFAULT '{z}';\
CREATE DOMAIN good AS pair CHECK ((VALUE).x > 0); CREATE TYPE frange AS RANGE (subtype = float8);\
CREATE DOMAIN must AS bigint NOT NULL; CREATE DOMAIN held AS must CHECK (VALUE IS NOT NULL AND VALUE > -1000000);\
CREATE DOMAIN whole AS pair CHECK (VALUE IS NOT NULL); CREATE DOMAIN lists AS must[] NOT NULL CHECK (cardinality(VALUE) < 9)"
OWN = {
    "mood": ("'sad'", "'o k'", "NULL"),
    "mood[]": ("'{sad,NULL}'", "NULL", "NULL"),
    "pair": ("'(1,\"a,b\")'", "'(,)'", "NULL"),
    "pair[]": ("ARRAY['(1,x)'::pair]", "NULL", "NULL"),
    "tags": ("'{a,b}'", "'{}'", "'{c}'"),
    "good": ("'(1,a)'", "NULL", "NULL"),
    "pos[]": ("'{1,2}'", "NULL", "NULL"),
    "whole": ("'(1,a)'", "'(2,\"b,c\")'", "'(3,\"\")'"),
    "lists": ("'{1,2}'", "'{}'", "'{3}'"),
    "must[]": ("'{1,2}'", "NULL", "'{}'"),
    "frange": ("'[1.5,2.5]'", "'empty'", "NULL"),
}

# types that hold others, or that not every server has; each with what makes it
NEST = "CREATE TYPE nest AS (p pair, m mood[], r frange, g good)"
MILD = "CREATE DOMAIN mild AS mood DEFAULT 'sad' CHECK (VALUE <> 'o k')"
ROOMY = "CREATE DOMAIN roomy AS int4multirange CHECK (NOT isempty(VALUE)); CREATE DOMAIN rooms AS roomy[]"
XML = (
    "CREATE FUNCTION xml_of(text) RETURNS xml LANGUAGE plpgsql AS $xml$BEGIN RETURN $1::xml;"
    " EXCEPTION WHEN feature_not_supported THEN RETURN NULL; END$xml$"
)
FOLDED = (  # two that differ in case are equal, where the server has ICU
    "DO $folded$BEGIN EXECUTE format('CREATE COLLATION %s (provider = icu, locale = ''und-u-ks-level2'',"
    " deterministic = false)', '[nd]'); EXCEPTION WHEN feature_not_supported THEN"
    " EXECUTE format('CREATE COLLATION %s (locale = ''C'')', '[nd]'); END$folded$"
)
NESTED = {
    "nest": (NEST, "ROW(ROW(1, 'a,b'), '{sad,NULL}', '[1,2)', NULL)::nest", "NULL"),
    "nest[]": (NEST, "ARRAY[ROW(ROW(1, NULL), NULL, 'empty', '(3,x)')::nest, NULL]", "'{}'"),
    "mild": (MILD, "'sad'", "NULL"),
    "mild[]": (MILD, "'{sad,sad}'", "NULL"),
    "rooms": (ROOMY, """'{"{[1,3)}","{[4,5),[7,9)}"}'""", "NULL"),
    "roomy": (ROOMY, "'{[1,3),[5,7)}'", "NULL"),
    "tags[]": ("", """'{"{a,b}","{c}"}'""", "'{}'"),
    "fmultirange": ("", "'{[1.5,2.5),[3,4)}'", "'{}'"),
    "xml": (XML, "xml_of('<a b=\"1\"/>')", "NULL"),
    "text COLLATE [nd]": (FOLDED, "'Ab'", "'x'"),
    "varchar(7)[] COLLATE [nd]": (FOLDED, "'{Ab,x}'", "NULL"),
    "pg_snapshot": ("", "'10:20:10,14,15'", "NULL"),
    "regprocedure": ("", "'sin(float8)'", "NULL"),
    "bit(3)[]": ("", "'{101,110}'", "NULL"),
    "timestamp(2)[]": ("", "'{2020-01-01 00:00:00.12,infinity}'", "NULL"),
    "money[]": ("", "'{1.5,-2}'", "NULL"),
    "numeric(6, -2)": ("", "1234", "NULL"),
    "interval year to month": ("", "'3 years 2 mons'", "NULL"),
    "varchar(5) DEFAULT 'a' || CURRENT_USER::varchar(2)": ("", "'x'", "NULL"),
}
PERIODS = tuple(f"'[2020-0{n}-01,2020-0{n}-21)'" for n in range(1, 10))

GROUPS = {
    "array": r"\[\]|tags|lists|rooms",
    "range": "range",
    "made here": "mood|pair|good|whole|nest|mild|roomy",
    "json": "json",
    "time": "date|time|interval",
    "number": "int|numeric|real|double|money",
    "text": "text|char|name",
    "bits": "bit|bytea|bool|uuid",
    "network": "inet|cidr|macaddr",
    "geometric": "point|line|lseg|box|path|polygon|circle",
    "system": "",
}


def _group(name: str) -> str:
    return next(group for group, pattern in GROUPS.items() if re.search(pattern, name))


FORMS = [
    ColumnForm("int", "int", NUMBERS, number=True),
    ColumnForm("not null", "int NOT NULL", NUMBERS, number=True),
    ColumnForm("default", "int DEFAULT 3", NUMBERS, number=True),
    ColumnForm("not null default", "bigint NOT NULL DEFAULT 1 + 2", NUMBERS, number=True),
    ColumnForm("default call", "int DEFAULT give(3) NOT NULL", NUMBERS, number=True),
    ColumnForm("domain", "pos", NUMBERS, number=True),
    ColumnForm("domain of domain", "big NOT NULL", NUMBERS, number=True),
    ColumnForm("domain not null", "must", NUMBERS, number=True),
    ColumnForm("domain that refuses NULL", "held DEFAULT 7", NUMBERS, number=True),
    ColumnForm("serial", "serial", NUMBERS, number=True),
    ColumnForm(
        "shared sequence",
        "int DEFAULT nextval('[sq]')",
        NUMBERS,
        number=True,
        before="CREATE SEQUENCE [sq] INCREMENT 5; CREATE TABLE sharer (n int DEFAULT nextval('[sq]'))",
    ),
    ColumnForm(
        "identity",
        "int GENERATED BY DEFAULT AS IDENTITY (START 50 INCREMENT 5 CACHE 3)",
        NUMBERS,
        number=True,
    ),
    ColumnForm(
        "identity always",
        "bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME [sq] MINVALUE -9 START 60 CYCLE)",
        (),
        number=True,
    ),
    ColumnForm(
        "generated",
        "int GENERATED ALWAYS AS ([a] * 100 + [id]) STORED",
        (),
        strategies=("archive_column", *TABLE, "rebuild_table"),
    ),
    ColumnForm(
        "generated virtual",
        "int GENERATED ALWAYS AS ([a] + [id]) VIRTUAL",
        (),
        since=18,
        strategies=("archive_column", *TABLE, "rebuild_table"),
    ),
    ColumnForm(
        "named not null",
        "int CONSTRAINT [nn] NOT NULL",
        NUMBERS,
        number=True,
        since=18,
    ),
    ColumnForm(
        "not null no inherit",
        "int CONSTRAINT [nn] NOT NULL NO INHERIT",
        NUMBERS,
        number=True,
        since=18,
        kinds=(PLAIN,),
    ),
    ColumnForm(
        "storage", "text STORAGE EXTERNAL COMPRESSION pglz", ("repeat('x', 4000)",), since=16
    ),
    ColumnForm(
        "storage changed",
        "text DEFAULT 'long'",
        ("repeat('x', 4000)", "'short'", "NULL"),
        after="ALTER TABLE [t] ALTER [c] SET STORAGE MAIN, ALTER [c] SET COMPRESSION pglz",
    ),
    ColumnForm(  # rows from before it was added have no value stored
        "added to rows",
        "int",
        (),
        number=True,
        after="ALTER TABLE [t] DROP [c]; ALTER TABLE [t] ADD [c] int DEFAULT 5 NOT NULL;"
        "UPDATE [t] SET [c] = [id] * 2 WHERE [id] > 4",
    ),
    ColumnForm(
        "owned sequence",
        "int DEFAULT 4",
        NUMBERS,
        number=True,
        before="CREATE SEQUENCE [sq] AS smallint INCREMENT -1 MINVALUE -9 MAXVALUE 90 CYCLE",
        after="ALTER SEQUENCE [sq] OWNED BY [t].[c]; SELECT setval('[sq]', 17, false)",
    ),
    ColumnForm(
        "serial with grants",
        "int DEFAULT nextval('[sq]') * 2",
        NUMBERS,
        number=True,
        before="CREATE UNLOGGED SEQUENCE [sq] INCREMENT 3 CACHE 7",
        after="ALTER SEQUENCE [sq] OWNED BY [t].[c]; COMMENT ON SEQUENCE [sq] IS 'it''s counted';"
        "GRANT USAGE ON SEQUENCE [sq] TO :reader WITH GRANT OPTION; GRANT SELECT ON [sq] TO PUBLIC",
    ),
    ColumnForm(
        "identity with grants",
        "smallint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME [sq] INCREMENT BY -2)",
        NUMBERS,
        number=True,
        after="COMMENT ON SEQUENCE [sq] IS 'of identity'; GRANT UPDATE ON SEQUENCE [sq] TO :writer;"
        "SELECT setval('[sq]', -77)",
    ),
    ColumnForm(
        "excluded",
        "daterange",
        PERIODS,
        kinds=(PLAIN, CHILDREN),
        after="ALTER TABLE [t] ADD CONSTRAINT [ex] EXCLUDE USING gist ([c] WITH &&, daterange(NULL, '2020-05-05') WITH"
        " &&) WHERE ([a] > 5) DEFERRABLE",
    ),
    ColumnForm(
        "period",
        "daterange NOT NULL",
        PERIODS,
        since=18,
        kinds=(PLAIN,),
        after="ALTER TABLE [t] ADD [room] int4range DEFAULT '[1,2)', ADD CONSTRAINT [over] UNIQUE ([room], [c] WITHOUT OVERLAPS);"
        "CREATE TABLE [guest] (r int4range, p daterange, CONSTRAINT [stay] FOREIGN KEY (r, PERIOD p) REFERENCES [t] ([room],"
        " PERIOD [c])); INSERT INTO [guest] VALUES ('[1,2)', '[2020-01-03,2020-01-05)')",
    ),
    *(
        ColumnForm(
            f"type {name}", name, tuple(values), before=made, group=f"nested type: {_group(name)}"
        )
        for name, (made, *values) in NESTED.items()
    ),
    *(
        ColumnForm(f"type {name}", name, values, group=f"type: {_group(name)}")
        for name, values in {**BUILT_IN, **OWN}.items()
    ),
]
