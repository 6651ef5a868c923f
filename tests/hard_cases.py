"""A database that is hard to show: every strategy and state, hostile names, hostile values.

Built by the engine on a real server, for the pictures and for the tests of every page. Where a
state needs somebody else's doing (an edited archive, a worker that is gone), it is done by SQL.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from app.recovery.approvals import deciding
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from app.recovery.guard.rules import Mode, Rule, turn_on
from app.recovery.jobs import model as jobs
from app.recovery.plan.model import Choices
from app.recovery.purge import hold
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from app.recovery.rows import export, seal
from app.recovery.rows.export import ExportRequest
from tests.hard_names import LONG_ID, LONG_REASON, NAMES, OBJECTS, SINCE, VALUES
from tests.hard_webhooks import leave_webhooks

ANA = Actor("ana <b>of</b> operations", "203.0.113.7", "staff")
BEN = Actor("ben & <i>sons</i>", "203.0.113.8", "staff")
ROWS = "zanith._zanith_migration_artifacts"


@dataclass
class HardCases:
    """What is in the database: artifacts, jobs and exports by what is hard about them."""

    artifacts: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # id: the hostile name that is in it
    approvals: dict[str, str] = field(default_factory=dict)

    @property
    def hostile(self) -> tuple[str, ...]:
        """The ids of the artifacts with a hostile name."""
        return tuple(self.names)


def build(url: str) -> HardCases:
    """Fill a database in which `zanith init` ran; for callers with or without an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _build(url)).result()


async def _build(url: str) -> HardCases:
    cases = HardCases()
    connection = await asyncpg.connect(url)
    try:
        await _capture(connection, cases)
        db = await Database.open(
            url, max_size=4, lock_timeout=timedelta(seconds=1), application_name="hard cases"
        )
        try:
            await _work_on(db, url, connection, cases)
            await _guard(db, connection)
            await leave_webhooks(connection, cases.artifacts, cases.jobs["failed"])
            await _ask(db, connection, cases)
        finally:
            await db.close()
        await _date(connection)
    finally:
        await connection.close()
    return cases


# ---------------------------------------------------------------------------------- captures


DEPLOY = 'deploys/2026-11/../30 "forty" <b>🚀</b>?#%2F\nand a line'
DEPLOYED = 42
"""Objects that this migration and two small ones dropped before all others."""
MIGRATIONS = f"""
CREATE SCHEMA deploy;
CREATE TABLE deploy.small (id int PRIMARY KEY, note text, too text);
SELECT zanith.soft_drop_column('deploy.small', 'note', migration_id => 'small', reason => '1 of 1'),
       zanith.soft_drop_column('deploy.small', 'too', migration_id => 'small/too');
DO $do$ BEGIN
FOR n IN 1 .. 10 LOOP
    EXECUTE format('CREATE TABLE deploy.t%1$s (id int PRIMARY KEY, a text, b int, c text);'
        'INSERT INTO deploy.t%1$s VALUES (1, ''a'', 2, NULL);'
        'CREATE TABLE deploy.o%1$s (id int)', n);
    PERFORM zanith.soft_drop_column(('deploy.t' || n)::regclass, 'a', migration_id => id),
            zanith.soft_drop_column(('deploy.t' || n)::regclass, 'c', migration_id => id),
            zanith.archive_column(('deploy.t' || n)::regclass, 'b', migration_id => id),
            zanith.soft_drop_table(('deploy.o' || n)::regclass, migration_id => id)
    FROM (VALUES ($id${DEPLOY}$id$)) AS m(id);
END LOOP; END $do$;
"""


async def _capture(connection: asyncpg.Connection, cases: HardCases) -> None:
    await connection.execute(MIGRATIONS)
    await connection.execute(OBJECTS)
    for name, call in CAPTURES.items():
        cases.artifacts[name] = await connection.fetchval(f"SELECT zanith.{call}")
    schema = quote(NAMES["image"])
    await connection.execute(f"CREATE SCHEMA {schema}")
    for index, (key, name) in enumerate(NAMES.items()):
        inside = schema if index % 2 else "public"
        table, column = f"{inside}.{quote(name)}", quote(name)
        await connection.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, {column} text);"
            f"COMMENT ON TABLE {table} IS {_literal(name)};"
            f"CREATE VIEW {inside}.{quote('v' + name[:20])} AS SELECT id FROM {table}"
        )
        await connection.execute(f"INSERT INTO {table} VALUES (1, $1), (2, NULL)", VALUES[0])
        strategy = ("archive_column", "soft_drop_column", "archive_table", "soft_drop_table")[
            index % 4
        ]
        words = [table, name] if strategy.endswith("column") else [table]
        spots = ", ".join(f"${n}" for n in range(1, len(words) + 1))
        dependents = "" if len(words) == 2 else ", on_dependents => 'cascade'"
        cases.artifacts[key] = made = await connection.fetchval(
            f"SELECT zanith.{strategy}({spots.replace('$1', '$1::text::regclass')}{dependents},"
            f" migration_id => ${len(words) + 1}, reason => ${len(words) + 2})",
            *words,
            f"00{index}_{name}"[:200],
            f"{name}: {VALUES[0]}",
        )
        cases.names[made] = name
    await connection.execute(
        "CREATE TABLE public.assorted (id int PRIMARY KEY, text text, bytes bytea, doc jsonb,"
        " list text[], moment timestamptz, nothing text)"
    )
    await connection.executemany(
        "INSERT INTO public.assorted VALUES ($1, $2, $3, $4, $5, '2024-02-29 12:00Z', NULL)",
        [
            (n, value, value.encode()[:40], json.dumps({value[:30]: [value[:60], None, n]}),
             [value[:30], None, ""])
            for n, value in enumerate(VALUES)
        ],
    )  # fmt: skip
    cases.artifacts["values"] = await connection.fetchval(
        "SELECT zanith.archive_table('public.assorted', migration_id => $1, reason => $2)",
        LONG_ID,
        LONG_REASON,
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


CAPTURES = {
    "restored": "archive_column('public.orders', 'fax', migration_id => '0001_fax')",
    "purged": "archive_table('public.purged', reason => 'nobody asks for it')",
    "damaged": "archive_column('public.orders', 'legacy_code', reason => 'replaced by sku')",
    "missing": "archive_table('public.missing')",
    "moved": "archive_table('public.moved')",
    "held": "soft_drop_column('public.orders', 'phone', reason => 'not asked for any more')",
    "expired": "soft_drop_table('public.expired', migration_id => '0002_sessions')",
    "unsealed": "archive_table('public.unsealed')",
    "taken": "archive_table('public.taken', expires_in => NULL)",
    "lacking": "archive_column('public.orders', 'rating', reason => 'asked for elsewhere')",
    "drift": "archive_column('public.visits', 'code', on_dependents => 'cascade')",
    "twice": "archive_column('public.twice', 'code')",
    "locked": "archive_column('public.carts', 'note', reason => 'never read')",
    "cascade": "archive_table('public.base', on_dependents => 'cascade')",
    "published": "soft_drop_table('public.published', published_ok => true)",
    "rebuilt": "rebuild_table('public.prices', keep_rows => true, reason => 'rounding')",
    "definition": "rebuild_table('public.prices', reason => 'again')",
    "empty": "archive_table('public.empty')",
    "partitions": "soft_drop_table('public.parts')",
}

DONE_TO_THE_PARKED = {
    "damaged": "ALTER TABLE {0} DISABLE TRIGGER ALL;"
    "UPDATE {0} SET legacy_code = 'forged' WHERE id = 3; ALTER TABLE {0} ENABLE TRIGGER ALL",
    "missing": "DROP TABLE {0}",
    "moved": "ALTER TABLE {0} RENAME TO adrift",
}


# ------------------------------------------------------------------------------- what people did


async def _work_on(
    db: Database, url: str, connection: asyncpg.Connection, cases: HardCases
) -> None:
    ids = cases.artifacts
    for artifact in await seal.find_unsealed(db):
        if artifact != ids["unsealed"]:
            await seal.seal(db, artifact, ANA)
    cases.exports["equal"] = await _export(db, ids["damaged"])
    cases.exports["packed"] = await _export(db, ids["values"], "jsonl", "zstd")
    await restore(db, ids["restored"], Choices(), ANA)
    await _export(db, ids["purged"])
    await purge(db, ids["purged"], ANA, confirm="purged", reason=LONG_REASON)
    await hold.hold(db, ids["held"], ANA, LONG_REASON)
    await connection.execute(SINCE)
    for name, change in DONE_TO_THE_PARKED.items():
        place = await connection.fetchval(
            f"SELECT format('%I.%I', physical_schema, physical_table) FROM {ROWS} WHERE id = $1",
            ids[name],
        )
        await connection.execute(change.format(place))
    cases.exports["unequal"] = await _export(db, ids["damaged"])
    await seal.verify(db, ids["values"], ANA)
    with suppress(ZanithError):
        await seal.verify(db, ids["damaged"], ANA)
    for name in ("damaged", "taken"):
        with suppress(ZanithError):
            await restore(db, ids[name], Choices(), ANA)
    await _fail(connection, url, ids["locked"])
    await _wait_and_cancel(db, connection, ids["locked"])
    cases.exports["waiting"] = await _announce(db, ids["values"])
    await _leave_jobs(connection, cases)
    for job, query in JOBS.items():
        found = await connection.fetchval(query)
        assert found, f"no job is {job}"
        cases.jobs[job] = found


async def _announce(db: Database, artifact: str, form: str = "csv", pack: str | None = None) -> str:
    wanted = ExportRequest(artifact, form, pack)
    return (await export.announce(db, wanted, ANA)).id


async def _export(db: Database, artifact: str, form: str = "csv", pack: str | None = None) -> str:
    async def away(chunk: bytes) -> None:
        del chunk

    job = await _announce(db, artifact, form, pack)
    await export.push_export(db, job, away)
    return job


async def _fail(connection: asyncpg.Connection, url: str, artifact: str) -> None:
    """Let a restore give up on a lock."""
    db = await Database.open(url, lock_timeout=timedelta(milliseconds=50), lock_retries=0)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE public.carts IN ACCESS SHARE MODE")
            with suppress(Locked):
                await restore(db, artifact, Choices(), ANA)
    finally:
        await db.close()


async def _wait_and_cancel(db: Database, connection: asyncpg.Connection, artifact: str) -> None:
    """Cancel a restore that waits for a lock, and keep how it looked while it waited."""
    waiting: dict[str, Any] = {}
    async with connection.transaction():
        await connection.execute("LOCK TABLE public.carts IN ACCESS SHARE MODE")
        task = asyncio.create_task(restore(db, artifact, Choices(), ANA))
        found: list[jobs.Job] = []
        while not waiting.get("waiting_for"):
            await asyncio.sleep(0.05)
            found = await jobs.list_jobs(db, artifact_id=artifact, kinds=["restore"], limit=1)
            waiting = found[0].progress if found else {}
        await jobs.cancel(db, found[0].id, ANA)
        with suppress(ZanithError):
            await task
    await connection.execute(
        """INSERT INTO zanith._zanith_jobs
               (id, kind, artifact_id, object, state, params, progress, actor, started_at,
                lease, lease_expires_at)
           SELECT 'feedface00000001', kind, artifact_id, object, 'running', params, $2::jsonb,
                  actor, now(), 'x', now() + interval '1 day'
           FROM zanith._zanith_jobs WHERE id = $1""",
        found[0].id,
        json.dumps(waiting),
    )


async def _leave_jobs(connection: asyncpg.Connection, cases: HardCases) -> None:
    """Jobs of workers that are elsewhere, or gone."""
    ids = cases.artifacts
    await connection.execute(
        "UPDATE zanith._zanith_jobs SET lease_expires_at = now() + interval '1 day'"
        " WHERE state = 'queued'"
    )
    await connection.execute(
        """INSERT INTO zanith._zanith_jobs
               (id, kind, artifact_id, object, state, progress, actor, started_at, ended_at, lease,
                lease_expires_at, result, error) VALUES
           ('feedface00000002', 'seal', $1, 'public.unsealed', 'running',
            '{"rows": 1200345, "rows_expected": 4000000, "bytes": 73400320, "rate": 8123456,
              "left": 31.5}',
            'ana', now(), NULL, 'x', now() + interval '1 day', NULL, NULL),
           ('feedface00000003', 'restore', $2, 'public.taken', 'interrupted', '{}', 'ana',
            now(), now(), NULL, NULL, NULL,
            '{"code": "failed", "message": "interrupted: the process that ran it has ended",
              "detail": "uncommitted work was rolled back", "hint": "run it again"}'),
           ('feedface00000004', 'cleanup', NULL, NULL, 'done', '{"done": 3, "total": 3}', 'ana',
            now(), now(), NULL, NULL, $3::jsonb, NULL)""",
        ids["unsealed"],
        ids["taken"],
        json.dumps({"results": [
            {"artifact_id": ids["purged"], "object": "public.purged", "size_bytes": 8192,
             "outcome": "purged", "why": None},
            {"artifact_id": ids["held"], "object": "public.orders.phone", "size_bytes": 0,
             "outcome": "skipped", "why": "it is on hold"},
            {"artifact_id": ids["image"], "object": NAMES["image"], "size_bytes": 0,
             "outcome": "failed", "why": VALUES[0]},
        ]}),
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO zanith._zanith_jobs
               (id, kind, object, state, params, progress, actor, started_at, ended_at, lease,
                lease_expires_at, pause_requested_by, error) VALUES
           ('feedface00000005', 'capture', 'public.orders.note', 'running',
            '{"online": true, "steps": ["Copy key and value in batches",
              "Add the primary key of the archive",
              "Compare every value with its copy", "Lock the table"]}',
            '{"step": "copy key and value", "part": "Copy key and value", "rows": 1200345,
              "rows_expected": 4000000, "rows_rate": 81200, "left": 34.5}',
            'ana', now(), NULL, 'x', now() + interval '1 day', NULL, NULL),
           ('feedface00000006', 'restore', 'public.orders.note', 'running', '{"online": true}',
            '{"step": "backfill the column: paused by vic",
              "rows": 1200345, "rows_expected": 4000000}',
            'ana', now(), NULL, 'x', now() + interval '1 day', 'vic', NULL),
           ('feedface00000007', 'capture', 'public.orders.note', 'interrupted', '{"online": true}',
            '{"step": "copy key and value", "rows": 1200345}',
            'ana', now(), now(), NULL, NULL, NULL,
            '{"code": "failed", "message": "interrupted: the process that ran it has ended",
              "detail": "committed batches stay; another worker resumes from there",
              "hint": "look at the artifact, then run it again"}')""",
    )


DROPPED = f"""
CREATE TABLE scratch.{quote(NAMES["image"])} (id int);
CREATE TABLE public.not_ours (id int); ALTER TABLE public.not_ours OWNER TO pg_monitor;
CREATE TABLE public.plain (id int PRIMARY KEY, {quote(NAMES["script"])} text, note text);
INSERT INTO public.plain VALUES (1, 'a', 'b');
SET application_name = '<b>alembic</b>';
ALTER TABLE public.plain DROP COLUMN {quote(NAMES["script"])};
ALTER TABLE public.plain DROP COLUMN note;
DROP TABLE scratch.{quote(NAMES["image"])};
RESET application_name;
"""


def _job(kind: str, state: str, of: str = "") -> str:
    return (
        f"SELECT id FROM zanith._zanith_jobs WHERE kind = '{kind}' AND state = '{state}'"
        f" AND ({of or 'true'}) ORDER BY created_at, id LIMIT 1"
    )


JOBS = {
    "running": _job("restore", "running", "params ->> 'online' IS DISTINCT FROM 'true'"),
    "sealing": _job("seal", "running"),
    "failed": _job("restore", "failed"),
    "refused": _job("restore", "refused"),
    "cancelled": _job("restore", "cancelled"),
    "restored": _job("restore", "done"),
    "interrupted": _job("restore", "interrupted"),
    "online": "SELECT 'feedface00000005'",
    "resting": "SELECT 'feedface00000006'",
    "half done": "SELECT 'feedface00000007'",
    "cleaned": _job("cleanup", "done"),
    "purged": _job("purge", "done"),
    "sealed": _job("seal", "done"),
    "verified": _job("verify", "done"),
    "unverified": _job("verify", "mismatch"),
}


async def _guard(db: Database, connection: asyncpg.Connection) -> None:
    """Turn the guard on, with rules, and let it capture and let pass."""
    await connection.execute(
        """CREATE SCHEMA ledger; CREATE SCHEMA scratch;
        DO $$BEGIN CREATE ROLE "retention <i>job</i>";
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$"""
    )
    for rule in (
        Rule(Mode.CAPTURE),
        Rule(Mode.REFUSE, "ledger", may_turn_off=False),
        Rule(Mode.WARN, "scratch", expires_in=timedelta(days=1)),
        Rule(Mode.OFF, None, "retention <i>job</i>"),
    ):
        await turn_on(db, ANA, rule)
    await connection.execute(DROPPED)


ASKED = {
    "pending": ("drift", BEN, LONG_REASON),
    "pending too": ("definition", BEN, VALUES[0]),
    "pending three": ("emoji", BEN, "old"),
    "pending four": ("lacking", BEN, "old"),
    "to reject": ("rtl", BEN, "old"),
    "to reject too": ("newline", BEN, "old"),
    "mine": ("dots", ANA, "old"),
    "mine too": ("attribute", ANA, "old"),
    "own": ("spaces", Actor("ana", "203.0.113.7", "staff"), "old"),
    "approved": ("script", BEN, "old"),
    "rejected": ("image", BEN, "old"),
    "changed": ("empty", BEN, "old"),
    "lapsed": ("template", BEN, "old"),
}


async def _ask(db: Database, connection: asyncpg.Connection, cases: HardCases) -> None:
    """Let people ask each other for approvals of purges, an erasure and a restore."""
    ids, found = cases.artifacts, cases.approvals
    for name, (artifact, who, reason) in ASKED.items():
        asked = await deciding.request(db, Change.PURGE, ids[artifact], who, reason=reason)
        found[name] = asked.id
    erasing = await deciding.request(
        *(db, Change.ERASE, ids["values"], BEN), match={"id": "9"}, rows=1, reason="request 4711"
    )
    choices = {"choices": Choices(unverified=True, as_name=NAMES["path"]).to_json()}
    restoring = await deciding.request(
        *(db, Change.UNVERIFIED, ids["spaces"], BEN), params=choices, reason="old"
    )
    found |= {"erase": erasing.id, "unverified": restoring.id}
    await deciding.approve(db, found["approved"], ANA, confirm=ids["script"], reason=VALUES[0])
    await deciding.reject(db, found["rejected"], ANA, reason=LONG_REASON)
    await connection.execute(
        f"""ALTER TABLE zanith._zanith_approvals DISABLE TRIGGER approval_is_checked;
        UPDATE zanith._zanith_approvals SET digest = repeat('0', 64),
            facts = jsonb_set(facts, '{{1,1}}', '7') WHERE id = '{found["changed"]}';
        UPDATE zanith._zanith_approvals SET expires_at = now() - interval '1 day',
            requested_at = now() - interval '2 days' WHERE id = '{found["lapsed"]}';
        ALTER TABLE zanith._zanith_approvals ENABLE ALWAYS TRIGGER approval_is_checked"""
    )


async def _date(connection: asyncpg.Connection) -> None:
    """Spread the captures over the past months."""
    await connection.execute(
        f"""UPDATE {ROWS} AS a SET created_at = now() - (60 - number) * interval '31 hours',
            sealed_at = CASE WHEN sealed_at IS NOT NULL
                THEN now() - (60 - number) * interval '30.9 hours' END,
            expires_at = CASE WHEN source_table = 'expired' THEN now() - interval '3 days'
                WHEN expires_at IS NOT NULL THEN now() + abs(number) * interval '26 hours' END
            FROM (SELECT id, capture_order - {DEPLOYED} AS number FROM {ROWS}) AS n
            WHERE n.id = a.id"""
    )
