"""A database whose locks are waited for briefly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.recovery.db.database import Database


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=100), lock_retries=0
    )
    yield opened
    await opened.close()
