"""Promise 4: what would stop a restore is in its plan, and what its hint says makes it work.

Each obstacle is met three times: the plan names it, with its way out; the rehearsal is refused by
that plan and not by PostgreSQL in the middle; and once the way out is taken, plan, rehearsal and
restore agree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database as Engine
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from tests.conftest import Database
from tests.oracle.judges import capture

DBA = Actor("dba", None, "staff")
T = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text);"
    "INSERT INTO t VALUES (1, 1, 1, 'x'), (2, 2, 2, 'y');"
)
F = "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';"
G = "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
TREE = (
    "CREATE TABLE t (id int, a int, b int) PARTITION BY LIST (id);"
    "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1, 2, 3), (1, 2, NULL);"
)
CHILD = "CREATE TABLE p (x int PRIMARY KEY); INSERT INTO p VALUES (1), (2);"


@dataclass(frozen=True)
class Obstacle:
    """What there was, what was captured, what happened since, and what the way out is."""

    before: str
    since: str
    says: str  # the conflict's code or the drift's kind
    named: str  # what the message must name
    after: str = ""  # what the hint tells a person to do
    choices: Choices = field(default_factory=Choices)
    table: str = "t"
    column: str | None = "a"
    strategies: tuple[str, ...] = ("archive", "soft_drop")


TABLE = {"column": None}
PART = {"table": "t1", "column": None}
OBSTACLES = {
    "the table has another primary key": Obstacle(
        T + "ALTER TABLE t ADD UNIQUE (b), ALTER b SET NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT other PRIMARY KEY (b)",
        "primary_key_taken",
        "other",
        "ALTER TABLE t DROP CONSTRAINT other",
        column="id",
    ),
    "rows came that have no value for the key": Obstacle(
        T,
        "INSERT INTO t (a) VALUES (7)",
        "null_gaps",
        "1 row would hold NULL in id",
        "DELETE FROM t WHERE a = 7",
        column="id",
        strategies=("soft_drop",),
    ),
    "a key takes no NULL": Obstacle(
        T,
        "SELECT 1",
        "null_in_key",
        "cannot come back without NOT NULL",
        choices=Choices(allow_null=True),
        column="id",
        strategies=("soft_drop",),
    ),
    "the values of a key occur twice": Obstacle(
        T + "ALTER TABLE t ADD UNIQUE (b), ALTER b SET NOT NULL",
        "ALTER TABLE t DROP CONSTRAINT t_b_key; INSERT INTO t SELECT a, b, c FROM t WHERE b = 1; ALTER TABLE t ADD k serial",
        "key_gone",
        "by which the values are stored",
        "DELETE FROM t WHERE k = 3; ALTER TABLE t DROP k, ADD UNIQUE (b)",
        column="id",
        strategies=("archive",),
    ),
    "the default's function went": Obstacle(
        T + F + "ALTER TABLE t ALTER a SET DEFAULT f(1)",
        "DROP FUNCTION f(int)",
        "dependency_gone",
        "public.f(integer)",
        F,
    ),
    "the check's function went": Obstacle(
        T + F + "ALTER TABLE t ADD CHECK (f(a) > 0)",
        "DROP FUNCTION f(int)",
        "dependency_gone",
        "public.f(integer)",
        F,
    ),
    "the index's function went": Obstacle(
        T + F + "CREATE INDEX i ON t (f(a))",
        "DROP FUNCTION f(int)",
        "dependency_gone",
        "public.f(integer)",
        F,
    ),
    "the generated column's function went": Obstacle(
        T + F + "ALTER TABLE t DROP a; ALTER TABLE t ADD a int GENERATED ALWAYS AS (f(b)) STORED",
        "DROP FUNCTION f(int)",
        "dependency_gone",
        "public.f(integer)",
        F,
        strategies=("archive",),
    ),
    "the generated column's source is of another type": Obstacle(
        T + "ALTER TABLE t DROP a; ALTER TABLE t ADD a int GENERATED ALWAYS AS (b + 1) STORED",
        "ALTER TABLE t ALTER b TYPE text",
        "expression",
        "the expression of a",
        "ALTER TABLE t ALTER b TYPE int USING b::int",
        strategies=("archive",),
    ),
    "the trigger's function went": Obstacle(
        T + G + "CREATE TRIGGER w AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION g()",
        "DROP FUNCTION g()",
        "dependency_gone",
        "public.g()",
        G,
    ),
    "the policy's role went": Obstacle(
        T + "CREATE ROLE zanith_gone; CREATE POLICY w ON t TO zanith_gone USING (a > 0)",
        "DROP ROLE zanith_gone",
        "role_missing",
        "zanith_gone",
        "CREATE ROLE zanith_gone",
    ),
    "a column that it shares an index with was renamed": Obstacle(
        T + "CREATE INDEX shared ON t (a, b)",
        "ALTER TABLE t RENAME b TO called",
        "column_renamed",
        "called",
        "ALTER TABLE t RENAME called TO b",
        strategies=("archive",),
    ),
    "a column that it shares a check with was renamed": Obstacle(
        T + "ALTER TABLE t ADD CHECK (a <= b)",
        "ALTER TABLE t RENAME b TO called",
        "column_renamed",
        "called",
        "ALTER TABLE t RENAME called TO b",
    ),
    "the view names another table that went": Obstacle(
        T + CHILD + "CREATE VIEW v AS SELECT a, x FROM t JOIN p ON x = a",
        "DROP TABLE p",
        "column_gone",
        "column x of table public.p",
        CHILD,
    ),
    "the view names a function that went": Obstacle(
        T + F + "CREATE VIEW v AS SELECT f(a) FROM t",
        "DROP FUNCTION f(int)",
        "dependency_gone",
        "public.f(integer)",
        F,
    ),
    "the view's schema went": Obstacle(
        T + "CREATE SCHEMA s; CREATE VIEW s.v AS SELECT a FROM t",
        "DROP SCHEMA s",
        "dependency_gone",
        "schema s",
        "CREATE SCHEMA s",
    ),
    "the view's schema went, with a table": Obstacle(
        T + "CREATE SCHEMA s; CREATE VIEW s.v AS SELECT a FROM t",
        "DROP SCHEMA s",
        "dependency_gone",
        "schema s",
        "CREATE SCHEMA s",
        **TABLE,
    ),
    "the operator class went": Obstacle(
        T + "CREATE OPERATOR CLASS o FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=,"
        " OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);"
        "CREATE INDEX i ON t (a o)",
        "DROP OPERATOR FAMILY o USING btree",
        "dependency_gone",
        "operator class",
        "CREATE OPERATOR CLASS o FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=,"
        " OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int)",
        strategies=("archive",),
    ),
    "the text search configuration went": Obstacle(
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x');"
        "CREATE TEXT SEARCH CONFIGURATION w (COPY = simple);"
        "CREATE INDEX i ON t USING gin (to_tsvector('w', a))",
        "DROP TEXT SEARCH CONFIGURATION w",
        "dependency_gone",
        "text search configuration",
        "CREATE TEXT SEARCH CONFIGURATION w (COPY = simple)",
    ),
    "the sequence of a default went": Obstacle(
        T + "CREATE SEQUENCE q; ALTER TABLE t ALTER a SET DEFAULT nextval('q')",
        "DROP SEQUENCE q",
        "dependency_gone",
        "sequence",
        "CREATE SEQUENCE q",
    ),
    "the child was renamed and another has its name": Obstacle(
        T + CHILD + "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p",
        "ALTER TABLE p RENAME TO p_old; CREATE TABLE p (x int PRIMARY KEY);"
        "INSERT INTO p VALUES (1), (2)",
        "table_replaced",
        "public.p_old",
        "ALTER TABLE p RENAME TO p_new; ALTER TABLE p_old RENAME TO p",
    ),
    "the referring table was renamed and another has its name": Obstacle(
        T + "CREATE TABLE p (y int REFERENCES t)",
        "ALTER TABLE p RENAME TO p_old; CREATE TABLE p (y int)",
        "table_replaced",
        "public.p_old",
        "ALTER TABLE p RENAME TO p_new; ALTER TABLE p_old RENAME TO p",
        **TABLE,
    ),
    "the table itself was renamed and another has its name": Obstacle(
        T,
        "ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int PRIMARY KEY)",
        "table_replaced",
        "public.t_old",
        "ALTER TABLE t RENAME TO t_new; ALTER TABLE t_old RENAME TO t",
        strategies=("archive",),
    ),
    "the referring column went": Obstacle(
        T + "CREATE TABLE p (y int REFERENCES t, z int)",
        "ALTER TABLE p DROP y",
        "column_gone",
        "no column y",
        "ALTER TABLE p ADD y int",
        **TABLE,
    ),
    "the referring column is soft-dropped": Obstacle(
        T + "CREATE TABLE p (y int REFERENCES t, z int)",
        "ALTER TABLE p RENAME y TO _zanith_dropped_y_000000000000",
        "column_gone",
        "no column y",
        "ALTER TABLE p RENAME _zanith_dropped_y_000000000000 TO y",
        **TABLE,
    ),
    "the referred key is of another type": Obstacle(
        T + CHILD + "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p",
        "ALTER TABLE p ALTER x TYPE text",
        "foreign_key_orphans",
        "t_a_fkey",
        "ALTER TABLE p ALTER x TYPE int USING x::int",
    ),
    "the publication is for all tables by now": Obstacle(
        T + "CREATE PUBLICATION w FOR TABLE t",
        "DROP PUBLICATION w; CREATE PUBLICATION w FOR ALL TABLES",
        "publication_changed",
        "w",
        "DROP PUBLICATION w; CREATE PUBLICATION w",
        **TABLE,
    ),
    "the parent demands NOT NULL": Obstacle(
        TREE,
        "DELETE FROM t; ALTER TABLE t ALTER a SET NOT NULL",
        "parent_changed",
        "NOT NULL",
        "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE %s ALTER a SET NOT NULL', oid::regclass)"
        " FROM pg_class WHERE relname LIKE '\\_zanith\\_dropped\\_t1\\_%'); END $$",
        **PART,
    ),
    "the parent has a check": Obstacle(
        TREE,
        "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)",
        "parent_changed",
        "check k",
        "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE %s ADD CONSTRAINT k CHECK (a > 0)', oid::regclass)"
        " FROM pg_class WHERE relname LIKE '\\_zanith\\_dropped\\_t1\\_%'); END $$",
        **PART,
    ),
    "the parent's column is of another type": Obstacle(
        TREE,
        "ALTER TABLE t ALTER b TYPE bigint",
        "parent_changed",
        "bigint",
        "ALTER TABLE t ALTER b TYPE int",
        **PART,
    ),
    "the parent has a foreign key that the rows break": Obstacle(
        TREE + CHILD,
        "DELETE FROM p; ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p",
        "foreign_key_orphans",
        "t_a_fkey",
        "INSERT INTO p VALUES (2)",
        **PART,
    ),
    "the parent has a unique key that the rows break": Obstacle(
        TREE,
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (id, a)",
        "duplicates",
        "unique key",
        "ALTER TABLE t DROP CONSTRAINT u",
        **PART,
    ),
    "the fill is none of the type": Obstacle(
        T + "ALTER TABLE t ALTER a SET NOT NULL",
        "INSERT INTO t (id) VALUES (3)",
        "fill_value",
        "integer",
        choices=Choices(fill="many"),
        after="DELETE FROM t WHERE id = 3",  # and the choice is taken back
    ),
    "the fill is not a value of the domain": Obstacle(
        "CREATE DOMAIN w AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, a w NOT NULL)",
        "INSERT INTO t (id) VALUES (3)",
        "fill_value",
        "w",
        choices=Choices(fill="-1"),
        after="DELETE FROM t WHERE id = 3",
    ),
    "values no longer fit the domain": Obstacle(
        "CREATE DOMAIN w AS int; CREATE TABLE t (id int PRIMARY KEY, a w); INSERT INTO t VALUES (1, -5)",
        "ALTER DOMAIN w ADD CONSTRAINT k CHECK (VALUE > 0)",
        "unfit_values",
        "k",
        "ALTER DOMAIN w DROP CONSTRAINT k",
        strategies=("soft_drop",),
    ),
}
CASES = [(what, way) for what, x in OBSTACLES.items() for way in x.strategies]


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    opened = await Engine.open(database.url)
    yield opened
    await opened.close()


@pytest.mark.newest
@pytest.mark.parametrize(("what", "way"), CASES, ids=[f"{what}, {way}" for what, way in CASES])
async def test_the_plan_names_it_and_its_way_out_is_one(
    what: str, way: str, database: Database, engine: Engine
) -> None:
    x = OBSTACLES[what]
    database.psql(x.before)
    strategy = f"{way}_{'column' if x.column else 'table'}"
    options = "on_dependents => 'cascade', published_ok => true"
    artifact = capture(database, strategy, x.table, x.column, options)
    database.psql(x.since)
    plan = await plan_restore(engine, artifact, x.choices)
    said = [(c.code, c.message, c.hint) for c in plan.conflicts]
    said += [(d.kind, d.message, d.hint) for d in plan.drift if d.blocks]
    matching = [message for kind, message, hint in said if kind == x.says and hint]
    assert any(x.named in message for message in matching), said
    with pytest.raises(Refused) as refused:
        await rehearse(engine, artifact, x.choices, DBA)
    assert refused.value.plan is not None, "PostgreSQL stopped it, not the plan"
    database.psql(x.after)
    assert (await plan_restore(engine, artifact)).blocked == []
    rehearsed = await rehearse(engine, artifact, None, DBA)
    assert rehearsed.rehearsed
    restored = await restore(engine, artifact, None, DBA)
    assert restored.artifact.status == "restored"
    assert restored.fidelity == rehearsed.fidelity
    if "zanith_gone" in x.before:
        database.psql("DROP OWNED BY zanith_gone; DROP ROLE zanith_gone")


@pytest.mark.newest
async def test_a_part_of_a_half_made_index_is_a_loss_before_and_after(
    database: Database, engine: Engine
) -> None:
    """ATTACH PARTITION makes a part of every index of the parent, and nobody can take it away."""
    database.psql(
        "CREATE TABLE parent (id int, a int) PARTITION BY LIST (id);"
        "CREATE TABLE t PARTITION OF parent FOR VALUES IN (1); CREATE INDEX half ON ONLY parent (a)"
    )
    artifact = capture(database, "soft_drop_table", "t", None, "")
    plan = await plan_restore(engine, artifact)
    assert [loss.message for loss in plan.losses if loss.code == "index_part"] == [
        "it gets its own index for public.half, which it did not have before"
    ]
    report = await restore(engine, artifact, None, DBA)
    assert set(plan.losses) <= set(report.losses)


@pytest.mark.parametrize(
    ("strategy", "column"), [("soft_drop_column", "a"), ("archive_table", None)]
)
async def test_rows_of_a_materialized_view_are_a_loss_before_and_after(
    database: Database, engine: Engine, strategy: str, column: str | None
) -> None:
    """A stale view comes back with the rows of now; an empty one comes back empty, and is no loss."""
    database.psql(
        "CREATE TABLE t (id int, a int); INSERT INTO t VALUES (1, 1);"
        "CREATE MATERIALIZED VIEW stale AS SELECT a FROM t; INSERT INTO t VALUES (2, 2);"
        "CREATE MATERIALIZED VIEW empty AS SELECT a FROM t WITH NO DATA"
    )
    artifact = capture(database, strategy, "t", column, "on_dependents => 'cascade'")
    plan = await plan_restore(engine, artifact)
    assert [loss.message for loss in plan.losses if loss.code == "refreshed"] == [
        "the rows of the materialized view public.stale are computed again: "
        "they include changes since its last REFRESH"
    ]
    report = await restore(engine, artifact, None, DBA)
    assert set(plan.losses) <= set(report.losses)
    assert database.psql("SELECT string_agg(a::text, ' ' ORDER BY a) FROM stale") == "1 2"


async def test_a_view_without_the_rows_of_a_companion_is_a_loss(
    database: Database, engine: Engine
) -> None:
    """The view of the parent is computed before the child, which has an artifact of its own, is back."""
    database.psql(
        "CREATE TABLE t (id int, a int); CREATE TABLE child (own int) INHERITS (t);"
        "INSERT INTO t VALUES (1, 1); INSERT INTO child VALUES (2, 2, 2);"
        "CREATE MATERIALIZED VIEW sums AS SELECT a FROM t"
    )
    artifact = capture(database, "archive_table", "t", None, "on_dependents => 'cascade'")
    report = await restore(engine, artifact, None, DBA)
    assert [loss.message for loss in report.losses if loss.code == "refreshed"] == [
        "the rows of the materialized view public.sums are computed again: they include changes since "
        "its last REFRESH, and not the rows of what was dropped with it: restore that too, then run "
        "REFRESH MATERIALIZED VIEW"
    ]
    [child] = report.companions
    await restore(engine, child.id, None, DBA)
    read = "SELECT string_agg(a::text, ' ' ORDER BY a) FROM sums"
    assert database.psql(read) == "1"
    assert database.psql(f"REFRESH MATERIALIZED VIEW sums; {read}") == "1 2"


@pytest.mark.newest
@pytest.mark.parametrize("self_reference", [False, True])
async def test_not_null_of_a_partition_that_cannot_be_detached_is_a_loss(
    database: Database, engine: Engine, self_reference: bool
) -> None:
    """Only ATTACH PARTITION makes it the parent's, and a foreign key to the partition prevents DETACH."""
    if database.server.version < 18:
        pytest.skip("NOT NULL constraints have names from 18 on")
    reference = (
        "ALTER TABLE t ADD FOREIGN KEY (id, a) REFERENCES t"
        if self_reference
        else "CREATE TABLE q (x int, y int, FOREIGN KEY (x, y) REFERENCES t)"
    )
    database.psql(
        "CREATE TABLE t (id int NOT NULL, a int NOT NULL) PARTITION BY LIST (id);"
        "CREATE UNIQUE INDEX k ON t (id);"
        "CREATE TABLE t1 (id int NOT NULL, a int CONSTRAINT own NOT NULL);"
        "ALTER TABLE t ATTACH PARTITION t1 FOR VALUES IN (1); INSERT INTO t VALUES (1, 2);"
        f"ALTER TABLE t ADD PRIMARY KEY (id, a); {reference}"
    )
    artifact = capture(database, "archive_column", "t", "a", "on_dependents => 'cascade'")
    plan = await plan_restore(engine, artifact)
    said = "NOT NULL of public.t1.a comes back as its own constraint"
    assert any(loss.message.startswith(said) for loss in plan.losses)
    report = await restore(engine, artifact, None, DBA)
    assert set(plan.losses) <= set(report.losses)


@pytest.mark.newest
async def test_a_renamed_column_is_told_once(database: Database, engine: Engine) -> None:
    """Not again as a check that cannot be asked, with a hint that would not help."""
    database.psql(T + "ALTER TABLE t ADD CHECK (a <= b)")
    artifact = capture(database, "archive_column", "t", "a", "")
    database.psql("ALTER TABLE t RENAME b TO called")
    plan = await plan_restore(engine, artifact)
    assert [conflict.code for conflict in plan.conflicts] == ["column_renamed"]
    assert len(plan.blocked) == 1


@pytest.mark.newest
async def test_a_parked_index_follows_a_renamed_neighbour(
    database: Database, engine: Engine
) -> None:
    """An index that is parked with its column is there all the while: nothing stops it."""
    database.psql(T + "CREATE INDEX shared ON t (a, b)")
    artifact = capture(database, "soft_drop_column", "t", "a", "")
    database.psql("ALTER TABLE t RENAME b TO called")
    assert (await plan_restore(engine, artifact)).blocked == []
    await restore(engine, artifact, None, DBA)
    assert "shared ON public.t USING btree (a, called)" in database.schema()
