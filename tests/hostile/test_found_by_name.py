"""Objects that somebody else made where a name is looked up: functions, types, columns, tables and indexes."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS
from tests.oracle.judges import restore_by_psql


async def test_a_type_that_takes_the_name_of_another(scene, tmp_path):
    scene.by(scene.mallory, f"""
        CREATE TYPE harm.kind AS ENUM ('a', '(1)'); CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int);
        INSERT INTO harm.t {ROWS}; CREATE INDEX i ON harm.t (c) WHERE '(1)'::harm.kind IS NOT NULL""")  # fmt: skip
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("archive_column", "harm.t", "c"), DBA)
        scene.by(scene.mallory, """
            ALTER TYPE harm.kind RENAME TO other;
            CREATE FUNCTION harm.check_it(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
                $$ BEGIN PERFORM harm.tell('took the name'); RETURN true; END $$;
            CREATE DOMAIN harm.dom AS text CHECK (harm.check_it(VALUE));
            CREATE TYPE harm.kind AS (x harm.dom)""")  # fmt: skip
        scene.trap.read()
        with pytest.raises(Refused, match=r"the type harm\.kind, which is called harm\.other now"):
            await restore(db, made.id, Choices(), DBA)
    restore_by_psql(scene.place, made.id, tmp_path)
    scene.quiet()


# As on every database that came from PostgreSQL 14 or earlier, everybody may create in public.
ALICE = """
SET search_path = "$user", public;
CREATE FUNCTION alice.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN abs($1); END $$;
CREATE TYPE alice.kind AS ENUM ('x', 'y', 'z');
CREATE TABLE alice.t (id alice.kind PRIMARY KEY, c int, d int);
INSERT INTO alice.t VALUES ('x', 1, 1), ('y', 2, 2), ('z', 3, 3);
CREATE INDEX ON alice.t (alice.f(d));
"""
FITTING = """
CREATE FUNCTION public.same(alice.kind, alice.kind) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM harm.tell('=');
    RETURN pg_catalog.enum_eq($1, CASE WHEN pg_catalog.enum_eq($2, 'x') THEN 'y' WHEN pg_catalog.enum_eq($2, 'y') THEN 'x' ELSE $2 END);
END $$;
CREATE OPERATOR public.= (LEFTARG = alice.kind, RIGHTARG = alice.kind, FUNCTION = public.same);
CREATE FUNCTION public.format(text, alice.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.tell('format'); RETURN $2::text; END $$;
CREATE FUNCTION public.num_nulls(alice.kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.tell('num_nulls'); RETURN 0; END $$;
CREATE FUNCTION public.concat_ws(text, alice.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.tell('concat_ws'); RETURN $2::text; END $$;
CREATE FUNCTION public.starts_with(name, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.tell('starts_with'); RETURN true; END $$;
CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.tell('format of a name'); RETURN $2::text; END $$;
"""


FITS_NO_MORE = """
DROP OPERATOR public.= (alice.kind, alice.kind); DROP FUNCTION public.format(text, alice.kind), public.num_nulls(alice.kind),
    public.concat_ws(text, alice.kind), public.starts_with(name, text), public.format(text, name);
"""
STANDS_FOR = "could stand for a built-in one"


@pytest.mark.parametrize("owner", ["superuser", "alice"])
@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_what_fits_better_than_what_we_call(scene, owner, way, tmp_path):
    """The restore is refused while it is there: as a superuser, and as the owner."""
    scene.by(None if owner == "superuser" else scene.alice, ALICE)
    made = scene.artifact(
        None if owner == "superuser" else scene.alice, "archive_column('alice.t', 'c')"
    )
    scene.by(scene.mallory, FITTING)
    scene.trap.read()
    async with scene.opened() as db:
        await seal(db, made, DBA)
        await inspect(db, made)
        with pytest.raises((CommandFailed, ZanithError), match=STANDS_FOR):  # noqa: PT012
            if way == "psql":
                restore_by_psql(scene.place, made, tmp_path)
            else:
                await restore(db, made, Choices(), DBA)
        scene.by(scene.mallory, FITS_NO_MORE)
        if way == "psql":
            restore_by_psql(scene.place, made, tmp_path)
        else:
            await restore(db, made, Choices(), DBA)
    scene.quiet()
    assert scene.by(None, "SELECT string_agg(c::text, ',' ORDER BY id) FROM alice.t") == "1,2,3"


async def test_what_fits_better_in_a_view_beneath_an_event_trigger(scene, tmp_path):
    scene.by(scene.alice, ALICE)
    scene.by(scene.alice, "CREATE VIEW alice.v AS SELECT c, format('%s', id) AS f FROM alice.t")
    scene.by(None, "CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
                   "CREATE EVENT TRIGGER sees ON ddl_command_end EXECUTE FUNCTION see()")  # fmt: skip
    made = scene.artifact(scene.alice, "archive_column('alice.t', 'c', on_dependents => 'cascade')")
    scene.by(scene.mallory, FITTING)
    scene.trap.read()
    with pytest.raises(CommandFailed, match=f"would call code that it did not call|{STANDS_FOR}"):
        restore_by_psql(scene.place, made, tmp_path)
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match=f"would call the|{STANDS_FOR}"):
            await restore(db, made, Choices(), DBA)
    scene.by(scene.mallory, FITS_NO_MORE)
    restore_by_psql(scene.place, made, tmp_path)
    assert scene.by(None, "SELECT f FROM alice.v ORDER BY f LIMIT 1") == "x"
    scene.quiet()


async def test_what_fits_better_where_rows_are_read(scene, tmp_path):
    scene.by(scene.alice, ALICE)
    made = scene.artifact(scene.alice, "soft_drop_table('alice.t')")
    scene.by(scene.mallory, FITTING)
    scene.trap.read()
    async with scene.opened() as db:
        await seal(db, made, DBA)
        assert (await verify(db, made, DBA)).matches
        await export_to_file(db, ExportRequest(made), tmp_path / "t.csv", DBA)
    scene.quiet()


async def test_a_column_that_somebody_planted(scene):
    scene.by(
        scene.alice,
        "CREATE TABLE alice.p (id int PRIMARY KEY, c text); INSERT INTO alice.p VALUES (1, 'true')",
    )
    made = scene.artifact(scene.alice, "soft_drop_column('alice.p', 'c')")
    scene.by(scene.alice, "DROP TABLE alice.p")
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.fake (id int PRIMARY KEY, _zanith_dropped_c_{made} text);
        INSERT INTO harm.fake VALUES (1, 'forged')""")  # fmt: skip
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match="is gone"):
            await restore(db, made, Choices(), DBA)


@pytest.mark.parametrize("choices", [Choices(), Choices(current_owner=True, unverified=True)])
async def test_a_table_that_somebody_planted(scene, choices):
    """The owner of the schema can drop a parked object there, and create another of its name."""
    scene.by(None, f"GRANT CREATE ON SCHEMA harm TO {scene.alice}")
    scene.by(scene.alice, "CREATE TABLE harm.p (id int PRIMARY KEY, c text)")
    made = scene.artifact(scene.alice, "soft_drop_table('harm.p')")
    parked = f"harm._zanith_dropped_p_{made}"
    scene.by(scene.mallory, f"""
        DROP TABLE {parked}; CREATE TABLE {parked} (id int PRIMARY KEY, c text CHECK (harm.note('planted')));
        COMMENT ON TABLE {parked} IS 'zanith artifact {made}'; INSERT INTO {parked} VALUES (1, 'forged')""")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match="given to another"):
            await restore(db, made, choices, DBA)
        with pytest.raises(ZanithError, match="given to another"):
            await purge(db, made, DBA, confirm="harm.p")
    scene.quiet()


async def test_an_index_that_is_exchanged_before_it_becomes_a_constraint(scene):
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, c int CONSTRAINT once UNIQUE, d int); INSERT INTO harm.t {ROWS}""")  # fmt: skip
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    scene.trap.read()
    exchanged: list[str] = []

    async def exchange(told: dict) -> None:
        there = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('harm.once') AND indisvalid"
        if not exchanged and scene.by(None, there) == "1":
            exchanged.append(told["step"])
            scene.by(scene.mallory, "DROP INDEX harm.once; CREATE UNIQUE INDEX once ON harm.t (c) WHERE harm.note('exchanged')")  # fmt: skip
            scene.trap.read()

    async with scene.opened() as db:
        await restore(db, made, Choices(online=True), DBA, on_progress=exchange)
    assert exchanged == ["Add the unique constraint once"]
    scene.quiet()
