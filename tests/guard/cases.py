"""Which shapes are dropped in which forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count, cycle

from tests.acceptance.shapes.columns import TYPES, VALUES
from tests.acceptance.shapes.constraints import CONSTRAINTS, INDEXES, KEYS
from tests.acceptance.shapes.dependents import BESIDE, VIEWS
from tests.acceptance.shapes.families import CASCADES, INHERITED_TABLES, PARTITIONED_COLUMNS
from tests.acceptance.shapes.names import NAMES
from tests.acceptance.shapes.partitions import PARTITIONS
from tests.acceptance.shapes.tables import TABLES
from tests.guard.forms import OF_COLUMNS, OF_DEFINITIONS, OF_TABLES, OF_TRUNCATES, OF_TYPES, Form
from tests.guard.twin import Case
from tests.oracle.judges import Shape

COLUMNS: dict[str, dict[str, Shape]] = {
    "values": VALUES,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "keys": KEYS,
    "views": VIEWS,
    "beside": BESIDE,
    "families": PARTITIONED_COLUMNS,
    "cascades": CASCADES,
    "types": TYPES,
    "names": NAMES,
}
WHOLE: dict[str, dict[str, Shape]] = {
    "tables": TABLES,
    "partitions": PARTITIONS,
    "inherited": INHERITED_TABLES,
}
SIMPLEST = {
    "definitions": Shape(
        "CREATE FUNCTION kept_touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE FUNCTION kept_f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        " CREATE TABLE t (id int CONSTRAINT kept_pk PRIMARY KEY, c text DEFAULT 'x', b int"
        " CONSTRAINT kept_c CHECK (kept_f(b) > 0), n int GENERATED ALWAYS AS IDENTITY, s serial,"
        " CONSTRAINT kept_x UNIQUE (c, id)); INSERT INTO t VALUES (1, 'a', 2), (2, NULL, 3);"
        " CREATE TABLE kept_o (t_id int CONSTRAINT kept_fk REFERENCES t);"
        " INSERT INTO kept_o VALUES (1); CREATE INDEX kept_i ON t (c); CREATE UNIQUE INDEX kept_u"
        " ON t (kept_f(b)); CREATE STATISTICS kept_s ON b, c FROM t; CREATE TRIGGER kept_g BEFORE"
        " INSERT ON t FOR EACH ROW WHEN (kept_f(NEW.b) > 0) EXECUTE FUNCTION kept_touch();"
        " CREATE POLICY kept_p ON t USING (kept_f(b) > 0); CREATE RULE kept_r AS ON DELETE TO t"
        " WHERE OLD.c = 'late' DO INSTEAD NOTHING; CREATE VIEW kept_v AS SELECT kept_f(b) AS x"
        " FROM t; COMMENT ON VIEW kept_v IS 'v'; CREATE VIEW kept_w AS SELECT x FROM kept_v;"
        " CREATE MATERIALIZED VIEW kept_m AS SELECT id FROM t; CREATE INDEX kept_mi ON kept_m (id);"
        " CREATE PROCEDURE kept_p(int) LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE kept_a(int)"
        " (SFUNC = int4pl, STYPE = int); CREATE SEQUENCE kept_q START 5; CREATE TYPE kept_e AS ENUM"
        " ('a'); CREATE FUNCTION kept_of(kept_e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        " CREATE DOMAIN kept_d AS int CHECK (VALUE > 0)",
        column=None,
    ),
    "truncates": Shape(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, c text, s serial);"
        " INSERT INTO t (c) VALUES ('a'), (NULL);"
        " CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t);"
        " INSERT INTO u VALUES (1, 1), (2, 2)",
        column=None,
    ),
    "types": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c text, d int); CREATE INDEX ON t (c);"
        " INSERT INTO t VALUES (1, 'abc', 1), (2, NULL, 2), (3, 'de', 3)"
    ),
    "tables": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'a'), (2, NULL);"
        " CREATE VIEW v AS SELECT c FROM t",
        column=None,
    ),
    "columns": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c text, d int);"
        " INSERT INTO t VALUES (1, 'a', 1), (2, NULL, 2); CREATE INDEX ON t (c);"
        " CREATE VIEW v AS SELECT c FROM t"
    ),
}


def shapes_of(kind: str, version: int) -> dict[str, Shape]:
    """Return the shapes of a kind; a name becomes that of a schema, which some shapes use."""
    strategy = "archive_column" if kind == "columns" else "archive_table"
    groups: Mapping[str, Mapping[str, Shape]] = COLUMNS if kind == "columns" else WHOLE
    found: dict[str, Shape] = {}
    for group, shapes in groups.items():
        for name, shape in shapes.items():
            # a column that only the other strategy takes is captured that way
            # so does a TRUNCATE: the table stays
            takes = kind != "tables" or shape.takes(strategy, version)
            if takes and version >= shape.since and "keep" not in shape.options:
                found[f"{name}_{group}" if name in found else name] = shape
    return found


def forms_of(kind: str) -> dict[str, Form]:
    return {
        "tables": OF_TABLES,
        "columns": OF_COLUMNS,
        "truncates": OF_TRUNCATES,
        "types": OF_TYPES,
        "definitions": OF_DEFINITIONS,
    }[kind]


def every_form(kind: str, version: int) -> list[Case]:
    """Return the simplest shape in every form."""
    return [
        Case(f"f_{name}", SIMPLEST[kind], name, form, number)
        for number, (name, form) in enumerate(forms_of(kind).items())
    ]


def every_shape(kind: str, version: int, start: int = 0) -> list[Case]:
    """Return each shape in one form, all forms in turn, beginning with the `start`-th."""
    numbers = count()
    forms = cycle(forms_of(kind).items())
    for _ in range(start):
        next(forms)
    return [
        Case(name, replace(shape), *next(forms), next(numbers))
        for name, shape in shapes_of(kind, version).items()
    ]
