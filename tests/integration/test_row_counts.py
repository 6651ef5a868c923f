"""The report of a restore counts what became of each row and of each archived value."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from rich.console import Console

from app.cli.console import THEME
from app.cli.render.outcome import restored as in_words
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused
from app.recovery.db.database import Database
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.plan.model import Choices
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.report import RowCounts
from app.recovery.restore.restore import restore
from app.recovery.rows.leftover import find_left_over

DBA = Actor("dba", None, "staff")
BLIND = Actor("vic", None, "viewer", sees_rows=False)

TABLE = "CREATE TABLE public.t (a integer, b text, c text DEFAULT 'none', PRIMARY KEY (a, b))"
PARTITIONS = """ PARTITION BY RANGE (a);
CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM (0) TO (500);
CREATE TABLE public.t_2 PARTITION OF public.t DEFAULT"""
OWNED = "; ALTER TABLE public.t OWNER TO {owner}; ALTER TABLE public.t ENABLE ROW LEVEL SECURITY"
TABLES = {
    "plain": TABLE,
    "partitioned": TABLE + PARTITIONS,
    "another owner": TABLE + OWNED,
    "archived without rows": TABLE,
}
BEFORE = "INSERT INTO public.t SELECT n, 'k' || n, CASE WHEN n % 7 > 0 THEN 'c' || n END"
SINCE = "DELETE FROM public.t WHERE a % 200 = 0; INSERT INTO public.t SELECT -n, 'new' FROM"
WAYS = {
    "null": Choices(),
    "default": Choices(fill_default=True),
    "value": Choices(fill="x"),
    "null online": Choices(online=True),
    "default online": Choices(online=True, fill_default=True),
    "value online": Choices(online=True, fill="x"),
}


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def said(report, left=None) -> str:
    console = Console(width=200, color_system=None, theme=THEME)
    with console.capture() as shown:
        console.print(in_words(report, left))
    return " ".join(shown.get().split())


@pytest.mark.parametrize("shape", TABLES)
async def test_a_restore_counts_each_row_and_each_value(db, database, create_role, shape):
    """Filled, given something else, left without a row: the sums are those of the table."""
    database.psql(TABLES[shape].format(owner=create_role("owner")))
    if shape != "archived without rows":
        database.psql(f"{BEFORE} FROM generate_series(1, 1000) n")
    archived = 0 if shape == "archived without rows" else 1000
    gone = archived // 200
    for way, choices in WAYS.items():
        artifact = await capture(db, CaptureRequest("archive_column", "public.t", "c"), DBA)
        database.psql(f"{SINCE} generate_series(1, 212) n")
        if not choices.online:
            rehearsed = await rehearse(db, artifact.id, choices, DBA)
        report = await restore(db, artifact.id, choices, DBA)
        counts = report.counts
        assert counts == RowCounts(archived - gone, 212, way.split()[0], gone), way
        if not choices.online:
            assert rehearsed.counts == counts
        rows = int(database.psql("SELECT count(*) FROM public.t"))
        held = int(database.psql("SELECT count(*) FROM public.t WHERE a > 0"))
        place = f"{artifact.physical_schema}.{artifact.physical_name}"
        parked = int(database.psql(f"SELECT count(*) FROM {place}"))
        assert counts.filled + counts.given == rows
        assert counts.filled == held
        assert counts.filled + counts.left == parked
        given = {"null": "c IS NULL", "default": "c = 'none'", "value": "c = 'x'"}
        assert counts.given == int(
            database.psql(
                f"SELECT count(*) FROM public.t WHERE a < 0 AND {given[counts.given_what]}"
            )
        )
        assert report.to_json()["row_counts"] == asdict(counts)
        (entry,) = await list_activity(
            db, ActivityFilter(artifact_id=artifact.id, action="restore", limit=1)
        )
        assert entry.detail["row_counts"] == asdict(counts)

        left = await find_left_over(db, artifact.id, DBA, limit=3)
        keys = [f"{n}, k{n}" for n in range(200, archived + 1, 200)]
        assert list(left.keys) == sorted(keys)[:3]
        assert left.more == (gone > 3)
        rest = await find_left_over(db, artifact.id, DBA, limit=3, offset=3)
        assert list(rest.keys) == sorted(keys)[3:]
        words = said(report, left)
        assert f"{gone} archived values without a row" in words
        assert "212 rows inserted since the capture: " in words
        if keys:
            assert "by key: 1000, k1000; 200, k200; 400, k400; …" in words
            assert not any(value in words for value in ("c200", "c1000"))
        # as it was for the next way
        database.psql("DELETE FROM public.t WHERE a < 0")
        database.psql(
            f"{BEFORE} FROM generate_series(200, {archived}, 200) n" if archived else "SELECT 1"
        )


@pytest.mark.newest
async def test_keys_without_a_row_are_for_who_may_see_rows(db, database):
    database.psql(TABLE)
    artifact = await capture(db, CaptureRequest("archive_column", "public.t", "c"), DBA)
    with pytest.raises(NotPermitted, match="look at keys"):
        await find_left_over(db, artifact.id, BLIND)
    database.psql("DROP TABLE public.t")
    with pytest.raises(Refused, match="no archived column"):
        await find_left_over(db, artifact.id, DBA)
