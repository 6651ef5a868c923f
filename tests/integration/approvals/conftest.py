"""Two artifacts in a database whose client requires approvals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.four_eyes import GUARDED
from app.recovery.db.database import Database
from app.recovery.rows.seal import seal
from tests.integration.approvals.asking import (
    ANA,
    SECRET,
)
from tests.sessions import client_of


@pytest.fixture
async def db(operator_database):
    opened = await Database.open(
        operator_database.url,
        lock_timeout=timedelta(milliseconds=200),
        lock_retries=1,
        approvals=frozenset(GUARDED),
    )
    async with client_of(opened) as connection:
        await connection.execute(
            "CREATE TABLE people (id int PRIMARY KEY, email text, note text);"
            f"INSERT INTO people SELECT n, CASE WHEN n % 10 = 0 THEN '{SECRET}' ELSE 'x' || n END,"
            " 'n' || n FROM generate_series(1, 100) n;"
            "CREATE TABLE orders (id int PRIMARY KEY, code text);"
            "INSERT INTO orders SELECT n, 'C' || n FROM generate_series(1, 50) n;"
        )
    yield opened
    await opened.close()


@pytest.fixture
async def archived(db):
    made = await capture(
        db, CaptureRequest("archive_column", "orders", "code", migration_id="0007"), ANA
    )
    await seal(db, made.id, ANA)
    return await get_artifact(db, made.id)


@pytest.fixture
async def people(db):
    made = await capture(db, CaptureRequest("archive_table", "people"), ANA)
    await seal(db, made.id, ANA)
    return await get_artifact(db, made.id)
