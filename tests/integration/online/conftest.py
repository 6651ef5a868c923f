"""What the tests of the online forms share beside the fixtures of all tests."""

from __future__ import annotations

import pytest

from tests.online import TABLE, execute, opened


@pytest.fixture
async def db(database_of_either):
    async with opened(database_of_either, lock_retries=4) as found:
        await execute(found, TABLE)
        yield found
