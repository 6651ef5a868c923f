"""Statement forms: the same drop, as different tools send it.

A form is a list of steps, each a protocol and a text. `{table}` and `{column}` are quoted names,
`{schema}` is that of the shape, `{n}` a number of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SIMPLE, EXTENDED = "simple", "extended"


@dataclass(frozen=True)
class Form:
    """One way to drop.

    `undo` takes away what it did besides, before the restore; `undo_after` what comes back besides.
    """

    steps: tuple[tuple[str, str], ...]
    undo: str = ""
    undo_after: str = ""


def simple(*texts: str, **more) -> Form:
    return Form(tuple((SIMPLE, text) for text in texts), **more)


def extended(*texts: str) -> Form:
    return Form(tuple((EXTENDED, text) for text in texts))


def within(drop: str) -> dict[str, Form]:
    """Return the forms that put a statement into another text, or beside others."""
    quoted = drop.replace("'", "''")
    return {
        "simple": simple(drop),
        "extended": extended(drop),
        "semicolons": simple(f";;  {drop} ;;"),
        "comments": simple(
            f"-- DROP TABLE other; it's a comment\n/* ' /* nested */ DROP */ {drop} -- end ' \""
        ),
        "lower_case": simple(drop.replace("DROP", "dRoP").replace("TABLE", "table")),
        "lines": simple(drop.replace(" ", "\n\t ")),
        "transaction": simple("BEGIN", drop, "COMMIT"),
        "transaction_extended": extended("BEGIN", drop, "COMMIT"),
        "one_string": simple(f"BEGIN; {drop}; COMMIT"),
        "after_others": simple(
            f"CREATE TABLE {{schema}}.zz{{n}} (a int); ALTER TABLE {{schema}}.zz{{n}} ADD b int;"
            f" {drop}; SELECT 'DROP TABLE x; DROP TABLE y'",
            undo="DROP TABLE {schema}.zz{n}",
        ),
        "after_another_drop": simple(
            f"CREATE TEMP TABLE zz{{n}} (a int, b int); ALTER TABLE zz{{n}} DROP COLUMN b;"
            f" DROP TABLE zz{{n}}; {drop}"
        ),
        "after_commit_in_string": simple(
            "BEGIN; CREATE TEMP TABLE zz{n} (a int, b int); ALTER TABLE zz{n} DROP COLUMN b;"
            f" DROP TABLE zz{{n}}; COMMIT; BEGIN; {drop}; COMMIT"
        ),
        "dollar_quotes": simple(f"SELECT $a$ ; DROP TABLE x; $b$ $a$; {drop}"),
        "savepoint": simple("BEGIN", "SAVEPOINT a", drop, "RELEASE a", "COMMIT"),
        "savepoint_rolled_back": simple(
            "BEGIN", "SAVEPOINT a", drop, "ROLLBACK TO a", drop, "COMMIT"
        ),
        "rolled_back_before": simple("BEGIN", drop, "ROLLBACK", drop),
        "repeatable_read": simple("BEGIN ISOLATION LEVEL REPEATABLE READ", drop, "COMMIT"),
        "serializable": simple("BEGIN ISOLATION LEVEL SERIALIZABLE", drop, "COMMIT"),
        "do_static": simple(f"DO $x$ BEGIN {drop}; END $x$"),
        "do_execute": simple(f"DO $x$ BEGIN EXECUTE '{quoted}'; END $x$"),
        "do_execute_several": simple(
            f"DO $x$ BEGIN EXECUTE 'CREATE TEMP TABLE zz{{n}} (a int); DROP TABLE zz{{n}};"
            f" {quoted}'; END $x$"
        ),
        "do_exception": simple(
            f"DO $x$ BEGIN BEGIN {drop}; RAISE division_by_zero; EXCEPTION WHEN division_by_zero"
            f" THEN NULL; END; {drop}; END $x$"
        ),
        "do_loop": simple(
            f"DO $x$ BEGIN FOR n IN 1..3 LOOP IF n = 2 THEN EXECUTE '{quoted}';"
            " ELSE EXECUTE 'DROP TABLE IF EXISTS {schema}.none_such'; END IF; END LOOP; END $x$"
        ),
        "plpgsql_function": simple(
            f"CREATE FUNCTION pg_temp.zz{{n}}() RETURNS void LANGUAGE plpgsql AS $x$ BEGIN {drop};"
            " END $x$",
            "SELECT pg_temp.zz{n}()",
        ),
        "sql_function": simple(
            f"CREATE FUNCTION pg_temp.zz{{n}}() RETURNS void LANGUAGE sql AS $x$ SELECT 1; {drop};"
            " SELECT $x$",
            "SELECT pg_temp.zz{n}()",
        ),
        "nested_functions": simple(
            f"CREATE FUNCTION pg_temp.zz{{n}}() RETURNS void LANGUAGE plpgsql AS $x$ BEGIN {drop};"
            " END $x$",
            "DO $x$ BEGIN PERFORM pg_temp.zz{n}(); END $x$",
        ),
        "procedure_commits": simple(
            f"CREATE PROCEDURE {{schema}}.zz{{n}}() LANGUAGE plpgsql AS $x$ BEGIN COMMIT; {drop};"
            " COMMIT; END $x$",
            "CALL {schema}.zz{n}()",
            undo="DROP PROCEDURE {schema}.zz{n}()",
        ),
        "empty_path": simple("SET search_path = ''", drop, "RESET search_path"),
        "replica": simple(
            "SET session_replication_role = replica", drop, "RESET session_replication_role"
        ),
        "no_standard_strings": simple(
            "SET standard_conforming_strings = off", drop, "RESET standard_conforming_strings"
        ),
        "fails_then": simple("BEGIN", drop, "SELECT 1/0", "ROLLBACK"),
        "then_fails_in_string": simple(f"{drop}; SELECT 1/0"),
        "string_with_rollback": simple(f"BEGIN; {drop}; ROLLBACK"),
        "twice": simple(drop, drop),
    }


def with_type(made: str, last: str, *drops: str) -> Form:
    """Return the form that drops a type, which a new last column has, with `drops`."""
    name = "{schema}.zz{n}"
    return simple(
        f"CREATE {made.format(name)}; ALTER TABLE {{table}} ADD COLUMN zz{{n}} {name}",
        *drops,
        undo_after=f"ALTER TABLE {{table}} DROP COLUMN zz{{n}}; DROP {last} {name}",
    )


ENUM, DOMAIN, PAIR = "TYPE {} AS ENUM ('a')", "DOMAIN {} AS int", "TYPE {} AS (a int, b text)"
OF_BOTH = {
    "schema": simple("DROP SCHEMA {schema} CASCADE"),
    "schema_restrict": simple("DROP SCHEMA {schema}"),
    "schema_in_string": simple("BEGIN; DROP SCHEMA IF EXISTS {schema}, none_such CASCADE; COMMIT"),
    "type_in_use": with_type(ENUM, "TYPE", "DROP TYPE {schema}.zz{n}"),
    "type_cascade": with_type(ENUM, "TYPE", "DROP TYPE {schema}.zz{n} CASCADE"),
    "domain_cascade": with_type(DOMAIN, "DOMAIN", "DROP DOMAIN {schema}.zz{n} CASCADE"),
}
OF_TABLES = {
    **within("DROP TABLE {table} CASCADE"),
    **OF_BOTH,
    "with_enum": with_type(
        ENUM, "TYPE", "BEGIN", "DROP TABLE {table} CASCADE", "DROP TYPE {schema}.zz{n}", "COMMIT"
    ),
    "with_domain": with_type(
        DOMAIN, "DOMAIN", "DROP TABLE {table} CASCADE; DROP DOMAIN {schema}.zz{n}"
    ),
    "with_composite": with_type(
        PAIR, "TYPE", "DROP TABLE {table} CASCADE", "DROP TYPE IF EXISTS {schema}.zz{n} RESTRICT"
    ),
    "then_schema": simple("DROP TABLE {table} CASCADE", "DROP SCHEMA {schema} CASCADE"),
    "restrict": simple("DROP TABLE {table}"),
    "restrict_said": simple("DROP TABLE {table} RESTRICT"),
    "if_exists": simple("DROP TABLE IF EXISTS {table} CASCADE"),
    "if_exists_none": simple("DROP TABLE IF EXISTS {schema}.none_such"),
    "none": simple("DROP TABLE {schema}.none_such"),
    "not_a_table": simple("DROP VIEW {table}"),
    "list": simple(
        "CREATE TABLE {schema}.zz{n} (a int)",
        "DROP TABLE {table}, {schema}.zz{n} CASCADE",
        undo_after="DROP TABLE {schema}.zz{n}",
    ),
    "list_with_temporary": simple(
        "CREATE TEMP TABLE zz{n} (a int)", "DROP TABLE zz{n}, {table} CASCADE"
    ),
    "search_path": simple(
        "SET search_path = {schema}, public", "DROP TABLE {name} CASCADE", "RESET search_path"
    ),
    "temporary_before_it": simple(
        "CREATE TEMP TABLE {name} (a int)",
        "SET search_path = {schema}",
        "DROP TABLE {name}",
        "RESET search_path",
    ),
    "two_in_string": simple(
        "CREATE TABLE {schema}.zz{n} (a int)",
        "DROP TABLE {table} CASCADE; DROP TABLE {schema}.zz{n}",
        undo_after="DROP TABLE {schema}.zz{n}",
    ),
}
OF_COLUMNS = {
    **within("ALTER TABLE {table} DROP COLUMN {column} CASCADE"),
    **OF_BOTH,
    "with_enum": with_type(
        ENUM,
        "TYPE",
        "ALTER TABLE {table} DROP COLUMN {column} CASCADE, DROP COLUMN zz{n}",
        "DROP TYPE {schema}.zz{n}",
    ),
    "then_schema": simple(
        "ALTER TABLE {table} DROP COLUMN {column} CASCADE", "DROP SCHEMA {schema} CASCADE"
    ),
    "restrict": simple("ALTER TABLE {table} DROP COLUMN {column}"),
    "restrict_said": simple("ALTER TABLE {table} DROP COLUMN {column} RESTRICT"),
    "no_keyword": simple("ALTER TABLE {table} DROP {column} CASCADE"),
    "if_exists": simple("ALTER TABLE IF EXISTS {table} DROP COLUMN IF EXISTS {column} CASCADE"),
    "if_exists_none": simple("ALTER TABLE {table} DROP COLUMN IF EXISTS none_such"),
    "none": simple("ALTER TABLE {table} DROP COLUMN none_such"),
    "no_table": simple("ALTER TABLE IF EXISTS {schema}.none_such DROP COLUMN a"),
    "star": simple("ALTER TABLE {table} * DROP COLUMN {column} CASCADE"),
    "search_path": simple(
        "SET search_path = {schema}, public",
        "ALTER TABLE {name} DROP COLUMN {column} CASCADE",
        "RESET search_path",
    ),
    "with_another_action": simple(
        "ALTER TABLE {table} ADD COLUMN zz{n} int, DROP COLUMN {column} CASCADE",
        undo="ALTER TABLE {table} DROP COLUMN zz{n}",
    ),
    "before_another_action": simple(
        "ALTER TABLE {table} DROP COLUMN {column} CASCADE,"
        " ADD COLUMN zz{n} text DEFAULT 'a, DROP COLUMN b' CHECK (zz{n} <> ',')",
        undo="ALTER TABLE {table} DROP COLUMN zz{n}",
    ),
    "added_again": simple(
        "ALTER TABLE {table} ADD COLUMN zz{n} int",
        "ALTER TABLE {table} DROP COLUMN zz{n}, DROP COLUMN {column} CASCADE",
        undo_after="ALTER TABLE {table} DROP COLUMN zz{n}",
    ),
    "replaced": simple(
        "ALTER TABLE {table} DROP COLUMN {column} CASCADE, ADD COLUMN {column} int",
        undo="ALTER TABLE {table} DROP COLUMN {column}",
    ),
}
# A restored table refreshes its materialized views before the rows are back, as its plan says.
REFRESH = (
    "DO $z$ DECLARE v regclass; BEGIN FOR v IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'm'"
    " AND c.relispopulated AND c.relnamespace = '{schema}'::regnamespace LOOP EXECUTE"
    " format('REFRESH MATERIALIZED VIEW %s', v); END LOOP; END $z$"
)
OF_TRUNCATES = {
    **within("TRUNCATE {table} CASCADE"),
    "restart_identity": simple("TRUNCATE TABLE {table} RESTART IDENTITY CASCADE"),
    "continue_identity": simple("TRUNCATE {table} CONTINUE IDENTITY CASCADE"),
    "restrict": simple("TRUNCATE {table}"),
    "restrict_said": simple("TRUNCATE TABLE {table} RESTRICT"),
    "only": simple("TRUNCATE ONLY {table} CASCADE"),
    "star": simple("TRUNCATE {table} * CASCADE"),
    "none": simple("TRUNCATE {schema}.none_such"),
    "list": simple(
        "CREATE TABLE {schema}.zz{n} (a int)",
        "TRUNCATE {schema}.zz{n}, {table} RESTART IDENTITY CASCADE",
        undo="DROP TABLE {schema}.zz{n}",
    ),
    "search_path": simple(
        "SET search_path = {schema}, public", "TRUNCATE {name} CASCADE", "RESET search_path"
    ),
    "then_drop": simple(
        *("BEGIN", "TRUNCATE {table} CASCADE", "DROP TABLE {table} CASCADE", "COMMIT"),
        undo_after=REFRESH,
    ),
}
# Two artifacts of one column would come back by one name.
CHANGE = "ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(2) USING left({column}, 2)"
OF_TYPES = {
    name: replace(
        form,
        undo_after="ALTER TABLE {table} ALTER COLUMN {column} TYPE text USING c_old;"
        " ALTER TABLE {table} DROP COLUMN c_old",
    )
    for name, form in {
        **within(
            "ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(2) USING left({column}, 2)"
        ),
        "set_data": simple(
            "ALTER TABLE IF EXISTS {table} * ALTER {column} SET DATA TYPE char"
            " USING left({column}, 1)"
        ),
        "with_others": simple(
            "ALTER TABLE {table} ALTER d DROP NOT NULL, ALTER {column} DROP DEFAULT,"
            " ALTER {column} TYPE varchar USING concat({column}, ',', d), ALTER d DROP DEFAULT"
        ),
    }.items()
    if name != "twice"
}
# What holds no data and is dropped by itself; the shape names each kind of it `kept_…`.
OF_DEFINITIONS = {
    **within("DROP VIEW {schema}.kept_v CASCADE"),
    "restrict": simple("DROP VIEW {schema}.kept_w RESTRICT"),
    "if_exists": simple("DROP VIEW IF EXISTS {schema}.none_such, {schema}.kept_w"),
    "list": simple("DROP VIEW {schema}.kept_w, {schema}.kept_v CASCADE"),
    "search_path": simple(
        "SET search_path = {schema}, public", "DROP VIEW kept_v CASCADE", "RESET search_path"
    ),
    "temporary_before_it": simple(
        "CREATE TEMP VIEW kept_w AS SELECT 1 AS x",
        "SET search_path = {schema}",
        "DROP VIEW kept_w",
        "RESET search_path",
    ),
    "two_in_string": simple("DROP VIEW {schema}.kept_w; DROP VIEW {schema}.kept_v"),
    "made_again": simple(
        "BEGIN; DROP VIEW {schema}.kept_w; CREATE VIEW {schema}.kept_w AS SELECT x FROM"
        " {schema}.kept_v; COMMIT"
    ),
    "materialized": simple("DROP MATERIALIZED VIEW {schema}.kept_m"),
    "index": simple("DROP INDEX {schema}.kept_i"),
    "indexes": simple("DROP INDEX {schema}.kept_i, {schema}.kept_u"),
    "function": simple("DROP FUNCTION {schema}.kept_f(int)"),
    "function_cascade": simple("DROP FUNCTION {schema}.kept_f CASCADE"),
    "procedure": simple("DROP PROCEDURE {schema}.kept_p"),
    "aggregate": simple("DROP AGGREGATE {schema}.kept_a(int)"),
    "trigger": simple("DROP TRIGGER kept_g ON {table}"),
    "trigger_function": simple("DROP FUNCTION {schema}.kept_touch CASCADE"),
    "policy": simple("DROP POLICY kept_p ON {table}"),
    "rule": simple("DROP RULE kept_r ON {table}"),
    "statistics": simple("DROP STATISTICS {schema}.kept_s"),
    "constraint": simple("ALTER TABLE {table} DROP CONSTRAINT kept_c"),
    "constraints": simple(
        "ALTER TABLE {table} DROP CONSTRAINT kept_c, DROP CONSTRAINT IF EXISTS kept_x,"
        " DROP CONSTRAINT IF EXISTS none_such, ALTER c SET STATISTICS -1"
    ),
    "foreign_key": simple("ALTER TABLE ONLY {schema}.kept_o DROP CONSTRAINT kept_fk"),
    "key": simple("ALTER TABLE {table} DROP CONSTRAINT kept_pk CASCADE"),
    "default": simple("ALTER TABLE {table} ALTER COLUMN c DROP DEFAULT, ALTER s DROP DEFAULT"),
    "identity": simple("ALTER TABLE {table} ALTER n DROP IDENTITY"),
    "sequence": simple("DROP SEQUENCE {schema}.kept_q"),
    "owned_sequence": simple("DROP SEQUENCE {schema}.t_s_seq CASCADE"),
    "type": simple("DROP TYPE {schema}.kept_e CASCADE"),
    "domain": simple("DROP DOMAIN {schema}.kept_d"),
    "every": simple(
        "BEGIN; DROP TRIGGER kept_g ON {table}; DROP POLICY kept_p ON {table}; DROP RULE kept_r ON"
        " {table}; DROP INDEX {schema}.kept_i; DROP STATISTICS {schema}.kept_s; DROP VIEW"
        " {schema}.kept_v CASCADE; ALTER TABLE {table} DROP CONSTRAINT kept_pk CASCADE; ALTER TABLE"
        " {table} ALTER n DROP IDENTITY; DROP FUNCTION {schema}.kept_f CASCADE; COMMIT"
    ),
    "with_table": simple(
        "BEGIN; DROP VIEW {schema}.kept_v CASCADE; DROP INDEX {schema}.kept_i; DROP TRIGGER kept_g"
        " ON {table}; ALTER TABLE {table} DROP CONSTRAINT kept_c; DROP TABLE {table} CASCADE;"
        " COMMIT"
    ),
    "with_column": simple(
        "BEGIN", "DROP INDEX {schema}.kept_i", "ALTER TABLE {table} DROP c CASCADE", "COMMIT"
    ),
    "schema": simple("DROP SCHEMA {schema} CASCADE"),
}
