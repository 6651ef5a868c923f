"""Which tests a run takes: the versions of each, its cases, and what `make check` spares.

A run of `make test` takes a part of the tests with a database, each on one of the versions; every
commit takes another part. A parametrized test is a table of cases: of a table a run takes an
eighth, and of the tests that are no table a half. The smoke tests and the unit tests are in every
run. The first line of the run names the part. ZANITH_TEST_CASES=all takes every case;
ZANITH_TEST_VERSIONS chooses the versions ("15,18" or "all") and takes everything on each of them.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests import clusters

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests" / "unit"
TURNS = 8  # that many commits in a row take a table whole
HALVES = 2  # and that many take the tests that are no table


def versions_to_test() -> list[int]:
    """Return the chosen major versions, newest first."""
    return clusters.choose_versions(
        os.environ.get("ZANITH_TEST_VERSIONS", ""), clusters.find_versions()
    )


def is_check(config: pytest.Config) -> bool:
    """Tell whether this is the run of `make check`."""
    return bool(config.option.markexpr == "smoke")


def ignore_collect(path: Path, config: pytest.Config) -> bool | None:
    """Spare `make check` the modules that have nothing for it: to import them takes longest."""
    if not is_check(config) or not path.match("test_*.py"):
        return None
    return None if path.is_relative_to(UNIT) or "mark.smoke" in path.read_text("utf-8") else True


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each role of `database_of_either` its version, each case its version and its turn.

    `make check` has the operator alone, who may do less and needs all that a superuser needs.
    """
    role = "operator" if is_check(config) else None
    of_versions = [item for item in items if _is_of_its_version(item, role)]
    taken = of_versions if is_check(config) else _take_turns(config, of_versions)
    if len(taken) < len(items):
        kept = set(taken)
        spared = [item for item in items if item not in kept]
        items[:] = taken
        config.hook.pytest_deselected(items=spared)


def has_one_version(item: pytest.Item) -> bool:
    """Tell whether a test runs on one of the versions only, with others on the other."""
    if os.environ.get("ZANITH_TEST_VERSIONS") or "server" not in _params(item):
        return False
    return not any(item.get_closest_marker(mark) for mark in ("each_version", "newest"))


def describe(config: pytest.Config) -> str:
    """Say which part of each table of cases this run takes."""
    turn = _turn()
    if turn is None or is_check(config):
        return "every case of every table"
    half = f"half {turn % HALVES + 1} of {HALVES} of the tests"
    return (
        f"{half}, part {turn + 1} of {TURNS} of each table (ZANITH_TEST_CASES={turn + 1}, or all)"
    )


def _params(item: pytest.Item) -> Mapping[str, object]:
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        return item.callspec.params
    return {}


def _is_of_its_version(item: pytest.Item, only: str | None) -> bool:
    """Tell whether a test runs on its version.

    A superuser's runs on the newest and an operator's on the oldest; a case of a table runs on one.
    """
    params = _params(item)
    role, versions = params.get("database_of_either"), versions_to_test()
    if role is not None and only is not None and role != only:
        return False
    if os.environ.get("ZANITH_TEST_VERSIONS") == "all" or "server" not in params:
        return True
    if role is not None:
        return bool(params["server"] == versions[0 if role == "superuser" else -1])
    if not has_one_version(item):
        return True
    # the case has the same version in every run
    return bool(params["server"] == versions[_number(item) % len(versions)])


def _number(item: pytest.Item) -> int:
    """Return a number that a case has in every run, whatever its version."""
    return zlib.crc32(_case(item).encode())


def _take_turns(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests without those whose turn it is not; at least one of each table stays.

    Cases that are named one by one, or chosen by -k, are all taken.
    """
    turn = _turn()
    named = config.option.keyword or any("::" in arg for arg in config.args)
    if turn is None or named:
        return items
    cases: dict[str, dict[str, int]] = {}
    for item in items:
        known = cases.setdefault(_table(item), {})
        known.setdefault(_case(item), len(known))
    return [
        item
        for item in items
        if item.path.is_relative_to(UNIT) or _has_turn(item, cases[_table(item)], turn)
    ]


def _has_turn(item: pytest.Item, cases: Mapping[str, int], turn: int) -> bool:
    """Tell whether a run takes a case of a table, or a test that is no table."""
    if len(cases) > 1:
        parts = min(len(cases), TURNS)
        return cases[_case(item)] % parts == turn % parts
    if item.get_closest_marker("smoke"):
        return True
    return zlib.crc32(_table(item).encode()) % HALVES == turn % HALVES


def _table(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _case(item: pytest.Item) -> str:
    """Return the id of a test without its version: a case has one turn on all of them."""
    return item.nodeid.replace(f"[pg{_params(item).get('server')}", "[")


@cache
def _turn() -> int | None:
    """Return which part of each table of cases this run takes, from 0; None for all.

    Without a choice the commit says it: the same commit takes the same cases.
    """
    chosen = os.environ.get("ZANITH_TEST_CASES")
    if chosen == "all" or os.environ.get("ZANITH_TEST_VERSIONS"):
        return None
    if chosen:
        return (int(chosen) - 1) % TURNS
    found = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return int(found.stdout) % TURNS if found.returncode == 0 else 0
