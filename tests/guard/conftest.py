"""Databases with the guard on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.command import done
from tests.acceptance.conftest import roles
from tests.conftest import Database
from tests.guard.pinned import ALL, ORDERS, pins
from tests.guard.twin import turn_guard_off, turn_guard_on

__all__ = ["roles"]


@pytest.fixture
def guarded(create_role: Callable[..., str], database: Database) -> Iterator[Database]:
    """A database in which `zanith guard on` ran; off before roles are dropped."""
    turn_guard_on(database)
    yield database
    turn_guard_off(database)


@pytest.fixture(params=["superuser", "operator"])
def pinned(request: pytest.FixtureRequest, database: Database) -> Database:
    """A database with the pinned table orders, for both kinds of installation."""
    if request.param == "superuser":
        made, run = database, ORDERS
    else:
        made = request.getfixturevalue("operator_database")
        run = f"SET ROLE {made.owner};" + ORDERS
        database.psql(f"GRANT CREATE ON DATABASE {database.name} TO {made.operator}")
    made.psql(run)
    done("guard", "pin", "orders", url=made.url)
    assert pins(made) == ALL
    return made


@pytest.fixture
def plain(database: Database) -> Database:
    """The same, installed by a superuser."""
    database.psql(ORDERS)
    done("guard", "pin", "orders", url=database.url)
    return database
