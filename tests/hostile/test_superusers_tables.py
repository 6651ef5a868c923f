"""A superuser's table that calls code of a role that is no superuser: it would run as the operator.

Mallory owns the schema harm. He can drop each object of it and create another, also those of a superuser. CREATE OR REPLACE and ALTER DOMAIN
change what his own functions and domains do. See zanith._is_trusted.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.erase import erase, plan_erasure
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS, Scene
from tests.oracle.judges import restore_by_psql

CHECKED = "CREATE DOMAIN harm.dom AS int CHECK (harm.tell('check of a domain'))"
# The type of a superuser's column as the superuser made it in Mallory's schema, and a value of it.
TYPES = {
    "domain": ("", "harm.dom", "1"),
    "domain over a domain": ("CREATE DOMAIN harm.outer AS harm.dom", "harm.outer", "1"),
    "array": ("", "harm.dom[]", "{1}"),
    "composite": ("CREATE TYPE harm.pair AS (x harm.dom)", "harm.pair", "(1)"),
    "array of composites": ("CREATE TYPE harm.pair AS (x harm.dom)", "harm.pair[]", '{"(1)"}'),
    "range": ("CREATE TYPE harm.span AS RANGE (subtype = harm.dom)", "harm.span", "[1,2)"),
}


async def every_read(
    db: Database, made: str, tmp_path: Path, choices: Choices | None = None
) -> None:
    """Give every command that reads what is parked, and every form of its restore."""
    choices = choices or Choices()
    for work in (
        lambda: inspect(db, made),
        lambda: plan_restore(db, made, choices),
        lambda: seal(db, made, DBA),
        lambda: verify(db, made, DBA),
        lambda: export_to_file(db, ExportRequest(made), tmp_path / "t.csv", DBA),
        lambda: plan_erasure(db, made, {"id": "1"}, DBA),
        lambda: erase(db, made, {"id": "1"}, DBA, rows=1, confirm="t"),
        lambda: rehearse(db, made, choices, DBA),
        lambda: restore(db, made, Choices(online=True), DBA),
        lambda: restore(db, made, choices, DBA),
    ):
        with suppress(ZanithError):  # refused is as good
            await work()


async def restored(scene: Scene, made: str, way: str, tmp_path: Path) -> None:
    """Restore by psql, or by the engine with all that reads before it. Refused is as good."""
    if way == "psql":
        with suppress(CommandFailed):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            await every_read(db, made, tmp_path)


async def taken(scene: Scene, strategy: str, table: str = "public.t") -> str:
    async with scene.opened() as db:
        column = "c" if strategy.endswith("column") else None
        wanted = CaptureRequest(strategy, table, column, on_dependents="cascade")
        return (await capture(db, wanted, DBA)).id


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_a_type_that_another_made_again(scene, strategy, kind, way, tmp_path):
    more, type_name, value = TYPES[kind]
    scene.by(None, f"""CREATE DOMAIN harm.dom AS int; {more};
        CREATE TABLE public.t (id int PRIMARY KEY, c {type_name}, d int); INSERT INTO public.t VALUES (1, '{value}', 1), (2, NULL, 2)""")  # fmt: skip
    made = await taken(scene, strategy)
    if strategy == "archive_column":
        again = {"harm.outer": "", "harm.pair": "DROP TYPE harm.pair;", "harm.pair[]": "DROP TYPE harm.pair;", "harm.span": "DROP TYPE harm.span;"}  # fmt: skip
        scene.by(scene.mallory, f"{again.get(type_name, '')} DROP DOMAIN harm.dom CASCADE; {CHECKED}; {more}")  # fmt: skip
    else:
        scene.by(None, f"ALTER DOMAIN harm.dom OWNER TO {scene.mallory}")
        scene.by(scene.mallory, "ALTER DOMAIN harm.dom ADD CHECK (harm.tell('check of a domain')) NOT VALID")  # fmt: skip
    scene.trap.read()
    if way == "engine" and (strategy == "archive_column" or kind.startswith("domain")):
        async with scene.opened() as db:
            found = (await plan_restore(db, made)).conflicts
        assert [conflict.code for conflict in found] == ["code_of_another"]
        assert f"of {scene.mallory}" in found[0].message
    await restored(scene, made, way, tmp_path)
    scene.quiet()


async def test_the_ways_out(scene):
    """A domain without a check is refused too: its owner can add one at any time."""
    scene.by(scene.mallory, "CREATE DOMAIN harm.dom AS int; CREATE TYPE harm.pair AS (x harm.dom)")
    scene.by(None, "CREATE TABLE public.t (id int PRIMARY KEY, c harm.dom, e harm.pair); INSERT INTO public.t VALUES (1, 1, '(1)')")  # fmt: skip
    async with scene.opened() as db:
        made = await taken(scene, "archive_column")
        wanted = CaptureRequest("archive_column", "public.t", "e")
        pair = (await capture(db, wanted, DBA)).id
        with pytest.raises(ZanithError, match=f"the type harm.dom of {scene.mallory}") as refused:
            await restore(db, made, Choices(), DBA)
        assert "ALTER DOMAIN" in str(refused.value.hint)
        assert [found.choices for found in (await plan_restore(db, pair)).conflicts] == [("--as-text",)]  # fmt: skip
        await restore(db, pair, Choices(as_text=True), DBA)
        scene.by(None, "ALTER DOMAIN harm.dom OWNER TO CURRENT_USER")
        await restore(db, made, Choices(), DBA)
    assert scene.by(None, "SELECT * FROM public.t") == "1|(1)|1"


PARTS = {
    "default": "ALTER TABLE public.t ALTER c SET DEFAULT harm.tap('default', 7)",
    "check": "ALTER TABLE public.t ADD CHECK (harm.tap('check', c) > 0)",
    "check of another column": "ALTER TABLE public.t ADD CHECK (harm.tap('check', d) > 0)",
    "literal": "ALTER TABLE public.t ADD CHECK (c > 0 AND '(1)'::harm.lit IS NOT NULL)",
    "operator": "ALTER TABLE public.t ADD CHECK (c OPERATOR(harm.@@) 1)",
    "index": "CREATE INDEX ON public.t (harm.tap('index', c))",
    "index of another column": "CREATE INDEX ON public.t (harm.tap('index', d))",
    "predicate": "CREATE INDEX ON public.t (c) WHERE harm.note('predicate')",
    "operator class": """CREATE OPERATOR CLASS public.mine FOR TYPE int USING hash AS OPERATOR 1 pg_catalog.=(int, int), FUNCTION 1 harm.hashed(int);
        CREATE INDEX ON public.t USING hash (c public.mine)""",
    "statistics": "CREATE STATISTICS public.st ON (harm.tap('statistics', c)), d FROM public.t",
    "generated": "ALTER TABLE public.t ADD g int GENERATED ALWAYS AS (harm.tap('generated', c)) STORED",
    "generated from another": "ALTER TABLE public.t ADD g int GENERATED ALWAYS AS (harm.tap('generated', d)) STORED",
    "policy": "CREATE POLICY p ON public.t USING (c > 0 AND '(1)'::harm.lit IS NOT NULL)",
    "policy of another table": "CREATE TABLE public.o (x int); CREATE POLICY p ON public.o USING ((SELECT max(c) FROM public.t) > 0 AND '(1)'::harm.lit IS NOT NULL)",
    "trigger": "CREATE TRIGGER r AFTER UPDATE OF c ON public.t FOR EACH ROW WHEN (NEW.c > 0 AND '(1)'::harm.lit IS NOT NULL) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "rule": "CREATE TABLE public.o (x int); CREATE RULE r AS ON INSERT TO public.o WHERE '(1)'::harm.lit IS NOT NULL DO ALSO UPDATE public.t SET c = 1",
    "view": "CREATE VIEW public.v AS SELECT c FROM public.t WHERE '(1)'::harm.lit IS NOT NULL",
    "materialized view": "CREATE MATERIALIZED VIEW public.v AS SELECT harm.tap('materialized view', c) AS c FROM public.t",
    "function": "CREATE FUNCTION public.f() RETURNS bigint BEGIN ATOMIC SELECT count(c) FROM public.t WHERE '(1)'::harm.lit IS NOT NULL; END",
}  # fmt: skip
OBJECTS = """
CREATE DOMAIN harm.dom AS int CHECK (harm.tell('literal'));
CREATE TYPE harm.lit AS (x harm.dom);
CREATE FUNCTION harm.same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN harm.note('operator'); END $$;
CREATE OPERATOR harm.@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = harm.same);
CREATE FUNCTION harm.hashed(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('operator class'); RETURN $1; END $$;
"""


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("strategy", "way"),
    [
        *product(("archive_column", "soft_drop_column", "archive_table"), ("engine", "psql")),
        ("rebuild_table", "engine"),
    ],
)
async def test_what_a_superuser_wrote_with_code_of_another(scene, strategy, part, way, tmp_path):
    scene.by(scene.mallory, OBJECTS)
    scene.by(None, f"CREATE TABLE public.t (id int PRIMARY KEY, c int, d int); INSERT INTO public.t {ROWS}; {PARTS[part]}")  # fmt: skip
    scene.trap.read()
    made = None
    with suppress(ZanithError):
        if strategy == "rebuild_table":
            async with scene.opened() as db:
                wanted = CaptureRequest(strategy, "public.t", None, keep_rows=True)
                made = (await capture(db, wanted, DBA)).id
        else:
            made = await taken(scene, strategy)
    scene.quiet()
    if made is not None:
        await restored(scene, made, way, tmp_path)
    scene.quiet()


@pytest.mark.parametrize("child", [False, True])
async def test_a_generated_column_of_another_table(scene, child):
    """It depends on the row type of the table, and a restore computes it as the owner of its own table."""
    scene.by(scene.mallory, "CREATE TABLE harm.t (id int PRIMARY KEY, c int)")
    scene.by(None, "CREATE TABLE public.q (x int, y boolean GENERATED ALWAYS AS ((NULL::harm.t).c IS NULL) STORED)")  # fmt: skip
    if child:
        scene.by(None, "CREATE TABLE public.child () INHERITS (harm.t)")
    with pytest.raises(ZanithError, match=f"column y uses the type harm.t of {scene.mallory}"):
        await taken(scene, "soft_drop_column", "harm.t")
    scene.by(None, f"ALTER TABLE public.q OWNER TO {scene.mallory}")
    made = await taken(scene, "soft_drop_column", "harm.t")
    scene.by(None, "ALTER TABLE public.q OWNER TO CURRENT_USER")
    async with scene.opened() as db:
        found = (await plan_restore(db, made)).conflicts
    assert [(c.code, c.without) for c in found] == [("code_of_another", ("column y",))]
    scene.quiet()


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
@pytest.mark.parametrize(("column", "named"), [
    ("y harm.t", "the type harm.t"),
    ("y harm.t[]", "the type harm.t\\[\\]"),
    ("y harm.child", "the type harm.child"),
    ("y harm.t[] DEFAULT '{}'", "default of y"),
])  # fmt: skip
async def test_a_column_that_goes_with_the_table_of_its_type(scene, strategy, column, named):
    """It is an artifact of its own, whose restore is that of a superuser's table."""
    scene.by(scene.mallory, "CREATE TABLE harm.t (id int PRIMARY KEY, c int); CREATE TABLE harm.child () INHERITS (harm.t)")  # fmt: skip
    scene.by(None, f"CREATE TABLE public.q (x int, {column}); INSERT INTO public.q VALUES (1)")
    wanted = CaptureRequest(strategy, "harm.t", None, on_dependents="cascade")
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match=f"{named} uses the type harm.[a-z]+ of {scene.mallory}"):  # fmt: skip
            await capture(db, wanted, DBA)
        scene.by(None, f"ALTER TABLE public.q OWNER TO {scene.mallory}")
        before = scene.by(None, "SELECT * FROM public.q")
        made = await capture(db, wanted, DBA)
        report = await restore(db, made.id, Choices(), DBA)
        assert len(report.companions) == 1
        await restore(db, report.companions[0].id, Choices(), DBA)
    assert scene.by(None, "SELECT * FROM public.q") == before
    scene.quiet()


async def test_an_archive_that_is_made_online(scene):
    scene.by(None, f"CREATE TABLE public.t (id int PRIMARY KEY, c int, d int); INSERT INTO public.t {ROWS}; CREATE INDEX ON public.t (harm.tap('index', d))")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        wanted = CaptureRequest("archive_column", "public.t", "c", online=True)
        with pytest.raises(ZanithError, match=r"public\.t uses harm\.tap"):
            await capture(db, wanted, DBA)
    scene.quiet()


RECAST = {
    "to a type": ("DEFAULT 'a'::text::harm.kind", "CREATE FUNCTION harm.read(text) RETURNS harm.kind LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('cast'); RETURN 'a'; END $$;"
                  "CREATE CAST (text AS harm.kind) WITH FUNCTION harm.read(text)"),
    "from a type": ("CHECK (c::text > '')", "CREATE FUNCTION harm.print(harm.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('cast'); RETURN 'a'; END $$;"
                    "CREATE CAST (harm.kind AS text) WITH FUNCTION harm.print(harm.kind)"),
    "to json": ("CHECK (to_json(c) IS NOT NULL)", "CREATE FUNCTION harm.as_json(harm.kind) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('cast'); RETURN '1'; END $$;"
                "CREATE CAST (harm.kind AS json) WITH FUNCTION harm.as_json(harm.kind)"),
}  # fmt: skip


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", RECAST)
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_a_cast_that_came_since(scene, strategy, kind, way, tmp_path):
    """A part is recorded as text, in which a cast has no name."""
    clause, cast = RECAST[kind]
    scene.by(scene.mallory, "CREATE TYPE harm.kind AS ENUM ('a')")
    scene.by(None, f"CREATE TABLE public.t (id int PRIMARY KEY, c harm.kind {clause}, d int); INSERT INTO public.t VALUES (1, 'a', 1)")  # fmt: skip
    made = await taken(scene, strategy)
    scene.by(scene.mallory, cast)
    scene.by(None, "INSERT INTO public.t (id, d) VALUES (2, 2)")
    scene.trap.read()
    if way == "engine":
        async with scene.opened() as db:
            for choices in (Choices(fill_default=True), Choices(fill="a")):
                for run in (plan_restore, rehearse, restore):
                    with suppress(ZanithError):
                        await run(db, made, choices, *([DBA] if run is not plan_restore else []))
    await restored(scene, made, way, tmp_path)
    scene.quiet()


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_a_cast_of_another_column_that_came_since(scene, strategy, way, tmp_path):
    scene.by(scene.mallory, "CREATE TYPE harm.kind AS ENUM ('a')")
    scene.by(None, "CREATE TABLE public.t (id int PRIMARY KEY, k harm.kind, c int CHECK (c > 0 AND k::text > '')); INSERT INTO public.t VALUES (1, 'a', 1)")  # fmt: skip
    made = await taken(scene, strategy)
    scene.by(scene.mallory, RECAST["from a type"][1])
    scene.trap.read()
    await restored(scene, made, way, tmp_path)
    scene.quiet()


@pytest.mark.parametrize("owner", ["superuser", "alice"])
async def test_a_type_that_was_renamed(scene, owner, tmp_path):
    """The archive finds its type by the oid."""
    scene.by(scene.mallory, "CREATE DOMAIN harm.dom AS int")
    writer = {"superuser": None, "alice": scene.mallory}[owner]
    scene.by(writer, "CREATE TABLE harm.t (id int PRIMARY KEY, c harm.dom); INSERT INTO harm.t VALUES (1, 1)")  # fmt: skip
    made = await taken(scene, "archive_column", "harm.t")
    if owner == "alice":  # a table that changed hands
        scene.by(None, f"ALTER TABLE harm.t OWNER TO {scene.alice}")
    scene.by(scene.mallory, "ALTER DOMAIN harm.dom RENAME TO other; ALTER DOMAIN harm.other ADD CHECK (harm.tell('check of a domain'))")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        assert "code_of_another" in [found.code for found in (await plan_restore(db, made)).conflicts]  # fmt: skip
    await restored(scene, made, "engine", tmp_path)
    scene.quiet()


BETTER = {
    "function": ("array_length(a, 1) > 0", """CREATE FUNCTION public.array_length(int[], int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('better'); RETURN 1; END $$"""),
    "operator": ("a = ARRAY[1]", """CREATE FUNCTION public.same(int[], int[]) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN harm.note('better'); END $$;
        CREATE OPERATOR public.= (LEFTARG = int[], RIGHTARG = int[], FUNCTION = public.same)"""),
}  # fmt: skip


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", BETTER)
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column", "archive_table"])
async def test_a_routine_that_fits_better_than_a_built_in_one(scene, strategy, kind, way, tmp_path):
    """A superuser's function finds names by the recorded path. What PostgreSQL has itself is not looked for in it."""
    expression, better = BETTER[kind]
    scene.by(None, f"""
        CREATE FUNCTION public.own(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
        CREATE TABLE public.t (id int PRIMARY KEY, a int[], d int DEFAULT public.own(1), c int DEFAULT CASE WHEN ARRAY[1] = ARRAY[1] AND array_length(ARRAY[1], 1) > 0 THEN public.own(7) END CHECK (public.own(c) > 0 AND {expression}),
            g int GENERATED ALWAYS AS (CASE WHEN {expression} THEN public.own(c) END) STORED);
        CREATE INDEX ON public.t (public.own(c)) WHERE {expression}; CREATE INDEX ON public.t ((CASE WHEN {expression} THEN public.own(c) END)); CREATE STATISTICS public.st ON (CASE WHEN {expression} THEN public.own(c) END), d FROM public.t;
        CREATE VIEW public.v AS SELECT c FROM public.t WHERE {expression} AND public.own(c) > 0; CREATE MATERIALIZED VIEW public.m AS SELECT public.own(c) FROM public.t WHERE {expression};
        INSERT INTO public.t (id, a, c) VALUES (1, '{{1}}', 1)""")  # fmt: skip
    scene.by(scene.mallory, better)
    made = await taken(scene, strategy)
    scene.trap.read()
    if strategy == "archive_column":
        scene.by(None, "INSERT INTO public.t (id, a) VALUES (2, '{1}')")
    scene.trap.read()
    if way == "engine":
        async with scene.opened() as db:
            for choices in (Choices(fill_default=True), Choices(fill="3")):
                for run in (plan_restore, rehearse, restore):
                    with suppress(ZanithError):
                        await run(db, made, choices, *([DBA] if run is not plan_restore else []))
                    scene.quiet()
    await restored(scene, made, way, tmp_path)
    scene.quiet()


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", BETTER)
async def test_what_fits_better_in_the_table_of_an_owner(scene, kind, way, tmp_path):
    """Nor does the code of one owner run as another because both may create something in a schema of the path."""
    expression, better = BETTER[kind]
    scene.by(scene.alice, f"""
        CREATE FUNCTION public.own(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
        CREATE TABLE alice.t (id int PRIMARY KEY, a int[], c int CHECK (public.own(c) > 0 AND {expression}));
        CREATE INDEX ON alice.t (public.own(c)) WHERE {expression}; INSERT INTO alice.t VALUES (1, '{{1}}', 1)""")  # fmt: skip
    made = await taken(scene, "archive_column", "alice.t")
    scene.by(scene.mallory, better)
    scene.trap.read()
    await restored(scene, made, way, tmp_path)
    scene.quiet()
    scene.by(scene.mallory, "DROP FUNCTION public.array_length(int[], int)" if kind == "function" else "DROP FUNCTION public.same CASCADE")  # fmt: skip
    async with scene.opened() as db:
        await restore(db, made, Choices(), DBA)
    scene.quiet()


async def test_restores_at_once_wait_for_one_another(scene):
    """Each locks pg_proc while it reads texts under a path of public, where Mallory creates functions all the time."""
    scene.by(None, "CREATE FUNCTION public.own(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$")  # fmt: skip
    made = []
    for n in range(4):
        scene.by(None, f"CREATE TABLE public.t{n} (id int PRIMARY KEY, c int CHECK (public.own(c) > 0)); INSERT INTO public.t{n} SELECT n, n FROM generate_series(1, 9) n")  # fmt: skip
        made.append(await taken(scene, "archive_column", f"public.t{n}"))
    ended = asyncio.Event()

    async def create() -> int:
        created = 0
        async with scene.place.connect(user=scene.mallory) as mallory:
            while not ended.is_set():
                await mallory.execute("CREATE OR REPLACE FUNCTION public.own(text) RETURNS int LANGUAGE sql AS 'SELECT 1'")  # fmt: skip
                created += 1
        return created

    creating = asyncio.create_task(create())
    try:
        async with scene.opened() as one, scene.opened() as two:
            await asyncio.gather(*(restore(db, each, Choices(), DBA) for db, each in zip((one, two) * 2, made, strict=True)))  # fmt: skip
    finally:
        ended.set()
    assert await creating > 0
    for n in range(4):
        assert scene.by(None, f"SELECT sum(c) FROM public.t{n}") == "45"
