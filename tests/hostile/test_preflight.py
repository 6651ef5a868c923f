"""Preflight on the tables of a hostile owner: his code runs as he does, or not at all."""

from __future__ import annotations

import pytest

from app.migrate.preflight.findings import Outcome
from tests.hostile.scene import Scene
from tests.migrate.preflight import probe

ROWS = "INSERT INTO harm.t SELECT n, n, n::text FROM generate_series(1, 3) n"
TABLE = "CREATE TABLE harm.t (id int PRIMARY KEY, a int, x text)"
# What of the table calls code: set up by its owner, and planned or evaluated by each query.
HOOKS = {
    "index expression": "CREATE INDEX ON harm.t (harm.tap('an index', a))",
    "predicate": "CREATE INDEX ON harm.t (a) WHERE harm.note('a predicate')",
    "check": "ALTER TABLE harm.t ADD CHECK (harm.note('a check'))",
    "statistics": "CREATE STATISTICS harm.s ON harm.tap('statistics', a), id FROM harm.t; ANALYZE harm.t",
    "generated": "ALTER TABLE harm.t ADD g int GENERATED ALWAYS AS (harm.tap('generated', a)) STORED",
    "policy": "ALTER TABLE harm.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON harm.t USING (harm.tell('a policy'))",
    "domain": "CREATE DOMAIN harm.d AS int CHECK (harm.tell('a domain')); ALTER TABLE harm.t ADD d harm.d",
    "cast": "CREATE TYPE harm.y AS (v int); ALTER TABLE harm.t ADD y harm.y; CREATE FUNCTION harm.cast(harm.y) RETURNS int"
    " LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('a cast'); RETURN 1; END $$;"
    "CREATE CAST (harm.y AS int) WITH FUNCTION harm.cast(harm.y) AS IMPLICIT",
}
# What a migration asks, with names that may mean something of Mallory's.
ASKED = {
    "null": "ALTER TABLE harm.t ALTER a SET NOT NULL",
    "check": "ALTER TABLE harm.t ADD CHECK (a > 0)",
    "call": "ALTER TABLE harm.t ADD CHECK (harm.tell('called by the migration'))",
    "unique": "CREATE UNIQUE INDEX ON harm.t (harm.tap('an index of the migration', a)) WHERE harm.tell('its predicate')",
    "exclusion": "ALTER TABLE harm.t ADD EXCLUDE USING btree (a WITH =)",
    "using": "ALTER TABLE harm.t ALTER x TYPE int USING harm.tap('using', x)::int",
    "fails": "ALTER TABLE harm.t ADD CHECK (harm.tap('an attempt', a) / (a - 1) > 0)",
    "domain": "ALTER TABLE harm.t ADD n harm.other DEFAULT 1",
    "key": "ALTER TABLE harm.t ADD FOREIGN KEY (a) REFERENCES harm.t",
}


@pytest.mark.parametrize("hook", HOOKS)
async def test_code_of_the_owner_runs_as_the_owner(scene: Scene, hook):
    scene.by(scene.mallory, f"{TABLE}; {ROWS}; {HOOKS[hook]};"
             "CREATE DOMAIN harm.other AS int CHECK (harm.tell('another domain'))")  # fmt: skip
    scene.trap.read()
    ran = 0
    async with scene.opened() as db:
        for sql in ASKED.values():
            found = await probe(db, sql)
            assert found, sql
            ran += any(one.outcome is not Outcome.NOT_CHECKED for one in found)
    scene.quiet()
    assert ran >= 4, "what never runs shows nothing"


# A table of a superuser, or of Alice, which a migration makes call Mallory's code.
@pytest.mark.parametrize("owner", ["superuser", "alice"])
async def test_no_code_of_mallorys_runs_as_another_owner(scene: Scene, owner):
    role = None if owner == "superuser" else scene.alice
    table = "CREATE TABLE public.t (id int PRIMARY KEY, a int, x text); INSERT INTO public.t VALUES (1, 1, '1')"
    scene.by(role, table)
    scene.by(
        scene.mallory,
        "CREATE DOMAIN harm.other AS int CHECK (harm.tell('another domain'));"
        "CREATE FUNCTION public.length(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM harm.tell('a better length');"
        " RETURN 1; END $$;"
        "CREATE FUNCTION harm.more(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM harm.tell('an operator');"
        " RETURN true; END $$; CREATE OPERATOR public.>> (LEFTARG = int, RIGHTARG = int, FUNCTION = harm.more);"
        "CREATE FUNCTION public.secret(public.t) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM harm.tell('a column');"
        " RETURN 1; END $$",
    )
    scene.trap.read()
    asked = [
        *(sql.replace("harm.t ", "public.t ") for sql in ASKED.values()),
        "ALTER TABLE public.t ADD CHECK (length(a) > 0)",
        "ALTER TABLE public.t ADD CHECK (a >> 1)",
        "ALTER TABLE public.t ADD CHECK (t.secret > 0)",
        "ALTER TABLE public.t ADD EXCLUDE (a WITH OPERATOR(public.>>))",
    ]
    async with scene.opened() as db:
        passed = [
            sql for sql in asked for one in await probe(db, sql) if one.outcome is Outcome.PASSED
        ]
    scene.quiet()
    assert any("SET NOT NULL" in sql for sql in passed)
    assert not any("harm.t" in sql or "length" in sql or ">>" in sql for sql in passed)


async def test_two_owners(scene: Scene):
    """A foreign key of Alice's to a table of Mallory's, which calls his code."""
    scene.by(scene.mallory, f"{TABLE}; {ROWS}; {HOOKS['predicate']}")
    scene.by(
        scene.alice,
        "CREATE TABLE alice.t (id int PRIMARY KEY, a int); INSERT INTO alice.t VALUES (1, 1)",
    )
    scene.trap.read()
    async with scene.opened() as db:
        (found,) = await probe(db, "ALTER TABLE alice.t ADD FOREIGN KEY (a) REFERENCES harm.t")
    scene.quiet()
    assert found.outcome is Outcome.NOT_CHECKED


async def test_nothing_of_a_probe_stays(scene: Scene):
    """Code of the owner cannot write, and leaves nothing in the session."""
    scene.by(scene.mallory, f"{TABLE}; {ROWS}; CREATE TABLE harm.kept (v text);"
             "CREATE FUNCTION harm.write() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
             " INSERT INTO harm.kept VALUES (current_user); RETURN true; END $$;"
             "CREATE FUNCTION harm.open() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
             " SET TRANSACTION READ WRITE; INSERT INTO harm.kept VALUES ('opened'); RETURN true; END $$")  # fmt: skip
    async with scene.opened() as db:
        for call in ("write", "open"):
            (found,) = await probe(db, f"ALTER TABLE harm.t ADD CHECK (harm.{call}())")
            assert found.outcome is Outcome.NOT_CHECKED, found
    assert scene.by(None, "SELECT count(*) FROM harm.kept").strip() == "0"
