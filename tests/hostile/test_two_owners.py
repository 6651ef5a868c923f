"""Tables of two owners: foreign keys, partitions and parents, and code that one of them adds."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS
from tests.oracle.judges import restore_by_psql


@pytest.mark.parametrize("child_of", [pytest.param("superuser", marks=pytest.mark.smoke), "alice"])
async def test_a_foreign_key_between_two_owners(scene, child_of):
    child = scene.alice if child_of == "alice" else None
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.p (id int PRIMARY KEY, c int UNIQUE, d int); INSERT INTO harm.p {ROWS};
        GRANT REFERENCES, SELECT ON harm.p TO PUBLIC""")  # fmt: skip
    scene.by(child, """
        CREATE TABLE alice.child (id int PRIMARY KEY, c int REFERENCES harm.p (c));
        ALTER TABLE alice.child ADD CONSTRAINT unproved FOREIGN KEY (c) REFERENCES harm.p (c) NOT VALID;
        INSERT INTO alice.child VALUES (1, 1)""")  # fmt: skip
    async with scene.opened() as db:
        request = CaptureRequest("soft_drop_column", "harm.p", "c", on_dependents="cascade")
        made = await capture(db, request, DBA)
        scene.by(scene.mallory, "CREATE INDEX ON harm.p (d) WHERE harm.note('folded')")
        scene.trap.read()
        plan = await plan_restore(db, made.id)
        # nothing validates the other one, which was NOT VALID
        assert [found.code for found in plan.conflicts] == ["several_owners"]
        assert "child_c_fkey" in plan.conflicts[0].message
        await restore(db, made.id, Choices(not_valid=True), DBA)
    scene.quiet()
    unproved = "SELECT conname FROM pg_constraint WHERE NOT convalidated AND contype = 'f' ORDER BY 1"  # fmt: skip
    assert scene.by(None, unproved).split() == ["child_c_fkey", "unproved"]


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


async def test_a_column_that_is_cast_since_is_not_compared(scene):
    """The check of a foreign key that is not there yet would cast it as the owner of the other table."""
    scene.by(
        scene.alice,
        f"""
        CREATE TABLE alice.p (c int PRIMARY KEY, d int); INSERT INTO alice.p VALUES (1, 1), (2, 2);
        GRANT ALL ON alice.p TO {scene.mallory}; GRANT USAGE ON SCHEMA alice TO {scene.mallory}""",
    )
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.child (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES alice.p);
        INSERT INTO harm.child VALUES (1, 1); GRANT ALL ON harm.child TO {scene.alice};
        GRANT USAGE ON SCHEMA harm TO {scene.alice}""")  # fmt: skip
    async with scene.opened() as db:
        request = CaptureRequest("archive_table", "alice.p", on_dependents="cascade")
        made = await capture(db, request, DBA)
        scene.by(
            scene.mallory,
            """
            CREATE TYPE harm.kind AS ENUM ('1');
            CREATE FUNCTION harm.as_int(harm.kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
                $$ BEGIN PERFORM harm.tell('cast'); RETURN 1; END $$;
            CREATE CAST (harm.kind AS int) WITH FUNCTION harm.as_int(harm.kind) AS IMPLICIT;
            ALTER TABLE harm.child ALTER c TYPE harm.kind USING c::text::harm.kind""",
        )
        scene.trap.read()
        plan = await plan_restore(db, made.id)
    (orphans,) = [drift for drift in plan.drift if drift.kind == "foreign_key_orphans"]
    assert orphans.count is None
    assert "cannot be checked: code of" in orphans.message
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


OTHERS = {
    "a function": "CREATE FUNCTION alice.f() RETURNS SETOF harm.t LANGUAGE plpgsql AS 'BEGIN END'",
    "a view": "CREATE VIEW alice.v AS SELECT id, c FROM harm.t",
    "a materialized view": "CREATE MATERIALIZED VIEW alice.m AS SELECT 1 AS x FROM harm.t WITH NO DATA",
    "a foreign key": "CREATE TABLE alice.q (x int REFERENCES harm.t)",
    "a policy": "CREATE TABLE alice.q (x int); CREATE POLICY p ON alice.q USING (x IN (SELECT id FROM harm.t))",
    "a rule": "CREATE TABLE alice.q (x int); CREATE RULE r AS ON UPDATE TO alice.q DO ALSO DELETE FROM harm.t",
}  # fmt: skip


OF_ALICE = """
SELECT CASE relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END || '|' || oid::regclass
FROM pg_class WHERE relnamespace = 'alice'::regnamespace AND relkind IN ('r', 'v', 'm')
UNION ALL SELECT 'FUNCTION|' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'alice'::regnamespace
"""  # fmt: skip


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_what_others_made_of_a_table_whose_key_calls_code(scene, strategy):
    """The owner of the table gives the commands on it, and cannot drop and create what is not his."""
    request = CaptureRequest(strategy, "harm.t", on_dependents="cascade")
    wrong = {}
    async with scene.opened() as db:
        for other, sql in OTHERS.items():
            # a foreign key needs a primary key, which has no expression
            key = "id int, c int) PARTITION BY RANGE (harm.tap('key', id))"
            if other == "a foreign key":
                key = "id harm.dom PRIMARY KEY, c int) PARTITION BY RANGE (id)"
            scene.by(scene.mallory, f"""DROP DOMAIN IF EXISTS harm.dom CASCADE; CREATE DOMAIN harm.dom AS int CHECK (harm.tap('domain of the key', VALUE) >= 0);
                DROP TABLE IF EXISTS harm.t CASCADE; CREATE TABLE harm.t ({key};
                CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10);
                INSERT INTO harm.t {ROWS.replace("n, n, n", "n, n")}""")  # fmt: skip
            scene.by(None, f"DROP SCHEMA IF EXISTS alice CASCADE; CREATE SCHEMA alice; {sql}")
            scene.trap.read()
            with pytest.raises(ZanithError, match=r"and the partition key of harm\.t calls code"):
                await capture(db, request, DBA)
            scene.by(None, f"ALTER SCHEMA alice OWNER TO {scene.mallory}")
            for line in scene.by(None, OF_ALICE).splitlines():
                kind, _, name = line.partition("|")
                scene.by(None, f"ALTER {kind} {name} OWNER TO {scene.mallory}")
            made = await capture(db, request, DBA)
            try:
                await restore(db, made.id, Choices(), DBA)
            except ZanithError as error:
                wrong[other] = f"{error.message}; {error.detail}"
            scene.quiet()
    assert not wrong


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


def test_a_cursor_of_a_family_with_two_owners(scene, tmp_path):
    scene.by(scene.mallory, """
        CREATE FUNCTION harm.held() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN PERFORM harm.tell('held'); RETURN true; END $f$;
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
