"""Artifacts are listed by page, found by what people call them, inspected and summed up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts, summarize
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import inspect, preview_rows
from tests.sessions import client_of

DBA = Actor("dba", None, "staff")

pytestmark = pytest.mark.newest  # lists of rows: the versions do not differ

INSERT = """
INSERT INTO zanith._zanith_migration_artifacts
    (id, artifact_type, source_schema, source_table, source_column, physical_schema, physical_table,
     physical_column, row_count, definition, created_by, captured_with, created_at, expires_at)
SELECT 'id' || lpad(n::text, 8, '0'), 'archive_column', 'public', 't' || n % 3, 'c' || n,
       '_zanith_shadow', 'gone_' || n, 'c', n % 5, '{"table": {"owner": "postgres"}}', 'me', 'test',
       now() - n * interval '1 day', CASE n % 2 WHEN 0 THEN now() + n * interval '1 day' END
FROM generate_series(1, $1) AS n ORDER BY n
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    async with client_of(opened) as connection:
        await connection.execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, code text, note text);"
            "INSERT INTO orders SELECT n, 'c' || n, NULLIF('x' || n % 3, 'x0')"
            " FROM generate_series(1, 10) n;"
        )
    yield opened
    await opened.close()


@pytest.fixture
async def many(db):
    async with client_of(db) as connection:
        await connection.execute(INSERT.replace("$1", "25"))
    return db


@pytest.mark.parametrize("sort", ["created", "size", "rows", "expires", "name"])
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("health", [None, "missing"])
async def test_pages_forth_and_back(many, sort, descending, health):
    wanted = ArtifactFilter(sort=sort, descending=descending, health=health, limit=10)
    whole = await list_artifacts(many, ArtifactFilter(**{**wanted.__dict__, "limit": 100}))
    assert len({item.id for item in whole.items}) == 25
    pages = [await list_artifacts(many, wanted)]
    while pages[-1].next:
        pages.append(
            await list_artifacts(
                many, ArtifactFilter(**{**wanted.__dict__, "after": pages[-1].next})
            )
        )
    assert [item.id for page in pages for item in page.items] == [item.id for item in whole.items]
    assert [page.total for page in pages] == [25, 25, 25]
    assert pages[0].previous is None
    back = await list_artifacts(
        many, ArtifactFilter(**{**wanted.__dict__, "after": pages[2].previous})
    )
    assert back.items == pages[1].items
    first = await list_artifacts(
        many, ArtifactFilter(**{**wanted.__dict__, "after": back.previous})
    )
    assert first.items == pages[0].items
    assert first.previous in (None, "", first.previous)
    assert first.next


async def test_newest_first_is_the_default(many):
    page = await list_artifacts(many)
    assert page.items[0].id == "id00000025"
    assert page.next is None


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (ArtifactFilter(type="archive_column"), 25),
        (ArtifactFilter(type="soft_drop_table"), 0),
        (ArtifactFilter(status="restored"), 0),
        (ArtifactFilter(table="t1"), 9),
        (ArtifactFilter(table="public.T1"), 9),
        (ArtifactFilter(table="other.t1"), 0),
        (ArtifactFilter(search="c2"), 7),
        (ArtifactFilter(search="c_"), 0),
        (ArtifactFilter(older_than=timedelta(days=20, hours=1)), 5),
        (ArtifactFilter(health="damaged"), 25),
        (ArtifactFilter(health="ok"), 0),
    ],
)
async def test_filters(many, wanted, count):
    page = await list_artifacts(many, wanted)
    assert (page.total, len(page.items)) == (count, count)


@pytest.mark.parametrize(
    "wanted",
    [
        ArtifactFilter(type="x"),
        ArtifactFilter(health="x"),
        ArtifactFilter(status="x"),
        ArtifactFilter(sort="x"),
        ArtifactFilter(after="x"),
        ArtifactFilter(table="a.b.c.d"),
    ],
)
async def test_what_means_nothing_is_refused(many, wanted):
    with pytest.raises(WrongUsage):
        await list_artifacts(many, wanted)


async def capture(db, call):
    async with client_of(db) as connection:
        return await connection.fetchval(f"SELECT zanith.{call}")


async def test_found_by_what_people_call_it(db):
    first = await capture(db, "archive_column('orders', 'code')")
    artifact = await get_artifact(db, first)
    assert artifact.object_name == "public.orders.code"
    assert (artifact.row_count, artifact.health) == (10, "unsealed")
    assert artifact.size_bytes > 0
    assert artifact.to_json()["created_at"].endswith("+00:00")
    for reference in (first[:6], "public.orders.code", "orders.code", "Orders . CODE"):
        assert await get_artifact(db, reference) == artifact
    second = await capture(db, "soft_drop_table('orders')")
    assert (await get_artifact(db, "orders")).id == second
    assert (await get_artifact(db, "public.orders")).id == second
    with pytest.raises(NotFound):
        await get_artifact(db, "nothing")
    with pytest.raises(NotFound):
        await get_artifact(db, "ffffffffffff")


async def test_ambiguous_references(many):
    with pytest.raises(WrongUsage, match="several") as error:
        await get_artifact(many, "id0000")
    assert "id00000001" in (error.value.detail or "")


async def test_health_of_what_is_there_gone_and_moved(db):
    kept = await capture(db, "archive_column('orders', 'code')")
    soft = await capture(db, "soft_drop_column('orders', 'note')")
    assert (await get_artifact(db, soft)).health == "ok"
    async with client_of(db) as connection:
        name = (await get_artifact(db, kept)).physical_name
        await connection.execute(f'ALTER TABLE _zanith_shadow."{name}" RENAME TO elsewhere')
        assert (await get_artifact(db, kept)).health == "moved"
        await connection.execute("DROP TABLE _zanith_shadow.elsewhere")
        assert (await get_artifact(db, kept)).health == "missing"
        column = (await get_artifact(db, soft)).physical_name
        await connection.execute(f'ALTER TABLE orders DROP COLUMN "{column}"')
        assert (await get_artifact(db, soft)).health == "missing"
        summary = await summarize(db)
        assert (summary.total, summary.damaged, summary.unsealed) == (2, 2, 0)


@pytest.mark.each_version
async def test_as_many_are_unsealed_as_the_list_shows(db, monkeypatch):
    """What was altered in place is changed, not unsealed, in the figures too."""
    monkeypatch.setattr("app.recovery.core.cache._QUICK", 600)  # however slow, it counts anew
    for call in ("archive_column('orders', 'code')", "archive_table('orders')"):
        await capture(db, call)
    unsealed = ArtifactFilter(health="unsealed")
    assert (await summarize(db)).unsealed == (await list_artifacts(db, unsealed)).total == 2
    async with client_of(db) as connection:
        place = await connection.fetchval(
            "SELECT format('%I.%I', physical_schema, physical_table)"
            " FROM zanith._zanith_migration_artifacts WHERE artifact_type = 'archive_table'"
        )
        await connection.execute(f"ALTER TABLE {place} ADD added integer")
    found = await list_artifacts(db, unsealed)
    assert [item.artifact_type for item in found.items] == ["archive_column"]
    assert (await summarize(db)).unsealed == found.total == 1
    for health, number in (("damaged", 1), ("changed", 1), ("ok", 0), ("expired", 0)):
        assert (await list_artifacts(db, ArtifactFilter(health=health))).total == number


async def test_summary(many):
    await capture(many, "archive_table('orders')")
    summary = await summarize(many)
    assert (summary.total, summary.recoverable, summary.restored) == (26, 26, 0)
    assert (summary.damaged, summary.unsealed, summary.held) == (25, 1, 0)
    assert summary.parked_bytes > 0
    assert summary.by_table == [("public.orders", summary.parked_bytes)]
    assert summary.parked_tables == 1
    assert sum(count for _, count in summary.by_expiry) == 26
    assert summary.expiring_soon == 3


async def test_inspect_and_preview(db):
    await capture(db, "archive_column('orders', 'note', migration_id => 'm1')")
    found = await inspect(db, "orders.note")
    assert found.plan is not None
    assert not found.plan.blocked
    assert {step.lock for step in found.plan.steps} & {"ACCESS EXCLUSIVE"}
    assert found.recovery_sql
    assert "BEGIN" in found.recovery_sql
    assert found.activity[0].action == "capture"
    data = found.to_json()
    for key in ("plan", "definition", "dependents", "exports", "activity", "recovery_sql"):
        assert key in data
    for key in ("steps", "conflicts", "drift", "choices", "losses"):
        assert key in data["plan"]
    preview = await preview_rows(db, found.artifact.id, DBA, limit=3)
    assert [(c.name, c.type) for c in preview.columns] == [("id", "int8"), ("note", "text")]
    assert shown(preview) == [["1", "x1"], ["2", "x2"], ["3", None]]
    assert preview.more
    assert shown(await preview_rows(db, found.artifact.id, DBA, limit=1, offset=1)) == [["2", "x2"]]
    with pytest.raises(WrongUsage):
        await preview_rows(db, found.artifact.id, DBA, offset=100_001)


def shown(preview) -> list[list[str | None]]:
    return [[value and value.text for value in row] for row in preview.rows]


async def test_a_long_value_is_cut_and_measured(db):
    async with client_of(db) as connection:
        await connection.execute("UPDATE orders SET note = repeat('ü', 3000) WHERE id = 1")
    preview = await preview_rows(
        db, await capture(db, "archive_column('orders', 'note')"), DBA, limit=1
    )
    value = preview.rows[0][1]
    assert (len(value.text), value.length, value.cut) == (2000, 3000, True)


async def test_rebuild_shows_then_and_now(db):
    made = await capture(db, "rebuild_table('orders')")
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE orders ADD extra int")
    found = await inspect(db, made)
    assert found.definition != found.definition_now
    assert "extra" in str(found.definition_now)
    assert await preview_rows(db, made, DBA) is None
    assert [conflict.code for conflict in found.plan.conflicts] == ["rebuilt"]
