"""Partitioned tables: four shapes, one with all that hangs on a column, and moving traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from tests.online import DBA, ROWS, execute, followed, until
from tests.traffic import Traffic

T = TypeVar("T")
COLUMNS = """
    id bigint NOT NULL, part integer NOT NULL DEFAULT 0, tag text NOT NULL,
    n integer NOT NULL DEFAULT 0, code text{}, PRIMARY KEY (part, id)"""
RANGES = """
CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20);
CREATE TABLE t_rest PARTITION OF t DEFAULT;
"""
SHAPES = {
    "range": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY RANGE (part);" + RANGES,
    "list": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY LIST (part);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (10, 11, 12, 13, 14, 15);"
    "CREATE TABLE t_rest PARTITION OF t DEFAULT;",
    "hash": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY HASH (part, id);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 0);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 1);"
    "CREATE TABLE t_2 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 2);",
    "levels": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY RANGE (part);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY HASH (id);"
    "CREATE TABLE t_1_a PARTITION OF t_1 FOR VALUES WITH (modulus 2, remainder 0);"
    "CREATE TABLE t_1_b PARTITION OF t_1 FOR VALUES WITH (modulus 2, remainder 1);"
    "CREATE TABLE t_rest PARTITION OF t DEFAULT;",
}
FILL = f"""
INSERT INTO t (id, part, tag, code)
SELECT g, g % 25, 'r' || g, 'c' || g FROM generate_series(1, {ROWS}) g;
"""


FULL = """
CREATE TABLE kinds (code text PRIMARY KEY);
INSERT INTO kinds SELECT 'c' || g FROM generate_series(1, 300) g;
CREATE TABLE t (
    id integer, part integer, tag text, PRIMARY KEY (part, id),
    code text NOT NULL CONSTRAINT short CHECK (length(code) < 9),
    CONSTRAINT once UNIQUE (code, part),
    CONSTRAINT later UNIQUE (part, code) INCLUDE (tag) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY RANGE (part);
CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY LIST (part);
CREATE TABLE t_1_a PARTITION OF t_1 FOR VALUES IN (10, 11, 12, 13, 14);
CREATE TABLE t_1_b PARTITION OF t_1 DEFAULT;
CREATE TABLE t_rest PARTITION OF t DEFAULT;
INSERT INTO t SELECT g, g % 25, 'r' || g, 'c' || g FROM generate_series(1, 300) g;
CREATE INDEX t_upper ON t (upper(code)) WHERE id > 5;
CREATE UNIQUE INDEX t_pair ON t (part, id, code);
CREATE INDEX t_plain ON t (code) WITH (fillfactor = 70);
CREATE INDEX t_1_only ON t_1 (code, id);
CREATE UNIQUE INDEX t_0_only ON t_0 (code);
ALTER TABLE t_1_a ADD CONSTRAINT longer CHECK (length(code) > 1);
ALTER TABLE t_1_a ADD CONSTRAINT alone UNIQUE (code);
ALTER TABLE ONLY t_1_a ALTER code SET STORAGE external, ALTER code SET DEFAULT 'a';
ALTER TABLE ONLY t_1_a ALTER code SET STATISTICS 7;
ALTER TABLE t ALTER code SET STATISTICS 5;
ALTER TABLE ONLY t ALTER code SET DEFAULT 'top';
CREATE STATISTICS t_both ON code, tag FROM t;
CREATE STATISTICS t_0_both ON code, id FROM t_0;
COMMENT ON INDEX t_pair IS 'both';
COMMENT ON INDEX t_0_code_idx IS 'of a partition';
COMMENT ON CONSTRAINT once ON t IS 'only once';
COMMENT ON COLUMN t_0.code IS 'here';
GRANT SELECT (code) ON t TO PUBLIC;
GRANT UPDATE (code) ON t_rest TO PUBLIC;
CREATE VIEW short_codes AS SELECT left(code, 1) AS first FROM t;
"""


class Moving(Traffic):
    """Traffic whose rows also go from one partition to another, and change places across them."""

    def _next(self, chance, who, turn):
        one, other = chance.randint(1, self.rows), chance.randint(1, self.rows)
        fresh, part = who * 10_000_000 + turn, chance.randint(0, 24)
        more = f"UPDATE {self.table} SET n = n + 1 WHERE id = $1"
        new = f"INSERT INTO {self.table} (id, part, tag) VALUES ($1, $2, 'new')"
        gone = f"DELETE FROM {self.table} WHERE id = $1 AND part = $2"
        over = f"UPDATE {self.table} SET part = $2 WHERE id = $1"
        to_id = f"UPDATE {self.table} SET id = $1 WHERE id = $2"
        return chance.choice(
            [
                [(more, (one,))],
                [(more, (one,))],
                [(new, (fresh, part))],
                [(new, (one, part))],  # another row under an id, in this partition or another
                [(gone, (one, part))],
                [(gone, (one, one % 25))],
                [(gone, (one, one % 25)), (new, (one, one % 25))],  # another row under its key
                [(over, (one, part))],
                [(over, (one, part)), (over, (one, one % 25))],  # there and back
                [(over, (one, part)), (to_id, (-fresh, one))],
                [(to_id, (-fresh, one)), (to_id, (one, other)), (to_id, (other, -fresh))],
            ]
        )

    @property
    def unforeseen(self):
        """Errors that an application would not meet without us: that a row moved is not one."""
        return [error for error in self.errors if "another partition" not in error]


async def make(db, shape, constraint=" NOT NULL DEFAULT 'none'"):
    await execute(db, SHAPES[shape].format(constraint) + FILL)


@asynccontextmanager
async def under_way(db: Database, work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Work that already follows traffic, for what happens in the middle of it."""
    running = asyncio.create_task(work)
    await until(lambda: followed(db))
    try:
        yield running
    except BaseException:
        running.cancel()
        raise


async def archiving(db, limits=None, **more):
    wanted = CaptureRequest("archive_column", "t", "code", online=True, **more)
    return await capture(db, wanted, DBA, limits=limits)


def restoring(db, artifact, limits=None, **choices):
    return restore(db, artifact.id, Choices(online=True, **choices), DBA, limits=limits)
