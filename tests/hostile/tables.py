"""The tables that operations are done to, and the proof that each hook can be seen.

`FIRE` has a plain statement for each hook that makes a superuser run it: the proof that the trap can report. `UNAVAILABLE`
lists the places that PostgreSQL keeps from such roles, each with the statement that it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.hostile.hooks import ACTING, JSON_CASTS, PLACES, acting, literal


@dataclass(frozen=True)
class Table:
    """A table that operations are done to: its key column, and the text of one key's value."""

    name: str
    key: str = "id"
    value: str = "1"
    columns: bool = True  # whether its column c can be archived: it has a key
    column: str = "c"  # which of its columns
    since: int = 0  # the version that it is there from
    schema: str = "harm"

    before: str = ""  # what the owner does first

    def __str__(self) -> str:
        column = "" if self.column == "c" else f".{self.column}"
        return f"{self.name}{column}{'-json' if self.before else ''}"

    def within(self, schema: str) -> Table:
        """Return the same in another schema."""
        return replace(self, schema=schema)

    @property
    def full(self) -> str:
        """Its name with its schema."""
        return f"{self.schema}.{self.name}"


TABLES = (
    Table("valued"),
    Table("eventful"),
    Table("ruled"),
    Table("instead"),
    Table("guarded"),
    Table("viewed"),
    Table("child"),
    Table("parent", key="k"),
    Table("keyed", key="k", value="a"),
    Table("keyed", key="k", value="a", before=JSON_CASTS),
    Table("cast_key", key="k", value="a"),
    Table("domains"),
    Table("composed"),
    Table("arrayed"),
    Table("ranged"),
    Table("literal"),
    Table("through"),
    Table("parted", columns=False),
    Table("listed", columns=False),
    Table("forest"),
)
# Columns that are no ordinary ones: generated, of a column that stays and of one that goes; virtual; an identity, alone and as the key.
COLUMNS = (
    Table("valued", column="g"),
    Table("valued", column="gc"),
    Table("valued", column="v", since=18),
    Table("numbered", column="i"),
    Table("numbered", column="id"),
)
# For each hook one statement that makes a superuser run it.
FIRE = {
    "default": "INSERT INTO harm.valued (id) VALUES (9)",
    "check": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "other default": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "other check": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "generated": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "generated from c": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "exclusion": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "exclusion predicate": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "index expression": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "other index expression": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "unique expression": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "index predicate": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "folded index predicate": "SELECT d FROM harm.valued",
    "operator": "INSERT INTO harm.valued (id, c) VALUES (9, 9)",
    "function with SET": "SELECT d FROM harm.valued",
    "statistics": "SELECT harm.tap('statistics', c) FROM harm.valued",
    "other statistics": "SELECT harm.tap('other statistics', d) FROM harm.valued",
    "before row trigger": "UPDATE harm.eventful SET d = 2",
    "after row trigger": "UPDATE harm.eventful SET d = 2",
    "statement trigger": "UPDATE harm.eventful SET d = 2",
    "transition trigger": "UPDATE harm.eventful SET d = 2",
    "deferred trigger": "UPDATE harm.eventful SET d = 2",
    "truncate trigger": "TRUNCATE harm.eventful",
    "trigger on c": "UPDATE harm.eventful SET c = 2",
    "trigger condition": "UPDATE harm.eventful SET d = 2",
    "trigger condition on c": "UPDATE harm.eventful SET d = 2",
    "insert rule": "INSERT INTO harm.ruled VALUES (9, 9, 9)",
    "update rule": "UPDATE harm.ruled SET d = 2",
    "delete rule": "DELETE FROM harm.ruled",
    "rule condition": "UPDATE harm.ruled SET d = 2",
    "instead rule": "DELETE FROM harm.instead",
    "policy": "SET ROLE {operator}; SELECT * FROM harm.guarded",
    "policy check": "SET ROLE {operator}; INSERT INTO harm.guarded VALUES (9, 9, 9)",
    "policy on c": "SET ROLE {operator}; SELECT * FROM harm.guarded WHERE d < 0 OR c > 0",
    "view": "SELECT * FROM harm.view_of",
    "security invoker view": "SELECT * FROM harm.invoking",
    "aggregate": "SELECT * FROM harm.summed",
    "materialized view": "SELECT harm.tap('materialized view', c) FROM harm.viewed",
    "index of materialized view": "SELECT harm.tap('index of materialized view', id) FROM harm.stored_view",
    "instead of trigger": "UPDATE harm.view_of SET d = 2",
    "rule of a view": "DELETE FROM harm.view_of",
    "argument default": "SELECT harm.standard()",
    "function body": "SELECT harm.standard()",
    "procedure": "CALL harm.procedure()",
    "cast to text": "SELECT lower(c) FROM harm.keyed",
    "cast to json": JSON_CASTS + "SELECT row_to_json(t) FROM harm.keyed t",
    "cast to jsonb": JSON_CASTS + "SELECT c::jsonb FROM harm.keyed",
    "cast from text": "INSERT INTO harm.keyed (k, c) VALUES ('z', 'a'::text)",
    "cast to integer": "ALTER TABLE harm.child DROP CONSTRAINT fk, ADD FOREIGN KEY (c) REFERENCES harm.parent (k)",
    "domain check": "INSERT INTO harm.domains (id) VALUES (9)",
    "domain over array": "INSERT INTO harm.arrayed VALUES (9, '{9}')",
    "domain in composite": "INSERT INTO harm.composed VALUES (9, '(9,z)')",
    "domain of the key": "INSERT INTO harm.keyed (k) VALUES ('z')",
    "range subtype_diff": "INSERT INTO harm.domains (id, c, s) SELECT n, n, harm.span(n, n + 1)"
    " FROM generate_series(10, 500) n",
    "partition key": "INSERT INTO harm.parted VALUES (3, 3, 3, 3)",
    "partition bound": "CREATE TABLE harm.listed_b PARTITION OF harm.listed FOR VALUES IN ('b')",
    "check of a partition": "INSERT INTO harm.forest VALUES (3, 3, 3)",
    "index of a partition": "INSERT INTO harm.forest VALUES (3, 3, 3)",
    "folded predicate of a partition": "SELECT * FROM harm.forest WHERE d > 0",
}
FIRE |= {f"literal in {place}": f"SELECT {literal(place)}" for place in PLACES}
FIRE |= {f"built-in in {place}": f"SELECT {acting(place)}" for place in ACTING}
FIRE |= {
    "built-in in default": "INSERT INTO harm.through (id) VALUES (9)",
    "built-in in check": "INSERT INTO harm.through (id, c) VALUES (9, 9)",
    "built-in in domain": "INSERT INTO harm.through (id, c, e) VALUES (9, 9, 9)",
    "built-in in view": "SELECT * FROM harm.through_view",
    "built-in in function body": "SELECT harm.through_body()",
}
# What a role that is no superuser cannot make, with the statement that PostgreSQL refuses.
UNAVAILABLE = {
    "pg_event_trigger": "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION harm.on_event()",
    "pg_opclass, pg_amproc, pg_amop": "CREATE OPERATOR CLASS harm.oc FOR TYPE int USING btree AS FUNCTION 1 harm.add(int, int)",
    "pg_type: input and output": "CREATE FUNCTION harm.base_in(cstring) RETURNS int LANGUAGE internal AS 'int4in'",
    "pg_type: a base type": "CREATE TYPE harm.base (INPUT = int4in, OUTPUT = int4out)",
    "pg_range: canonical": "CREATE TYPE harm.canon; CREATE FUNCTION harm.canonical(harm.canon) RETURNS harm.canon LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END'",
    "pg_proc: support": "CREATE FUNCTION harm.supported(int) RETURNS int LANGUAGE sql IMMUTABLE SUPPORT generate_series_int4_support AS 'SELECT 1'",
    "pg_language": "CREATE LANGUAGE evil HANDLER plpgsql_call_handler",
    "pg_foreign_data_wrapper": "CREATE FOREIGN DATA WRAPPER w VALIDATOR postgresql_fdw_validator",
    "pg_conversion": "CREATE CONVERSION harm.conv FOR 'UTF8' TO 'LATIN1' FROM harm.on_event",
    "pg_transform": "CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION int4in(cstring))",
    "pg_ts_parser": "CREATE TEXT SEARCH PARSER harm.p (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
    "pg_ts_template": "CREATE TEXT SEARCH TEMPLATE harm.t (LEXIZE = dsimple_lexize)",
    "pg_am": "CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler",
    "pg_publication_rel": "CREATE PUBLICATION p FOR TABLE harm.eventful WHERE (harm.tap('row filter', d) > 0)",
    "a partition bound by a function of a column": "CREATE TABLE harm.listed_z PARTITION OF harm.listed FOR VALUES IN (c)",
    "a virtual column by a function": "CREATE TABLE harm.virtual (d int, v int GENERATED ALWAYS AS (harm.tap('virtual', d)) VIRTUAL)",
    "a program": "COPY harm.sink TO PROGRAM 'true'",
}
# The catalogs whose rows name a function, and where they are covered: a hook that depends on one, or the statement
# of UNAVAILABLE that shows why there is none.
CATALOGS = {
    "pg_attrdef": "default",
    "pg_constraint": "check",
    "pg_class": "index expression",
    "pg_rewrite": "view",
    "pg_trigger": "before row trigger",
    "pg_policy": "policy",
    "pg_statistic_ext": "statistics",
    "pg_cast": "cast to text",
    "pg_operator": "operator",
    "pg_proc": "aggregate",
    "pg_type": "range subtype_diff",
    "pg_event_trigger": "pg_event_trigger",
    "pg_amproc": "pg_opclass, pg_amproc, pg_amop",
    "pg_language": "pg_language",
    "pg_foreign_data_wrapper": "pg_foreign_data_wrapper",
    "pg_conversion": "pg_conversion",
    "pg_transform": "pg_transform",
    "pg_ts_parser": "pg_ts_parser",
    "pg_ts_template": "pg_ts_template",
    "pg_am": "pg_am",
    "pg_publication_rel": "pg_publication_rel",
    # parts of the above: an index, a partitioned table, an aggregate, a range type, argument defaults
    "pg_index": "index expression",
    "pg_partitioned_table": "partition key",
    "pg_aggregate": "aggregate",
    "pg_range": "range subtype_diff",
}
