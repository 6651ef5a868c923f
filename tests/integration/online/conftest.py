"""What the tests of the online forms share beside the fixtures of all tests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.database import Database
from tests.online import TABLE


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=300), lock_retries=4
    )
    async with opened.acquire() as connection:
        await connection.execute(TABLE)
    yield opened
    await opened.close()
