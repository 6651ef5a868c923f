"""Promise 13: a plain drop in any form is recoverable, or refused; it is never lost.

A sample: `make guard` takes every shape, in several forms.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Database
from tests.guard import cases
from tests.guard.twin import run_cases

pytestmark = pytest.mark.each_version


def run(chosen, database, twin_database, roles, tmp_path) -> None:
    outcome = run_cases(chosen, database, twin_database, roles, tmp_path)
    print(outcome.report())
    if outcome.faults:
        pytest.fail(outcome.report(), pytrace=False)


@pytest.mark.parametrize("kind", ["tables", "columns", "truncates", "types", "definitions"])
def test_every_form_on_one_shape(
    kind: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    run(
        cases.every_form(kind, database.server.version),
        database,
        twin_database,
        roles,
        tmp_path,
    )


@pytest.mark.parametrize("kind", ["tables", "columns", "truncates"])
def test_shapes_in_one_form_each(
    kind: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    run(
        cases.every_shape(kind, database.server.version)[::4],
        database,
        twin_database,
        roles,
        tmp_path,
    )
