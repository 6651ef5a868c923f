"""Databases with the guard on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.conftest import roles
from tests.conftest import Database
from tests.guard.twin import turn_guard_off, turn_guard_on

__all__ = ["roles"]


@pytest.fixture
def guarded(create_role: Callable[..., str], database: Database) -> Iterator[Database]:
    """A database in which `zanith guard on` ran; off before roles are dropped."""
    turn_guard_on(database)
    yield database
    turn_guard_off(database)
