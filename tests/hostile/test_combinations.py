"""Several objects, owners or moments at once: what one hook alone does not show.

Each was a way for the code of one role to run as another, or to make a state that is false. Mallory owns the schema `harm`
and what is in it, Alice the schema `alice`; an operation is a superuser's. What is refused is as good as what is harmless.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.artifacts import get_artifact, inspect
from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Database
from app.recovery.errors import ZanithError
from app.recovery.export import ExportRequest, export_to_file
from app.recovery.plan import Choices, plan_restore
from app.recovery.purge import purge
from app.recovery.rehearsal import rehearse
from app.recovery.restore import restore
from app.recovery.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS, Scene
from tests.oracle.judges import restore_by_psql


async def gone_and_back(scene: Scene, strategy: str, table: str) -> None:
    """Capture a column as the superuser and restore it."""
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest(strategy, table, "c", on_dependents="cascade"), DBA)
        await restore(db, made.id, Choices(), DBA)


@pytest.mark.smoke
async def test_a_partition_key_beneath_the_table(scene):
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int, c int NOT NULL DEFAULT 8, d int) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10)
            PARTITION BY RANGE ((d + harm.tap('key beneath', 1)));
        CREATE TABLE harm.t11 PARTITION OF harm.t1 DEFAULT""")  # fmt: skip
    scene.trap.read()
    await gone_and_back(scene, "soft_drop_column", "harm.t")
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("soft_drop_column", "harm.t", "c"), DBA)
        await purge(db, made.id, DBA, confirm="harm.t.c")
    scene.quiet()


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column"])
async def test_an_index_of_a_partition_that_is_attached(scene, strategy):
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE harm.t2 PARTITION OF harm.t FOR VALUES FROM (10) TO (20);
        CREATE INDEX half ON ONLY harm.t ((c + harm.tap('half', 1)));
        CREATE INDEX half1 ON harm.t1 ((c + harm.tap('half', 1)));
        ALTER INDEX harm.half ATTACH PARTITION harm.half1""")  # fmt: skip
    scene.trap.read()
    await gone_and_back(scene, strategy, "harm.t")
    scene.quiet()


@pytest.mark.smoke
@pytest.mark.parametrize("child_of", ["superuser", "alice"])
async def test_a_foreign_key_between_two_owners(scene, child_of):
    child = scene.alice if child_of == "alice" else None
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.p (id int PRIMARY KEY, c int UNIQUE, d int); INSERT INTO harm.p {ROWS};
        GRANT REFERENCES, SELECT ON harm.p TO PUBLIC""")  # fmt: skip
    scene.by(child, """
        CREATE TABLE alice.child (id int PRIMARY KEY, c int REFERENCES harm.p (c));
        INSERT INTO alice.child VALUES (1, 1)""")  # fmt: skip
    async with scene.opened() as db:
        request = CaptureRequest("soft_drop_column", "harm.p", "c", on_dependents="cascade")
        made = await capture(db, request, DBA)
        scene.by(scene.mallory, "CREATE INDEX ON harm.p (d) WHERE harm.note('folded')")
        scene.trap.read()
        plan = await plan_restore(db, made.id)
        assert [found.code for found in plan.conflicts] == ["several_owners"]
        await restore(db, made.id, Choices(not_valid=True), DBA)
    scene.quiet()
    unproved = "SELECT conname FROM pg_constraint WHERE NOT convalidated AND contype = 'f'"
    assert scene.by(None, unproved) == "child_c_fkey"


@pytest.mark.parametrize("code", [False, True])
@pytest.mark.parametrize("child_of", ["superuser", "alice"])
@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_code_that_a_referenced_table_calls_since(scene, way, child_of, code, tmp_path):
    """The script was rendered, or the plan made, before: what decides is what is there then."""
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.p (id int PRIMARY KEY, c int UNIQUE, d int); INSERT INTO harm.p {ROWS};
        GRANT REFERENCES, SELECT ON harm.p TO PUBLIC""")  # fmt: skip
    scene.by(scene.alice if child_of == "alice" else None, f"""
        CREATE TABLE alice.child (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES harm.p (c), d int);
        INSERT INTO alice.child {ROWS}""")  # fmt: skip

    async def add_code(told: dict) -> None:
        if code and told.get("step") == "Validate the constraint theirs":
            scene.by(scene.mallory, adds)

    adds = "CREATE INDEX ON harm.p (d) WHERE harm.note('folded')"
    made = scene.artifact(None, "archive_column('alice.child', 'c')")
    scene.trap.read()
    if way == "psql":
        if code:
            scene.by(scene.mallory, adds)
        restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            report = await restore(db, made, Choices(), DBA, on_progress=add_code)
        assert [loss.code for loss in report.losses if loss.code == "not_validated"] == (
            ["not_validated"] if code else []
        )
    proved = "SELECT convalidated FROM pg_constraint WHERE conname = 'theirs'"
    assert scene.by(None, proved) == ("f" if code else "t")
    scene.trap.read()
    scene.quiet()


def test_a_referenced_table_that_was_given_away(scene, tmp_path):
    scene.by(scene.alice, """
        CREATE TABLE alice.p (c int UNIQUE, d int); INSERT INTO alice.p SELECT 1, 1;
        CREATE TABLE alice.t (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES alice.p (c));
        INSERT INTO alice.t SELECT 1, 1""")  # fmt: skip
    made = scene.artifact(scene.alice, "archive_column('alice.t', 'c')")
    scene.by(None, f"ALTER TABLE alice.p OWNER TO {scene.mallory}; GRANT CREATE ON SCHEMA alice TO {scene.mallory};"
                   f"GRANT REFERENCES, SELECT ON alice.p TO PUBLIC")  # fmt: skip
    scene.by(scene.mallory, "CREATE INDEX ON alice.p (d) WHERE harm.note('folded')")
    scene.trap.read()
    restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()
    assert scene.by(None, "SELECT convalidated FROM pg_constraint WHERE conname = 'theirs'") == "f"


async def test_a_foreign_key_of_one_owner_is_still_counted(scene):
    scene.by(
        scene.mallory,
        f"CREATE TABLE harm.p (id int PRIMARY KEY, c int UNIQUE, d int); INSERT INTO harm.p {ROWS};"
        "GRANT REFERENCES, SELECT ON harm.p TO PUBLIC",
    )
    scene.by(
        scene.alice,
        "CREATE TABLE alice.own (id int PRIMARY KEY); INSERT INTO alice.own VALUES (1);"
        "CREATE TABLE alice.child (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES harm.p (c)"
        " CONSTRAINT own REFERENCES alice.own); INSERT INTO alice.child VALUES (1, 1)",
    )
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("archive_column", "alice.child", "c"), DBA)
        scene.by(scene.mallory, "CREATE INDEX ON harm.p (d) WHERE harm.note('folded')")
        scene.by(scene.alice, "DELETE FROM alice.own")
        scene.trap.read()
        plan = await plan_restore(db, made.id, Choices(not_valid=True))
    orphans = [drift for drift in plan.drift if drift.kind == "foreign_key_orphans"]
    assert [(drift.object, drift.blocks) for drift in orphans] == [
        ("theirs", False),
        ("own", False),
    ]
    assert orphans[0].message.startswith("theirs cannot be checked: code of")
    scene.quiet()


async def test_a_type_that_takes_the_name_of_another(scene):
    scene.by(scene.mallory, f"""
        CREATE TYPE harm.kind AS ENUM ('a', '(1)'); CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int);
        INSERT INTO harm.t {ROWS}; CREATE INDEX i ON harm.t (c) WHERE '(1)'::harm.kind IS NOT NULL""")  # fmt: skip
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("archive_column", "harm.t", "c"), DBA)
        scene.by(scene.mallory, """
            ALTER TYPE harm.kind RENAME TO other;
            CREATE FUNCTION harm.check_it(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
                $$ BEGIN PERFORM harm.note('took the name'); RETURN true; END $$;
            CREATE DOMAIN harm.dom AS text CHECK (harm.check_it(VALUE));
            CREATE TYPE harm.kind AS (x harm.dom)""")  # fmt: skip
        scene.trap.read()
        await restore(db, made.id, Choices(), DBA)
    scene.quiet()


@pytest.mark.parametrize("root_of", ["superuser", "alice"])
async def test_a_partition_of_another_owner(scene, root_of):
    root = scene.alice if root_of == "alice" else None
    scene.by(root, """
        CREATE TABLE alice.t (id int, c int) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE alice.t2 PARTITION OF alice.t FOR VALUES FROM (10) TO (20);
        INSERT INTO alice.t VALUES (1, 1), (11, 2)""")  # fmt: skip
    scene.by(None, f"ALTER TABLE alice.t1 OWNER TO {scene.mallory}")
    column = scene.artifact(None, "soft_drop_column('alice.t', 'c')")
    scene.by(scene.mallory, """
        ALTER TABLE alice.t1 ADD CHECK (harm.note('check of a partition'));
        SET search_path = alice; ALTER TABLE alice.t1 ADD CHECK (harm.tap('another', 1) = 1)""")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        for strategy in ("archive_table", "soft_drop_table"):
            with pytest.raises(ZanithError, match="several owners"):
                await capture(db, CaptureRequest(strategy, "alice.t"), DBA)
        plan = await plan_restore(db, column)
        assert "several_owners" in [found.code for found in plan.conflicts]
    scene.quiet()


@pytest.mark.parametrize(
    "strategy", ["archive_column", "soft_drop_column", "archive_table", "soft_drop_table"]
)
async def test_a_superusers_table_that_was_given_away(scene, strategy, tmp_path):
    column = ", 'c'" if strategy.endswith("column") else ""
    scene.by(
        None, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}"
    )
    made = scene.artifact(None, f"{strategy}('harm.t'{column})")
    where = "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^(t|_zanith_dropped_t_[0-9a-z]+)$' AND relkind = 'r'"
    table = scene.by(None, where)
    scene.by(None, f"ALTER TABLE {table} OWNER TO {scene.mallory}")
    # nobody but Zanith makes an index in its schema
    adds = f"ALTER TABLE {table} ADD CHECK (harm.note('given away'))"
    if strategy != "archive_table":
        adds += f"; CREATE INDEX ON {table} (d) WHERE harm.note('given away')"
    scene.by(None, f"SET ROLE {scene.mallory}; {adds}")
    scene.trap.read()
    with pytest.raises(CommandFailed, match="its code would run as postgres"):
        restore_by_psql(scene.place, made, tmp_path)
    async with scene.opened() as db:
        for operation in (inspect, seal_it, verify_it, restore_it):
            try:
                await operation(db, made)
            except ZanithError:
                continue
    scene.quiet()


@pytest.mark.parametrize(
    "strategy", ["archive_column", "soft_drop_column", "archive_table", "soft_drop_table"]
)
async def test_a_table_that_is_given_away_before_the_lock(scene, strategy):
    column = ", 'c'" if strategy.endswith("column") else ""
    scene.by(
        None, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}"
    )
    made = scene.artifact(None, f"{strategy}('harm.t'{column})")
    where = "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^(t|_zanith_dropped_t_[0-9a-z]+)$' AND relkind = 'r'"
    table = scene.by(None, where)
    given: list[str] = []

    async def give_away(told: dict) -> None:
        if told.get("done") == 0 and told.get("step") and not given:
            given.append(told["step"])
            scene.by(None, f"ALTER TABLE {table} OWNER TO {scene.mallory};"
                           f"SET ROLE {scene.mallory}; ALTER TABLE {table} ADD CONSTRAINT given_away CHECK (harm.note('given away'))")  # fmt: skip

    async with scene.opened() as db:
        # the checks before the rehearsal of an archive hold its table already
        for run in (restore,) if strategy == "archive_column" else (rehearse, restore):
            with pytest.raises(ZanithError, match="another owner"):
                await run(db, made, Choices(unverified=True), DBA, on_progress=give_away)
            assert given
            given.clear()
            scene.by(None, f"ALTER TABLE {table} OWNER TO CURRENT_USER;"
                           f"ALTER TABLE {table} DROP CONSTRAINT given_away")  # fmt: skip
    scene.trap.read()
    scene.quiet()


async def seal_it(db, made: str) -> None:
    await seal(db, made, DBA)


async def verify_it(db, made: str) -> None:
    await verify(db, made, DBA)


async def restore_it(db, made: str) -> None:
    await restore(db, made, Choices(), DBA)


@pytest.mark.parametrize("when", ["before", "meanwhile", "script", "never", "script, never"])
async def test_a_parent_that_calls_code_since(scene, when, tmp_path):
    scene.by(scene.mallory, "CREATE TABLE harm.t (id int, d int) PARTITION BY RANGE (id)")
    scene.by(None, "CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10)")
    adds = "CREATE INDEX ON harm.t ((d + harm.tap('index above', 1)))"

    async def add_code(told: dict) -> None:
        if (
            when == "meanwhile"
            and told.get("step") == "Attach the partition to its parent, with its bound"
        ):
            scene.by(scene.mallory, adds)

    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("soft_drop_table", "harm.t1"), DBA)
        if when in {"before", "script"}:
            scene.by(scene.mallory, adds)
        scene.trap.read()
        refused = {"before": ZanithError, "meanwhile": ZanithError}.get(when)
        if when == "script, never":
            restore_by_psql(scene.place, made.id, tmp_path)
        elif when == "never":
            await restore(db, made.id, Choices(), DBA)
        elif refused:
            with pytest.raises(refused, match="belongs to another role"):
                await restore(db, made.id, Choices(), DBA, on_progress=add_code)
        else:
            with pytest.raises(CommandFailed, match="belongs to another role"):
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
    PERFORM harm.note('=');
    RETURN pg_catalog.enum_eq($1, CASE WHEN pg_catalog.enum_eq($2, 'x') THEN 'y' WHEN pg_catalog.enum_eq($2, 'y') THEN 'x' ELSE $2 END);
END $$;
CREATE OPERATOR public.= (LEFTARG = alice.kind, RIGHTARG = alice.kind, FUNCTION = public.same);
CREATE FUNCTION public.format(text, alice.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.note('format'); RETURN $2::text; END $$;
CREATE FUNCTION public.num_nulls(alice.kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.note('num_nulls'); RETURN 0; END $$;
CREATE FUNCTION public.concat_ws(text, alice.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.note('concat_ws'); RETURN $2::text; END $$;
CREATE FUNCTION public.starts_with(name, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.note('starts_with'); RETURN true; END $$;
CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM harm.note('format of a name'); RETURN $2::text; END $$;
"""


@pytest.mark.parametrize("owner", ["superuser", "alice"])
@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_what_fits_better_than_what_we_call(scene, owner, way, tmp_path):
    scene.by(None if owner == "superuser" else scene.alice, ALICE)
    made = scene.artifact(
        None if owner == "superuser" else scene.alice, "archive_column('alice.t', 'c')"
    )
    scene.by(scene.mallory, FITTING)
    scene.trap.read()
    async with scene.opened() as db:
        await seal(db, made, DBA)
        await inspect(db, made)
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
    with pytest.raises(CommandFailed, match="would call code that it did not call"):
        restore_by_psql(scene.place, made, tmp_path)
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match="would call the"):
            await restore(db, made, Choices(), DBA)
    scene.by(scene.mallory, "DROP FUNCTION public.format(text, alice.kind)")
    restore_by_psql(scene.place, made, tmp_path)
    assert scene.by(None, "SELECT f FROM alice.v ORDER BY f LIMIT 1") == "x"
    scene.quiet()


@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_table"])
def test_a_foreign_key_calls_the_operators_of_its_index(scene, strategy, tmp_path):
    scene.by(None, "CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
                   "CREATE EVENT TRIGGER sees ON ddl_command_end EXECUTE FUNCTION see();"
                   "CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);"
                   "CREATE OPERATOR CLASS public.alike FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=,"
                   "OPERATOR 3 ===, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int)")  # fmt: skip
    scene.by(scene.alice, """
        CREATE TABLE alice.p (id int NOT NULL); CREATE UNIQUE INDEX ON alice.p (id public.alike);
        INSERT INTO alice.p VALUES (1);
        CREATE TABLE alice.t (id int PRIMARY KEY, c int CONSTRAINT refers REFERENCES alice.p (id));
        INSERT INTO alice.t VALUES (1, 1)""")  # fmt: skip
    own = "SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_operator'::regclass AND objid = (SELECT oid FROM pg_constraint WHERE conname = 'refers')"
    assert scene.by(None, own) != "0"
    column = ", 'c'" if strategy == "archive_column" else ""
    made = scene.artifact(scene.alice, f"{strategy}('alice.t'{column})")
    restore_by_psql(scene.place, made, tmp_path)
    assert scene.by(None, "SELECT count(*) FROM alice.t JOIN alice.p ON c = p.id") == "1"
    assert scene.by(None, own) != "0"


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


async def test_a_former_owner_says_nothing_of_an_artifact(scene):
    scene.by(
        scene.mallory,
        f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}",
    )
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    scene.by(
        None,
        f"ALTER TABLE harm.t OWNER TO {scene.alice}; GRANT USAGE ON SCHEMA harm TO {scene.alice}",
    )
    for call in (
        f"record_seal('{made}', 5, repeat('0', 64), zanith.canonical_query('{made}'), zanith.canonical_settings())",
        f"mark_restored('{made}')",
    ):
        with pytest.raises(CommandFailed, match="must be owner"):
            scene.by(scene.mallory, f"SELECT zanith.{call}")
    async with scene.opened() as db:
        found = await get_artifact(db, made)
        assert (found.status, found.checksum) == ("recoverable", None)
    scene.by(scene.alice, f"SELECT zanith.mark_restored('{made}')")


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


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_a_table_that_was_given_to_another_runs_nothing_as_anyone_else(scene, strategy):
    """Its new owner is a choice; steps run as that role, and a plan without the choice stops."""
    scene.by(scene.alice, f"""
        CREATE TABLE alice.p (c int PRIMARY KEY); INSERT INTO alice.p SELECT generate_series(1, 5);
        CREATE TABLE alice.t (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES alice.p, d int);
        INSERT INTO alice.t {ROWS}; CREATE VIEW alice.v AS TABLE alice.t""")  # fmt: skip
    made = scene.artifact(scene.alice, f"{strategy}('alice.t', on_dependents => 'cascade')")
    table = scene.by(None, "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^_zanith_dropped_t_[0-9a-z]+$' AND relkind = 'r'")  # fmt: skip
    scene.by(None, f"""
        GRANT ALL ON SCHEMA alice TO {scene.mallory}; GRANT REFERENCES, SELECT ON alice.p TO {scene.mallory};
        ALTER TABLE {table} OWNER TO {scene.mallory};
        SET ROLE {scene.mallory}; ALTER TABLE {table} ADD CHECK (harm.note('given away'))""")  # fmt: skip
    if strategy == "soft_drop_table":
        scene.by(scene.mallory, f"CREATE INDEX ON {table} (d) WHERE harm.note('given away')")
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made)
        assert [found.code for found in plan.conflicts] == ["owner_changed"]
        with pytest.raises(ZanithError, match="was given to another role"):
            await restore(db, made, Choices(unverified=True), DBA)
        plan = await plan_restore(db, made, Choices(current_owner=True))
        assert {step.role for step in plan.steps} <= {None, scene.mallory}
        with suppress(ZanithError):  # refused is as good
            await restore(db, made, Choices(current_owner=True), DBA)
    scene.trap.read()
    scene.quiet()


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_column"])
async def test_a_function_that_ran_as_its_owner_never_gets_another(scene, strategy, renamed):
    """The table went to a superuser: what depended on it did not, not even where its owner's name is gone."""
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS};
        CREATE VIEW harm.v AS SELECT c FROM harm.t;
        CREATE FUNCTION harm.definer() RETURNS boolean LANGUAGE sql SECURITY DEFINER
            BEGIN ATOMIC SELECT harm.note('definer') AND EXISTS (SELECT c FROM harm.t); END""")  # fmt: skip
    column = "c" if strategy == "archive_column" else None
    of_table = Choices(current_owner=column is None)
    scene.trap.read()
    async with scene.opened() as db:
        request = CaptureRequest(strategy, "harm.t", column, on_dependents="cascade")
        made = await capture(db, request, DBA)
        given = f"harm._zanith_dropped_t_{made.id}" if column is None else "harm.t"
        scene.by(None, f"ALTER TABLE {given} OWNER TO CURRENT_USER")
        if renamed:
            scene.by(None, f"ALTER ROLE {scene.mallory} RENAME TO {scene.mallory}_2")
        try:
            plan = await plan_restore(db, made.id, of_table)
            assert {found.code for found in plan.conflicts} == (
                {"role_missing"} if renamed else set()
            )
            with suppress(ZanithError):
                await restore(db, made.id, of_table, DBA)
        finally:
            if renamed:
                scene.by(None, f"ALTER ROLE {scene.mallory}_2 RENAME TO {scene.mallory}")
    owners = """SELECT DISTINCT pg_get_userbyid(x.owner) FROM (SELECT proowner FROM pg_proc WHERE proname = 'definer'
                UNION ALL SELECT relowner FROM pg_class WHERE oid = to_regclass('harm.v')) x(owner)"""  # fmt: skip
    assert scene.by(None, owners) == ("" if renamed else scene.mallory)
    with suppress(CommandFailed):
        scene.by(scene.mallory, "SELECT harm.definer()")
    scene.quiet()


@pytest.mark.parametrize("kind", ["domain", "generated", "check"])
async def test_a_partition_that_was_given_away_while_a_column_was_parked(scene, kind):
    """Nobody but the operator could change both tables, and the code would run as the operator."""
    column = {
        "domain": "c harm.dom",
        "generated": "c int GENERATED ALWAYS AS (harm.tap('generated', id)) STORED",
        "check": "c int CHECK (c > 0)",
    }[kind]
    scene.by(scene.mallory, "CREATE DOMAIN harm.dom AS int")
    scene.by(scene.alice, f"""
        CREATE TABLE alice.t (id int PRIMARY KEY, {column}) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE alice.t2 PARTITION OF alice.t FOR VALUES FROM (10) TO (20);
        INSERT INTO alice.t (id) VALUES (1), (11)""")  # fmt: skip
    made = scene.artifact(scene.alice, "archive_column('alice.t', 'c')")
    scene.by(None, f"ALTER TABLE alice.t2 OWNER TO {scene.mallory}")
    scene.by(
        scene.mallory, "ALTER DOMAIN harm.dom ADD CHECK (harm.tap('domain', VALUE) > 0) NOT VALID"
    )
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made)
        assert [found.code for found in plan.conflicts] == ["several_owners"]
        for run in (rehearse, restore):
            with pytest.raises(ZanithError, match="belong to other roles"):
                await run(db, made, Choices(), DBA)
    scene.quiet()


@pytest.mark.parametrize("choices", [Choices(), Choices(current_owner=True, unverified=True)])
async def test_a_table_that_somebody_planted(scene, choices):
    """Whoever owns the schema can drop what is parked there, and make another of its name."""
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


LEAVING = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM harm.note('lower'); RETURN 'evil'; END $$;
CREATE FUNCTION harm.leave(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
    PERFORM set_config('search_path', 'evil, pg_catalog', false),
            set_config('standard_conforming_strings', 'off', false),
            set_config('default_transaction_isolation', 'serializable', false),
            set_config('default_transaction_isolation', 'read committed', true);
    RETURN true;
END $f$;
CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int CHECK (harm.leave(d)));
CREATE INDEX ON harm.t (id) WHERE harm.leave(1);
"""
SETTLED = "SHOW search_path; SHOW standard_conforming_strings; SHOW default_transaction_isolation; SHOW work_mem; SELECT lower('ABC')"


def test_what_is_set_for_the_session_does_not_come_out_at_commit(scene, tmp_path):
    scene.by(None, f"GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory}")
    scene.by(scene.mallory, LEAVING)
    scene.trap.read()
    answer = scene.by(None, f"""
        SET search_path = public, harm; SET work_mem = '7MB';
        SELECT zanith.archive_column('harm.t', 'c'); {SETTLED}""")  # fmt: skip
    made, *settled = answer.splitlines()
    assert settled == ["public, harm", "on", "read committed", "7MB", "abc"]
    script = tmp_path / "script.sql"
    recipe = f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{made}'"
    script.write_text(f"{scene.by(None, recipe)}\n{SETTLED};", "utf-8")
    answer = scene.place.psql(file=script)
    assert answer.splitlines()[-5:] == ['"$user", public', "on", "read committed", "4MB", "abc"]
    scene.quiet()


async def test_the_engine_resets_its_session_with_the_transaction(scene):
    scene.by(None, f"GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory}")
    scene.by(scene.mallory, LEAVING)
    db = await Database.open(scene.place.url, max_size=1)
    try:
        async with db.acquire() as connection:
            before = await connection.fetchval("SHOW search_path")
            async with connection.transaction():
                await connection.fetchval(
                    "SELECT zanith._run_as($1, 'SELECT harm.leave(1)', 'values')", scene.mallory
                )
            assert await connection.fetchval("SHOW search_path") == before
            assert await connection.fetchval("SHOW standard_conforming_strings") == "on"
    finally:
        await db.close()


def test_prepared_statements_of_the_session_stay(scene):
    scene.by(scene.mallory, """
        CREATE FUNCTION harm.replace_them() RETURNS void LANGUAGE plpgsql AS $f$
        DECLARE found record; BEGIN
            FOR found IN SELECT name FROM pg_prepared_statements LOOP
                EXECUTE format('DEALLOCATE %I', found.name);
                EXECUTE format('PREPARE %I AS SELECT harm.note(''prepared'')', found.name);
            END LOOP;
        END $f$;
        CREATE FUNCTION harm.swap(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
            $f$ BEGIN PERFORM harm.replace_them(); RETURN true; END $f$;
        CREATE TABLE harm.t (id int PRIMARY KEY, c int);
        CREATE INDEX ON harm.t (id) WHERE harm.swap(1)""")  # fmt: skip
    scene.trap.read()
    with pytest.raises(CommandFailed, match="changed prepared statements"):
        scene.by(
            None,
            "PREPARE mine AS SELECT 'mine'; SELECT zanith.archive_column('harm.t', 'c'); EXECUTE mine",
        )
    scene.quiet()


DEFERRING = """
CREATE TABLE harm.bait (n int);
CREATE FUNCTION harm.go_on() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM harm.note('deferred');
    IF NEW.n < 6 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO harm.bait VALUES (NEW.n + 1); END IF;
    RETURN NULL;
END $f$;
CREATE CONSTRAINT TRIGGER go_on AFTER INSERT ON harm.bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm.go_on();
CREATE FUNCTION harm.begin() RETURNS void LANGUAGE sql VOLATILE AS 'INSERT INTO harm.bait VALUES (1)';
CREATE FUNCTION harm.quiet(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
    IF current_setting('work_mem') = '4MB' THEN PERFORM harm.begin(); END IF; RETURN true; END $f$;
SET work_mem = '5MB';
"""


def test_a_trigger_that_goes_on_deferring_ends_a_script(scene, tmp_path):
    scene.by(scene.mallory, f"""{DEFERRING}
        CREATE TABLE harm.t (id int PRIMARY KEY CHECK (harm.quiet(id)), c int); INSERT INTO harm.t VALUES (1, 1)""")  # fmt: skip
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    scene.trap.read()
    if scene.place.server.version < 18:
        with pytest.raises(CommandFailed, match="wait for the end of the transaction"):
            restore_by_psql(scene.place, made, tmp_path)
    else:  # which runs a deferred trigger as the role that queued it
        restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


def test_a_cursor_of_a_family_with_two_owners(scene, tmp_path):
    scene.by(scene.mallory, """
        CREATE FUNCTION harm.held() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN PERFORM harm.note('held'); RETURN true; END $f$;
        CREATE FUNCTION harm.hold() RETURNS void LANGUAGE plpgsql AS
            $f$ BEGIN EXECUTE 'DECLARE h CURSOR WITH HOLD FOR SELECT harm.held()'; EXCEPTION WHEN OTHERS THEN NULL; END $f$;
        CREATE FUNCTION harm.holds(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM harm.hold(); RETURN true; END $f$;
        CREATE TABLE harm.t (id int, c int, CHECK (harm.holds(id))) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE harm.t2 PARTITION OF harm.t FOR VALUES FROM (10) TO (20);
        ALTER TABLE harm.t ADD PRIMARY KEY (id)""")  # fmt: skip
    scene.by(None, f"ALTER TABLE harm.t2 OWNER TO {scene.alice}; GRANT USAGE ON SCHEMA harm TO {scene.alice};"
                   "INSERT INTO harm.t VALUES (1, 1), (11, 2)")  # fmt: skip
    made = scene.artifact(None, "archive_column('harm.t', 'c')")
    scene.trap.read()
    with suppress(CommandFailed):  # refused is as good
        restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


def test_an_archive_of_an_earlier_version_belongs_to_the_owner(scene, tmp_path):
    scene.by(
        scene.mallory,
        f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}",
    )
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    archive = scene.by(
        None,
        f"SELECT format('_zanith_shadow.%I', physical_table) FROM zanith._zanith_migration_artifacts WHERE id = '{made}'",
    )
    scene.by(None, f"""
        ALTER TABLE {archive} OWNER TO {scene.mallory};
        SET ROLE {scene.mallory}; ALTER TABLE {archive} ADD CHECK (harm.note('archive')); RESET ROLE;
        SELECT zanith._renew_recipes()""")  # fmt: skip
    scene.trap.read()
    restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()
    assert scene.by(None, "SELECT count(*) FROM harm.t WHERE c = id") == "5"


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


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column"])
async def test_a_domain_whose_check_runs_sql_through_a_function_of_postgresql(scene, strategy):
    scene.by(scene.mallory, f"""
        SET search_path = harm;
        CREATE DOMAIN runs AS int CHECK (num_nulls(ts_rewrite('a'::tsquery,
            'SELECT ''a''::tsquery, ''b''::tsquery WHERE harm.note(''through ts_rewrite'')')) = 0);
        CREATE TABLE t (id int PRIMARY KEY, c runs, d int); INSERT INTO t {ROWS}""")  # fmt: skip
    made = scene.artifact(scene.mallory, f"{strategy}('harm.t', 'c')")
    scene.trap.read()
    async with scene.opened() as db:
        for choices in (Choices(fill="5"), Choices(online=True), Choices()):
            with suppress(ZanithError):  # refused is as good
                await plan_restore(db, made, choices)
    scene.quiet()


async def test_a_partition_that_was_given_away_in_a_table_from_before_18(scene):
    """There NOT NULL constraints get their names again by DETACH and ATTACH, which reads checks."""
    if scene.place.server.version < 18:
        pytest.skip("NOT NULL has a name since 18")
    scene.by(None, """
        CREATE TABLE alice.t (id int NOT NULL, c int NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE alice.t2 PARTITION OF alice.t FOR VALUES FROM (10) TO (20)""")  # fmt: skip
    made = scene.artifact(None, "soft_drop_table('alice.t')")
    root = scene.by(
        None,
        "SELECT oid::regclass FROM pg_class WHERE relkind = 'p' AND relname ~ '^_zanith_dropped_'",
    )
    beneath = (
        f"SELECT max(inhrelid)::regclass FROM pg_inherits WHERE inhparent = '{root}'::regclass"
    )
    member = scene.by(None, beneath)
    # as a dump of 17 leaves it
    scene.by(None, f"""
        ALTER TABLE {root} RENAME CONSTRAINT t_c_not_null TO _zanith_dropped_t_c_not_null;
        UPDATE zanith._zanith_migration_artifacts SET definition = definition || '{{"server_version": 170000}}' WHERE id = '{made}';
        SELECT zanith._renew_recipes();
        GRANT USAGE, CREATE ON SCHEMA alice TO {scene.mallory};
        ALTER TABLE {member} OWNER TO {scene.mallory}""")  # fmt: skip
    scene.by(scene.mallory, f"ALTER TABLE {member} ADD CHECK (harm.tap('attached', 1) = 1)")
    scene.trap.read()
    async with scene.opened() as db:
        report = await restore(db, made, Choices(current_owner=True, unverified=True), DBA)
    scene.quiet()
    assert "name" in [loss.code for loss in report.losses]
    names = "SELECT DISTINCT conname FROM pg_constraint WHERE contype = 'n' AND conrelid IN ('alice.t'::regclass, 'alice.t2'::regclass)"
    assert "_zanith_dropped_t_c_not_null" in scene.by(None, names)
