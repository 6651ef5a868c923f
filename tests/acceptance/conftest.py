"""What the acceptance tests share beside the fixtures of all tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.oracle.judges import ROLES


@pytest.fixture
def roles(create_role: Callable[..., str]) -> dict[str, str]:
    """Fresh roles of the cluster, by the name that a shape calls them."""
    return {name: create_role(name) for name in ROLES}
