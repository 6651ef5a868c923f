"""Tables that changed hands: what one owner recorded never runs as the owner of today, nor comes back on the table of another.

Mallory writes, a DBA gives the table to somebody else, or somebody makes another table of its name. See handed_over.sql.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.erase import erase, plan_erasure
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.hooks import acting
from tests.hostile.scene import DBA, ROWS
from tests.oracle.judges import restore_by_psql

LITERAL = "('(1)'::harm.lit IS NOT NULL)"
TYPES = """
CREATE DOMAIN harm.dom AS int CHECK (harm.tell('literal'));
CREATE TYPE harm.lit AS (x harm.dom);
CREATE FUNCTION harm.fires() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM harm.tell('trigger'); RETURN COALESCE(NEW, OLD); END $$;
"""
TABLE = f"""
CREATE TABLE harm.t (id int PRIMARY KEY, d int, c int DEFAULT harm.tap('default', 7) CONSTRAINT ck CHECK (harm.tap('check', c) > 0),
    gc int GENERATED ALWAYS AS (harm.tap('generated', c)) STORED);
CREATE INDEX i1 ON harm.t (harm.tap('index', c));
CREATE INDEX i2 ON harm.t (c) WHERE harm.note('predicate');
CREATE STATISTICS harm.st ON (harm.tap('statistics', c)) FROM harm.t;
CREATE POLICY p ON harm.t USING (c > 0 AND {LITERAL});
CREATE TRIGGER tr AFTER UPDATE OF c ON harm.t FOR EACH ROW WHEN (NEW.c > 0 AND {LITERAL}) EXECUTE FUNCTION harm.fires();
INSERT INTO harm.t (id, c, d) {ROWS};
"""
STRATEGIES = ("archive_column", "soft_drop_column", "archive_table", "soft_drop_table")
PARKED = r"SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^(t|_zanith_dropped_t_[0-9a-z]+)$' AND relkind = 'r'"


async def captured(scene, db, strategy: str, table: str = "harm.t") -> str:
    column = "c" if strategy.endswith("column") else None
    wanted = CaptureRequest(strategy, table, column, on_dependents="cascade")
    return (await capture(db, wanted, DBA)).id


@pytest.mark.parametrize("to", ["superuser", "alice"])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_table_that_was_given_to_another(scene, strategy, to, tmp_path):
    """Its functions still are Mallory's: no command plans or evaluates what calls them."""
    scene.by(scene.mallory, TYPES + TABLE)
    scene.by(None, f"GRANT ALL ON SCHEMA harm TO {scene.alice}")
    of_today = Choices(current_owner=strategy.endswith("table"))
    async with scene.opened() as db:
        made = await captured(scene, db, strategy)
        owner = "CURRENT_USER" if to == "superuser" else scene.alice
        scene.by(None, f"ALTER TABLE {scene.by(None, PARKED)} OWNER TO {owner}")
        scene.trap.read()
        plan = await plan_restore(db, made, of_today)
        assert {found.code for found in plan.conflicts} == {"code_of_another"}
        assert "harm." in plan.conflicts[0].message
        with pytest.raises(ZanithError, match="would run as"):
            await restore(db, made, of_today, DBA)
        for work in (
            lambda: inspect(db, made),
            lambda: seal(db, made, DBA),
            lambda: verify(db, made, DBA),
            lambda: export_to_file(db, ExportRequest(made), tmp_path / "t.csv", DBA),
            lambda: plan_erasure(db, made, {"id": "1"}, DBA),
            lambda: erase(db, made, {"id": "1"}, DBA, rows=1, confirm="t"),
            lambda: rehearse(db, made, of_today, DBA),
            lambda: restore(db, made, Choices(unverified=True, current_owner=of_today.current_owner), DBA),
        ):  # fmt: skip
            with suppress(ZanithError):  # refused is as good
                await work()
    with pytest.raises(CommandFailed):
        restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


async def test_what_calls_it_can_be_left_out(scene):
    scene.by(scene.mallory, TYPES + TABLE)
    async with scene.opened() as db:
        made = await captured(scene, db, "archive_column")
        scene.by(None, "ALTER TABLE harm.t OWNER TO CURRENT_USER")
        scene.trap.read()
        plan = await plan_restore(db, made)
        parts = tuple(part for found in plan.conflicts for part in found.without)
        assert "default of c" in parts
        assert {"index i1", "policy p on table harm.t"} <= set(parts)
        report = await restore(db, made, Choices(without=parts), DBA)
    scene.quiet()
    assert {loss.code for loss in report.losses} >= {"left_out"}
    assert scene.by(None, "SELECT count(*) FROM harm.t WHERE c = id") == "5"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_with_its_functions_it_comes_back(scene, strategy):
    scene.by(scene.mallory, TYPES + TABLE)
    scene.by(None, f"GRANT ALL ON SCHEMA harm TO {scene.alice}")
    of_today = Choices(current_owner=strategy.endswith("table"))
    async with scene.opened() as db:
        made = await captured(scene, db, strategy)
        scene.by(None, f"REASSIGN OWNED BY {scene.mallory} TO {scene.alice}")
        assert not (await plan_restore(db, made, of_today)).conflicts
        scene.trap.read()
        await restore(db, made, of_today, DBA)
    assert {seen.ran for seen in scene.trap.read()} <= {scene.alice}
    assert scene.by(None, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'harm.t'::regclass") == scene.alice  # fmt: skip


async def test_a_builtin_that_executes_sql_does_not_change_hands(scene):
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, d int, c int DEFAULT CASE WHEN {acting("default")} THEN 1 END); INSERT INTO harm.t {ROWS}""")  # fmt: skip
    async with scene.opened() as db:
        made = await captured(scene, db, "archive_column")
        scene.by(
            None, "ALTER TABLE harm.t OWNER TO CURRENT_USER; DELETE FROM zanith._zanith_callers"
        )
        scene.by(None, "INSERT INTO harm.t VALUES (9, 9)")
        scene.trap.read()
        for choices in (Choices(fill_default=True), Choices(online=True)):
            with pytest.raises(ZanithError, match=r"default of c calls ts_rewrite"):
                await restore(db, made, choices, DBA)
        await restore(db, made, Choices(without=("default of c",)), DBA)
    scene.quiet()


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column", "archive_table", "soft_drop_table"])  # fmt: skip
async def test_a_cast_of_the_type_beneath_a_domain(scene, strategy, way, tmp_path):
    """Validating a foreign key calls it, and it belongs neither to the domain's owner nor to the table's."""
    scene.by(scene.mallory, """
        CREATE TYPE harm.kind AS ENUM ('a');
        CREATE FUNCTION harm.number(harm.kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM harm.note('cast'); RETURN 1; END $$;
        CREATE CAST (harm.kind AS int) WITH FUNCTION harm.number(harm.kind) AS IMPLICIT""")  # fmt: skip
    scene.by(None, f"""
        CREATE DOMAIN public.named AS harm.kind; CREATE TABLE public.p (id int PRIMARY KEY); INSERT INTO public.p VALUES (1);
        GRANT ALL ON public.p TO {scene.mallory}""")  # fmt: skip
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int PRIMARY KEY, d int, c public.named REFERENCES public.p); INSERT INTO harm.t VALUES (1, 1, 'a')""")  # fmt: skip
    of_today = Choices(current_owner=strategy.endswith("table"))
    async with scene.opened() as db:
        made = await captured(scene, db, strategy)
        scene.by(None, f"ALTER TABLE {scene.by(None, PARKED)} OWNER TO CURRENT_USER")
        scene.trap.read()
        plan = await plan_restore(db, made, of_today)
        assert {found.code for found in plan.conflicts} == {"code_of_another"}
        assert "harm.number" in plan.conflicts[0].message
        if way == "engine":
            with pytest.raises(ZanithError, match="would run as"):
                await restore(db, made, of_today, DBA)
    if way == "psql":
        with suppress(CommandFailed):
            restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


ON_ANOTHER = {
    "policy": f"CREATE POLICY p ON public.other USING ((SELECT max(c) FROM harm.t) > 0 AND {LITERAL})",
    "rule": f"CREATE RULE r AS ON UPDATE TO public.other WHERE {LITERAL} DO ALSO UPDATE harm.t SET c = harm.tap('rule', 1)",
    "foreign key": "ALTER TABLE public.other ADD CONSTRAINT fk FOREIGN KEY (x) REFERENCES harm.t (c) ON DELETE CASCADE",
}
THERE = "SELECT count(*) FROM (SELECT polrelid AS o FROM pg_policy UNION ALL SELECT ev_class FROM pg_rewrite UNION ALL SELECT conrelid FROM pg_constraint WHERE contype = 'f') x WHERE o = 'public.other'::regclass"


async def is_refused(scene, db, made, way, directory) -> None:
    """Restore by psql or by the engine: each must say that another table has the name."""
    if way == "psql":
        with pytest.raises(CommandFailed, match="is now another table"):
            restore_by_psql(scene.place, made, directory)
    else:
        with pytest.raises(ZanithError, match="is now another table"):
            await restore(db, made, Choices(), DBA)


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", ON_ANOTHER)
async def test_nothing_comes_back_on_a_table_that_took_the_name_of_another(
    scene, kind, way, tmp_path
):
    other = "CREATE TABLE public.other (id int PRIMARY KEY, x int); INSERT INTO public.other VALUES (1, 1)"
    scene.by(scene.mallory, f"""{TYPES}
        CREATE TABLE harm.t (id int PRIMARY KEY, c int UNIQUE, d int); INSERT INTO harm.t {ROWS}; {other};
        {ON_ANOTHER[kind]}""")  # fmt: skip
    async with scene.opened() as db:
        made = await captured(scene, db, "archive_column")
        scene.by(scene.mallory, "DROP TABLE public.other")
        scene.by(scene.alice, other)
        scene.by(None, "SELECT zanith._renew_scripts()")  # as an upgrade renders scripts
        scene.trap.read()
        plan = await plan_restore(db, made)
        assert [found.code for found in plan.conflicts] == ["table_of_another"]
        await is_refused(scene, db, made, way, tmp_path)
        if way == "engine":
            await restore(db, made, Choices(without=plan.conflicts[0].without), DBA)
    scene.quiet()
    assert scene.by(None, THERE) == "0"


@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("kind", ["attach", "inherit"])
async def test_a_parent_that_took_the_name_of_another(scene, kind, way, tmp_path):
    """The rows of a child are rows of its parent."""
    parent = "CREATE TABLE public.p (id int, c int, d int)" + (
        " PARTITION BY RANGE (id)" if kind == "attach" else ""
    )
    child = {
        "attach": "CREATE TABLE harm.t PARTITION OF public.p FOR VALUES FROM (0) TO (100)",
        "inherit": "CREATE TABLE harm.t () INHERITS (public.p)",
    }[kind]
    scene.by(scene.mallory, f"{parent}; {child}; INSERT INTO harm.t {ROWS}")
    async with scene.opened() as db:
        made = await captured(scene, db, "soft_drop_table")
        scene.by(scene.mallory, "DROP TABLE public.p")
        scene.by(scene.alice, parent)
        await is_refused(scene, db, made, way, tmp_path)
    assert scene.by(None, "SELECT count(*) FROM public.p") == "0"


@pytest.mark.parametrize("online", [False, True])
async def test_values_do_not_come_back_into_the_table_of_another(scene, online, tmp_path):
    scene.by(scene.mallory, f"""
        CREATE TABLE public.t (id int PRIMARY KEY, d int, c int DEFAULT harm.tap('default', 1) CHECK (harm.tap('check', c) > 0));
        INSERT INTO public.t {ROWS}""")  # fmt: skip
    async with scene.opened() as db:
        made = await captured(scene, db, "archive_column", "public.t")
        scene.by(scene.mallory, "DROP TABLE public.t")
        scene.by(scene.alice, "CREATE TABLE public.t (id int PRIMARY KEY, d int)")
        scene.trap.read()
        plan = await plan_restore(db, made, Choices(online=online))
        assert {found.code for found in plan.conflicts} == {"table_of_another", "code_of_another"}
        with pytest.raises(ZanithError):
            await restore(db, made, Choices(online=online), DBA)
    with pytest.raises(CommandFailed):
        restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


async def test_a_schema_that_is_exchanged_before_a_grant(scene):
    """ALTER SCHEMA … RENAME waits for no lock of a table: a grant by name would be one on the table of another."""
    scene.by(None, f"GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory}")
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}; GRANT ALL ON harm.t TO PUBLIC;
        CREATE SCHEMA lure; GRANT ALL ON SCHEMA lure TO {scene.alice}""")  # fmt: skip
    scene.by(scene.alice, "CREATE TABLE lure.t (id int, c int, d int)")
    refused: list[str] = []

    async def exchange(told: dict) -> None:
        if told.get("step") == "Grant the recorded privileges" and not refused:
            with pytest.raises(CommandFailed, match="lock timeout") as error:
                scene.by(scene.mallory, "SET lock_timeout = '500ms'; BEGIN; ALTER SCHEMA harm RENAME TO gone; ALTER SCHEMA lure RENAME TO harm; COMMIT")  # fmt: skip
            refused.append(str(error.value))

    async with scene.opened() as db:
        made = await captured(scene, db, "archive_table")
        await restore(db, made, Choices(), DBA, on_progress=exchange)
    assert refused
    assert scene.by(None, f"SELECT has_table_privilege('{scene.mallory}', 'lure.t', 'SELECT')") == "f"  # fmt: skip
