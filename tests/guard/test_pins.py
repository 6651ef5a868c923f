"""Pins: a plain DROP fails without event triggers."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done, zanith
from tests.conftest import Database, OperatorDatabase
from tests.guard.pinned import ALL, NAME, PARTS, fails, owner_of, pins, rows
from tests.guard.test_rules import as_role
from tests.guard.twin import turn_guard_on
from tests.hard_names import NAMES
from tests.oracle.judges import literal, quote

# ------------------------------------------------------------------------------------- what fails


@pytest.mark.each_version
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE public.orders",
        "DROP TABLE IF EXISTS public.orders RESTRICT",
        "ALTER TABLE public.orders DROP COLUMN code",
        "ALTER TABLE public.orders DROP COLUMN note, ADD COLUMN more int",
        "ALTER TABLE public.orders ALTER COLUMN code TYPE varchar(1) USING 'x'",
        "ALTER TABLE public.orders ALTER COLUMN note TYPE text",
    ],
)
def test_a_plain_drop_fails_and_the_error_says_what_to_use(pinned, statement):
    before = rows(pinned)
    said = fails(pinned, as_role(owner_of(pinned), statement))
    assert f"function zanith_pin.{NAME}(orders) depends on" in said
    assert rows(pinned) == before


@pytest.mark.each_version
def test_other_changes_of_the_table_go_on(pinned):
    pinned.psql(
        as_role(
            owner_of(pinned),
            "ALTER TABLE public.orders ADD COLUMN more int, ALTER COLUMN code SET NOT NULL;"
            "ALTER TABLE public.orders ALTER COLUMN code SET DEFAULT 'x';"
            "ALTER TABLE public.orders RENAME COLUMN note TO remark;"
            "ALTER TABLE public.orders RENAME TO purchases;"
            "ALTER TABLE public.purchases ADD CHECK (id > 0);"
            "ALTER TABLE public.purchases ALTER COLUMN more TYPE bigint;"
            "ALTER TABLE public.purchases ADD COLUMN dom public.code, ADD COLUMN s serial,"
            " ADD COLUMN r float DEFAULT random(), SET UNLOGGED;"
            "ALTER TABLE public.purchases SET LOGGED, ADD g int GENERATED ALWAYS AS IDENTITY;"
            "INSERT INTO public.purchases (id, code) VALUES (9, 'y');"
            "TRUNCATE public.purchases; ALTER TABLE public.purchases RENAME TO orders",
        )
    )
    done("guard", "pin", "orders", url=pinned.url)
    pinned.psql(
        as_role(
            owner_of(pinned),
            "ALTER TABLE public.orders ADD COLUMN other public.code, ADD CHECK (id < 99),"
            " ALTER COLUMN more SET NOT NULL, DROP CONSTRAINT orders_pkey, REPLICA IDENTITY FULL;"
            "CREATE INDEX ON public.orders (code); VACUUM FULL public.orders",
        ).replace("VACUUM", "CLUSTER public.orders USING orders_code_idx; --")
    )
    assert pins(pinned) == ALL.replace("note", "remark") + ",more,dom,s,r,g"
    said = fails(pinned, as_role(owner_of(pinned), "ALTER TABLE public.orders DROP COLUMN remark"))
    assert NAME in said


@pytest.mark.newest
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE public.orders CASCADE",
        "ALTER TABLE public.orders DROP COLUMN code CASCADE",
        "DROP SCHEMA zanith_pin CASCADE; DROP TABLE public.orders",
        "DROP SCHEMA public CASCADE",
    ],
)
def test_what_a_pin_does_not_stop(plain, statement):
    plain.psql(statement)
    assert pins(plain) == ""


def test_a_pin_of_the_table_only_lets_columns_go(plain):
    done("guard", "pin", "orders", "--table-only", url=plain.url)
    plain.psql("ALTER TABLE orders DROP COLUMN code, ALTER COLUMN d TYPE text USING 'x'")
    assert NAME in fails(plain, "DROP TABLE orders")
    [found] = done("guard", "status", "--json", url=plain.url).json["pins"]
    assert found == {"table": "public.orders", "columns": False, "lacking": [], "without": []}
    done("guard", "pin", "orders", url=plain.url)
    assert NAME in fails(plain, "ALTER TABLE orders DROP COLUMN note")


# ----------------------------------------------------------------------------------- what it says


def test_status_says_what_is_pinned_and_what_came_since(pinned):
    state = done("guard", "status", "--json", url=pinned.url).json
    assert state["protection"] == ["pins"]
    whole = {"table": "public.orders", "columns": True, "lacking": [], "without": []}
    assert state["pins"] == [whole]
    pinned.psql('ALTER TABLE public.orders ADD COLUMN "later, on" int')
    [found] = done("guard", "status", "--json", url=pinned.url).json["pins"]
    assert found["lacking"] == ['public.orders."later, on"']
    text = done("guard", "status", url=pinned.url).out
    assert 'column public.orders."later, on"' in text
    assert "→ zanith guard pin public.orders" in text
    assert "a plain DROP deletes for good, except of 1 pinned table" in text
    done("guard", "pin", "orders", url=pinned.url)
    assert done("guard", "status", "--json", url=pinned.url).json["pins"] == [whole]
    pinned.psql("SELECT 1")
    assert NAME in fails(pinned, 'ALTER TABLE public.orders DROP COLUMN "later, on"')


def test_off_lets_the_drop_pass_and_is_recorded(pinned):
    state = done("guard", "pin", "orders", "--off", "--json", url=pinned.url).json
    assert (state["pins"], state["protection"]) == ([], [])
    assert pins(pinned) == ""
    done("guard", "pin", "orders", "--off", url=pinned.url)
    pinned.psql(as_role(owner_of(pinned), "DROP TABLE public.orders"))
    logged = pinned.psql(
        "SELECT detail ->> 'pin' FROM zanith._zanith_audit_log WHERE action = 'guard' ORDER BY id"
    )
    assert logged.splitlines() == ["columns", "off", "off"]


@pytest.mark.newest
def test_coverage_doctor_and_the_trial_leave_it_out(plain):
    doctor = done("doctor", "--json", url=plain.url).json
    assert doctor["findings"] == []
    before = done("coverage", "--json", url=plain.url).json
    done("guard", "pin", "orders", "--off", url=plain.url)
    after = done("coverage", "--json", url=plain.url).json
    assert {**before, "measured_at": None} == {**after, "measured_at": None}
    done("guard", "pin", "orders", url=plain.url)
    done("guard", "on", url=plain.url)
    tried = zanith("guard", "test", "DROP TABLE orders", "--json", url=plain.url)
    assert [one["outcome"] for one in tried.json["statements"]] == ["failed"]
    assert NAME in tried.json["statements"][0]["detail"]


# ------------------------------------------------------------------------------ names and families


@pytest.mark.each_version
def test_every_name_can_be_pinned(database):
    for name in NAMES.values():
        table = quote(name)
        database.psql(f'CREATE TABLE {table} (id int, {table} text, "int" int, "x%TYPE" int)')
        done("guard", "pin", table, url=database.url)
        assert NAME in fails(database, f"DROP TABLE {table}")
        assert NAME in fails(database, f"ALTER TABLE {table} DROP COLUMN {table}")
    assert len(done("guard", "status", "--json", url=database.url).json["pins"]) == len(NAMES)
    for name in NAMES.values():
        done("guard", "pin", quote(name), "--off", url=database.url)
        database.psql(f"DROP TABLE {quote(name)}")


@pytest.mark.newest
def test_tables_of_one_name_in_two_schemas_and_of_no_column(plain):
    plain.psql("CREATE SCHEMA other; CREATE TABLE other.orders (id int); CREATE TABLE bare ()")
    done("guard", "pin", "other.orders", url=plain.url)
    done("guard", "pin", "bare", url=plain.url)
    assert NAME in fails(plain, "DROP TABLE other.orders")
    assert NAME in fails(plain, "DROP TABLE bare")
    done("guard", "pin", "orders", "--off", url=plain.url)
    plain.psql("DROP TABLE orders")
    assert NAME in fails(plain, "ALTER TABLE other.orders DROP COLUMN id")


@pytest.mark.each_version
def test_partitions_are_pinned_with_their_table(database):
    database.psql(PARTS)
    done("guard", "pin", "parts", url=database.url)
    assert pins(database) == "parts id,k,v\np1 id,k,v"
    for statement in ("DROP TABLE p1", "DROP TABLE parts", "ALTER TABLE parts DROP COLUMN v"):
        assert NAME in fails(database, statement)
    database.psql("CREATE TABLE p2 PARTITION OF parts FOR VALUES IN (2)")
    database.psql("ALTER TABLE parts ADD COLUMN w int")
    [found] = done("guard", "status", "--json", url=database.url).json["pins"]
    assert (found["lacking"], found["without"]) == (["public.parts.w"], ["public.p2"])
    done("guard", "pin", "parts", url=database.url)
    assert pins(database) == "parts id,k,v,w\np1 id,k,v,w\np2 id,k,v,w"
    # a job that drops old partitions
    done("guard", "pin", "p1", "--off", url=database.url)
    database.psql("DROP TABLE p1")
    assert NAME in fails(database, "DROP TABLE p2")


@pytest.mark.each_version
def test_children_are_pinned_with_their_parent(database):
    database.psql("CREATE TABLE up (id int, a int); CREATE TABLE down (b int) INHERITS (up)")
    done("guard", "pin", "up", url=database.url)
    assert pins(database) == "up id,a\ndown id,a,b"
    for statement in (
        "DROP TABLE down",
        "DROP TABLE up, down",
        "ALTER TABLE up DROP COLUMN a",
        "ALTER TABLE down DROP COLUMN b",
    ):
        assert NAME in fails(database, statement)
    database.psql("ALTER TABLE up ADD COLUMN c int; ALTER TABLE down ADD COLUMN e int")
    [found] = done("guard", "status", "--json", url=database.url).json["pins"]
    assert found["lacking"] == ["public.up.c", "public.down.e"]


# ------------------------------------------------------------------------------ who, and who not


@pytest.mark.each_version
def test_an_owner_pins_his_own_tables_and_nobody_elses(operator_database, create_role):
    own = operator_database
    other = create_role("other")
    own.psql(
        f"GRANT CREATE ON DATABASE {own.name} TO {own.operator};"
        f"GRANT USAGE ON SCHEMA zanith TO {other}"
    )
    own.psql(f"SET ROLE {own.owner}; CREATE TABLE public.mine (id int PRIMARY KEY, a int)")
    own.psql(as_role(own.owner, "SELECT zanith.pin_table('public.mine')"))
    assert NAME in fails(own, as_role(own.owner, "DROP TABLE public.mine"))
    call = "SELECT zanith._pin('public.mine'::regclass, '{}')"
    for how in ("off", "table", "columns", "lift", "renew", "purge"):
        assert "must be owner of table public.mine" in fails(own, as_role(other, call.format(how)))
    assert pins(own) == "mine id,a"
    for function in (
        f"zanith_pin.{NAME}(NULL)",
        "zanith._change_pins('public.mine'::regclass, 'off')",
    ):
        assert "permission denied" in fails(own, as_role(other, f"SELECT {function}"))
    assert "permission denied" in fails(own, as_role(own.owner, f"SELECT zanith_pin.{NAME}(NULL)"))
    # nor those of a child of his own table
    own.psql(
        f"CREATE SCHEMA his AUTHORIZATION {other}; GRANT USAGE ON SCHEMA his TO {own.operator};"
        f" CREATE TABLE his.parent (a int); CREATE TABLE public.kid () INHERITS (his.parent);"
        f" ALTER TABLE his.parent OWNER TO {other}; ALTER TABLE public.kid OWNER TO {own.owner}"
    )
    own.psql(as_role(own.owner, "SELECT zanith.pin_table('public.kid')"))
    for how in ("off", "purge"):
        said = fails(own, as_role(other, f"SELECT zanith._pin('his.parent'::regclass, '{how}')"))
        assert "must be owner of table public.kid" in said
    own.psql("DROP TABLE public.kid CASCADE; DROP SCHEMA his CASCADE")
    assert pins(own) == "mine id,a"
    # what PostgreSQL lets the owner of a table do
    assert NAME in fails(own, as_role(own.owner, f"DROP OWNED BY {own.owner}"))
    own.psql(as_role(own.owner, "SELECT zanith.unpin_table('mine'); DROP TABLE public.mine"))
    logged = "SELECT db_role FROM zanith._zanith_audit_log WHERE object = 'public.mine'"
    assert own.psql(logged).splitlines() == [own.owner, own.owner]


@pytest.mark.newest
def test_a_schema_of_somebody_else_holds_no_pins(operator_database, create_role):
    own = operator_database
    own.psql(f"SET ROLE {own.owner}; CREATE TABLE public.mine (id int PRIMARY KEY, a int)")
    said = zanith("guard", "pin", "mine", url=own.url)
    assert said.code == 6
    line = f"CREATE SCHEMA zanith_pin AUTHORIZATION {own.operator}"
    assert line in said.err
    stranger = create_role("stranger")
    own.psql(f"CREATE SCHEMA zanith_pin AUTHORIZATION {stranger}")
    said = zanith("guard", "pin", "mine", url=own.url)
    assert (said.code, "does not belong to Zanith" in said.err) == (6, True)
    # what is in it counts as any other dependent
    own.psql(
        f"SET ROLE {stranger}; CREATE FUNCTION zanith_pin.{NAME}(public.mine) RETURNS void"
        " LANGUAGE sql BEGIN ATOMIC SELECT $1.a; END"
    )
    said = zanith("drop", "column", "mine.a", "--strategy", "archive", "--yes", url=own.url)
    assert said.code == 4
    assert NAME in said.err
    own.psql(f"DROP SCHEMA zanith_pin CASCADE; {line}")
    done("guard", "pin", "mine", url=own.url)


@pytest.mark.newest
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("some_view", "is not a table"),
        ("zanith._zanith_jobs", "belongs to Zanith"),
        ("no_such", "does not exist"),
        ("pg_catalog.pg_class", "belongs to PostgreSQL"),
        ("information_schema.sql_parts", "belongs to PostgreSQL"),
    ],
)
def test_what_cannot_be_pinned(database, name, said):
    database.psql("CREATE VIEW some_view AS SELECT 1 AS a")
    found = zanith("guard", "pin", name, url=database.url)
    assert found.code != 0
    assert said in found.err
    assert database.psql("SELECT to_regnamespace('zanith_pin') IS NULL") == "t"


# ------------------------------------------------------------------------------- whole databases


@pytest.mark.each_version
def test_a_dump_brings_the_pins(pinned, server, create_role):
    pinned.psql("ALTER TABLE public.orders ADD COLUMN later int")
    dump = pinned.pg_dump()
    copy = Database(server, f"{pinned.name}_copy")
    server.create_database(copy.name)
    try:
        copy.psql(dump)
        assert pins(copy) == ALL
        assert NAME in fails(copy, "DROP TABLE public.orders")
        url = copy.url_of(pinned.operator) if isinstance(pinned, OperatorDatabase) else copy.url
        [found] = done("guard", "status", "--json", url=url).json["pins"]
        assert found["lacking"] == ["public.orders.later"]
        done("drop", "table", "orders", "--strategy", "archive", "--yes", url=url)
        done("recover", "restore", "orders", "--yes", url=url)
        done("guard", "pin", "orders", "--off", url=url)
    finally:
        server.psql("postgres", f"DROP DATABASE {copy.name} WITH (FORCE)")


@pytest.mark.newest
def test_pins_go_to_the_operator_with_the_rest(plain, create_role):
    operator = create_role("operator")
    done("init", "--operator", operator, url=plain.url)
    assert pins(plain) == ALL
    owner = f"SELECT DISTINCT proowner::regrole FROM pg_proc WHERE proname = {literal(NAME)}"
    assert plain.psql(owner) == operator
    status = done("guard", "status", "--json", url=plain.url_of(operator)).json
    assert [one["table"] for one in status["pins"]] == ["public.orders"]


def test_an_uninstall_removes_the_pins(pinned):
    done("uninstall", "--yes", url=pinned.url)
    assert pinned.psql("SELECT to_regnamespace('zanith_pin') IS NULL") == "t"
    pinned.psql(as_role(owner_of(pinned), "DROP TABLE public.orders"))


@pytest.mark.newest
def test_an_upgrade_keeps_the_pins(plain):
    plain.psql("UPDATE zanith._zanith_schema SET hash = 'x' WHERE NOT file ~ '^[0-9]'")
    done("init", url=plain.url)
    assert pins(plain) == ALL


@pytest.mark.newest
def test_a_function_of_an_event_trigger_runs_as_usual(plain):
    """It fires for Zanith's own DDL, with a path that others cannot create in."""
    turn_guard_on(plain)
    plain.psql(
        "CREATE TABLE noted (tag text); CREATE FUNCTION note() RETURNS event_trigger"
        " LANGUAGE plpgsql"
        " AS 'BEGIN INSERT INTO public.noted VALUES (tg_tag); END';"
        "CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION note()"
    )
    done("guard", "pin", "noted", url=plain.url)
    assert "CREATE FUNCTION" in plain.psql("SELECT string_agg(tag, ' ') FROM noted")
    done("guard", "pin", "noted", "--off", url=plain.url)
