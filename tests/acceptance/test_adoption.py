"""Promise 13 with real migration tools: two of them here, all by `make adoption`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import clusters
from tests.adoption.run import run_tool
from tests.adoption.tools import PROJECTS, TOOLS
from tests.clusters import Server
from tests.conftest import install_zanith

BY_NAME = {tool.name: tool for tool in TOOLS}


@pytest.fixture
def template(server: Server, run_directory: Path) -> str:
    return clusters.obtain_template(run_directory, server, install_zanith)


@pytest.mark.newest
@pytest.mark.parametrize("name", ["Django", "psql -1 -f"])
def test_what_a_tool_drops_is_captured_and_comes_back(
    server: Server, template: str, create_role, tmp_path: Path, name: str
) -> None:
    """The tool ends as without the guard, and every value that it dropped is restored."""
    outcome = run_tool(server, template, BY_NAME[name], create_role("adoption"), tmp_path)
    assert outcome.faults == []
    assert outcome.refused == []
    assert outcome.migration == {"Django": "shop.0005_alter_book_price"}.get(
        name, "the transaction"
    )
    assert (outcome.dropped, outcome.retyped) == (5, 1)
    assert outcome.restored == outcome.captured >= 6


@pytest.mark.newest
def test_the_judge_sees_a_loss(server: Server, template: str, create_role, tmp_path: Path) -> None:
    """With the guard off on both databases, the judge says what is lost."""
    tool = BY_NAME["psql -1 -f"]
    outcome = run_tool(server, template, tool, create_role("adoption"), tmp_path, guard=False)
    assert outcome.captured == 0
    assert any("lost" in fault and "public.book.isbn" in fault for fault in outcome.faults)


def test_every_project_belongs_to_a_tool() -> None:
    projects = {path.name for path in PROJECTS.iterdir() if path.is_dir()} - {"sql"}
    assert projects <= {tool.project for tool in TOOLS}
