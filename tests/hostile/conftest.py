"""Databases with a hostile owner in them, and what becomes of each operation over them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import clusters
from tests.conftest import Database, allow_capture, create_database, install_zanith
from tests.hostile import world
from tests.hostile.scene import Scene
from tests.hostile.trap import TRAP, Trap
from tests.hostile.world import Cast


@pytest.fixture(scope="session")
def cast(server) -> Iterator[Cast]:
    """The roles: a hostile owner, another owner, an operator without more rights than it takes."""
    with world.roles(server) as made:
        yield made


@pytest.fixture(scope="session")
def templates(server, run_directory, cast) -> Iterator[dict[str, Database]]:
    """A database with all hooks for each operator; the superuser's Zanith belongs to the superuser."""
    base = clusters.obtain_template(run_directory, server, install_zanith)
    with (
        world.template(server, base, cast, "superuser") as superusers,
        world.template(server, base, cast, "operator") as operators,
    ):
        yield {"superuser": superusers, "operator": operators}


@pytest.fixture(params=["superuser", "operator"])
def operator(request: pytest.FixtureRequest) -> str:
    """Who gives the command."""
    return str(request.param)


@pytest.fixture
def ground(server, templates, operator) -> Iterator[Database]:
    """A database of one's own with all hooks."""
    yield from create_database(server, templates[operator].name)


@pytest.fixture
def superusers_ground(server, templates) -> Iterator[Database]:
    """The same where Zanith belongs to a superuser, for what needs no other operator."""
    yield from create_database(server, templates["superuser"].name)


@pytest.fixture
def trap(ground, cast) -> Trap:
    """What the hooks say from now on."""
    return Trap(ground, cast.owner)


@pytest.fixture
def scene(database, create_role) -> Scene:
    mallory, alice = create_role("mallory"), create_role("alice")
    for role in (mallory, alice):
        allow_capture(database.url, role)
    database.psql(
        f"CREATE SCHEMA harm AUTHORIZATION {mallory}; CREATE SCHEMA alice AUTHORIZATION {alice};"
        "GRANT USAGE ON SCHEMA harm, alice TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC"
    )
    database.psql(TRAP.format(owner=mallory), user=mallory)
    return Scene(database, mallory, alice, Trap(database, mallory))
