"""Successive commits take every test and every case, and no run takes none of a table."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests import selection

CONFIG = SimpleNamespace(option=SimpleNamespace(keyword=""), args=["tests"])
SMOKE = "tests/integration/test_x.py::test_smoke[pg18]"


class Item:
    """A test with what `selection` asks for."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        self.path = selection.ROOT / nodeid.partition("::")[0]

    def get_closest_marker(self, name: str) -> str | None:
        return name if self.nodeid == SMOKE else None


SINGLE = [Item(f"tests/integration/test_x.py::test_{n}[pg18]") for n in range(40)]
TABLES = [
    Item(f"tests/integration/test_x.py::test_table_of_{size}[pg18-{n}]")
    for size in (2, 3, 8, 11)
    for n in range(size)
]
UNIT = [Item(f"tests/unit/test_x.py::test_u[{n}]") for n in range(3)]
EVERY = [*SINGLE, *TABLES, *UNIT, Item(SMOKE)]


def taken(monkeypatch: pytest.MonkeyPatch, turn: int | None) -> set[str]:
    monkeypatch.setattr(selection, "_turn", lambda: turn)
    return {item.nodeid for item in selection._take_turns(CONFIG, EVERY)}


def test_two_runs_take_each_test_and_eight_each_case(monkeypatch):
    runs = [taken(monkeypatch, turn) for turn in range(selection.TURNS)]
    for first, second in zip(runs, [*runs[1:], runs[0]], strict=True):
        assert {item.nodeid for item in SINGLE} <= first | second
        assert len({item.nodeid for item in SINGLE} & first & second) == 0
    assert set.union(*runs) == {item.nodeid for item in EVERY}
    for run in runs:
        assert run >= {SMOKE, *(item.nodeid for item in UNIT)}
        tables = {nodeid.partition("[")[0] for nodeid in run if "_table_of_" in nodeid}
        assert len(tables) == 4


def test_all_takes_all(monkeypatch):
    assert taken(monkeypatch, None) == {item.nodeid for item in EVERY}


def test_the_description_names_both_parts(monkeypatch):
    monkeypatch.setattr(selection, "_turn", lambda: 4)
    config = SimpleNamespace(option=SimpleNamespace(markexpr=""))
    said = "half 1 of 2 of the tests, part 5 of 8 of each table (ZANITH_TEST_CASES=5, or all)"
    assert selection.describe(config) == said
