"""A directory of migrations with what is hard to show, and a history of some of them.

Names with HTML, forty steps, long statements; one that failed, one that was interrupted, and one
that no gate lets pass.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from app.migrate.apply.up import migrate_up
from app.migrate.read.layouts import read_migrations
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from tests.hard_cases import ANA

HOSTILE = '0002_<img src=x onerror=alert(1)> & "quotes" and_a_name_that_is_long_without_a_space'
FORTY = "0003_forty_steps"
INTERRUPTED = "0004_interrupted"
FAILED = "0005_<script>alert(1)<script> fails"
LONG = "0006_long"
REFUSED = "0007_refused"

START = """CREATE SCHEMA deployed;
CREATE TABLE deployed.parcels (id int PRIMARY KEY, "<b>code</b>" text, weight int);
INSERT INTO deployed.parcels SELECT n, 'code ' || n, n FROM generate_series(1, 50) AS n;
"""
WORDS = ", ".join(f"'<b>word {number}</b>'" for number in range(200))
FILES = {
    "0001_start": START,
    HOSTILE: "-- zanith: reason <b>nobody</b> reads it\n"
    'ALTER TABLE deployed.parcels DROP COLUMN "<b>code</b>";\n',
    FORTY: "".join(f"ALTER TABLE deployed.parcels ADD COLUMN step_{n} int;\n" for n in range(40)),
    FAILED: "ALTER TABLE deployed.parcels ADD COLUMN more int;\n"
    'ALTER TABLE deployed."nowhere <i>at all</i>" ADD COLUMN more int;\n',
}
LATER = {
    INTERRUPTED: "-- zanith: no-transaction\nALTER TABLE deployed.parcels ADD COLUMN half int;\n"
    "SELECT 1/0;\nCREATE INDEX CONCURRENTLY by_weight ON deployed.parcels (weight);\n",
}
NEVER = {
    LONG: "ALTER TABLE deployed.parcels ALTER step_1 SET NOT NULL, ADD UNIQUE (weight);\n"
    f"UPDATE deployed.parcels SET weight = 1 WHERE weight::text IN ({WORDS});\n"
    "CREATE INDEX by_step ON deployed.parcels (step_1);\n"
    "ALTER TABLE deployed.parcels ALTER COLUMN weight TYPE bigint;\n"
    "DROP TABLE deployed.parcels;\n",
    REFUSED: "TRUNCATE deployed.other;\n",
}

# An interrupted run is one whose process ended before it could write so.
INTERRUPT = """
UPDATE zanith._zanith_migrations SET outcome = 'running', error = NULL, elapsed = NULL
WHERE id = '0004_interrupted'
"""


def build(url: str, directory: Path) -> None:
    """Write the files, apply some of them, and leave jobs of deploys and of verifications."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _build(url, directory)).result()


async def _build(url: str, directory: Path) -> None:
    db = await Database.open(url)
    try:
        await _run(db, directory, FILES)
        await _run(db, directory, LATER)
        _write(directory, NEVER)
        async with db.acquire() as connection:
            await connection.execute(INTERRUPT)
            for name, values in JOBS.items():
                await connection.execute(
                    "INSERT INTO zanith._zanith_jobs (id, kind, object, state, actor, params,"
                    " progress, result, error, started_at, ended_at, lease, lease_expires_at)"
                    " VALUES ($1, $2, $3, $4, 'ana', $5, $6, $7, $8, now() - interval '9 s',"
                    " CASE WHEN $4 <> 'running' THEN now() END, 'x', CASE WHEN $4 = 'running'"
                    " THEN now() + interval '1 day' END)",
                    *(name, values["kind"], values["object"], values["state"]),
                    *(values.get(key) or {} for key in ("params", "progress")),
                    *(values.get(key) for key in ("result", "error")),
                )
    finally:
        await db.close()


def _write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.sql").write_text(text)


async def _run(db: Database, directory: Path, files: dict[str, str]) -> None:
    """Apply the files; the last of them fails."""
    _write(directory, files)
    layout, migrations = read_migrations(directory)
    try:
        await migrate_up(db, layout, migrations, ANA)
    except ZanithError:
        return
    raise AssertionError


# ------------------------------------------------------------------------------------------ jobs

_STEP = {
    "line": 1,
    "column": 1,
    "statement": "ALTER TABLE deployed.parcels ADD COLUMN <b>more</b> int",
    "operations": [],
    "observed": {
        "locks": [{"table": "deployed.parcels", "mode": "ACCESS EXCLUSIVE"}],
        "rewritten": ["deployed.parcels"],
        "scanned": ["deployed.<b>parcels</b>"],
        "unobserved": [],
    },
    "under_predicted": ["rewrites deployed.parcels"],
}
_NOTES = ["the shadow has no rows: a failure because of rows does not show here"]


def _verdict(verdict: str, findings: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    ran = {"id": HOSTILE, "path": "x", "statements": [_STEP] * 3, "down": False, "down_left": []}
    return {
        "verdict": verdict,
        "findings": findings,
        "shadow": {"pattern": "embedded", "version": "18.4", "kept": None},
        "live": {"version": "18.4"},
        "replay": {"source": "files", "migrations": 3},
        "pending": 4,
        "migrations": [ran],
        "drift": [],
        "declared": None,
        "notes": _NOTES,
        **more,
    }


def _finding(kind: str, message: str) -> dict[str, Any]:
    place = {"migration": FAILED, "path": f"migrations/{FAILED}.sql", "line": 2, "column": 1}
    return {"kind": kind, "message": message, "hint": "correct the down part", **place}


_WAITS = {
    "step": "waiting for pid 4711 (postgres)",
    "tries": 2,
    "tries_at_most": 6,
    "waiting_for": ["pid 4711 (postgres, psql), idle in transaction for 4 minutes"],
    "blocked_by": [{"pid": 4711, "state": "idle in transaction"}],
    "done": 3,
    "total": 40,
    "steps": [{"purpose": HOSTILE, "elapsed": 1.25}],
}
JOBS: dict[str, dict[str, Any]] = {
    "dep10000000running": {
        "kind": "deploy",
        "object": FORTY,
        "state": "running",
        "params": {"steps": [HOSTILE, FORTY]},
        "progress": _WAITS
        | {"step": f"{FORTY}, statement 4 of 40", "statement": f"SELECT {WORDS}"[:600]},
    },
    "dep2000000000done": {
        "kind": "deploy",
        "object": FORTY,
        "state": "done",
        "params": {"steps": [HOSTILE, FORTY]},
        "progress": {"done": 40, "total": 40},
        "result": {
            "applied": [
                {"id": name, "run": run, "path": "x", "elapsed": 1.25, "tries": 1, "statements": 40}
                | {"notes": ["<b>x</b>.sql:3: it was interrupted, and runs again"]}
                for run, name in ((2, HOSTILE), (3, FORTY))
            ]
        },
    },
    "dep300000000failed": {
        "kind": "deploy",
        "object": FAILED,
        "state": "failed",
        "params": {"steps": [HOSTILE, FAILED]},
        "progress": _WAITS | {"committed": True},
        "result": {"applied": []},
        "error": {"code": "failed", "message": f"{FAILED}.sql:2:1: it does not exist"},
    },
    "ver1000000000done": {
        "kind": "verify_migrations",
        "object": HOSTILE,
        "state": "done",
        "progress": {"steps": [{"purpose": "making a shadow: embedded", "elapsed": 2.5}]},
        "result": _verdict("ok", []),
    },
    "ver20000000failed": {
        "kind": "verify_migrations",
        "object": FAILED,
        "state": "mismatch",
        "result": _verdict("failed", [_finding("down_differs", "the down part leaves <b>x</b>")]),
    },
    "ver3000000nothing": {
        "kind": "verify_migrations",
        "object": FAILED,
        "state": "failed",
        "error": {"code": "failed", "message": "the connection to the server was lost"},
    },
}
