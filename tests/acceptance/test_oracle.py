"""Promises 2 and 3 on schemas that chance made: a sample here, thousands by `make oracle`."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import Server
from tests.conftest import Database, install_zanith, oracle_seed, versions_to_test
from tests.oracle.command import draw, draw_journeys
from tests.oracle.features import PLAIN
from tests.oracle.forms import FORMS
from tests.oracle.generate import Case
from tests.oracle.journeys import Journey, describe_journey, judge_journeys
from tests.oracle.mutants import MUTANTS, MUTANTS_ON_THE_WAY, Mutant, mutated
from tests.oracle.outcome import outcome_of, refuses_alike
from tests.oracle.rare import ALL
from tests.oracle.run import run_batch
from tests.oracle.verdict import Verdict, describe

pytestmark = pytest.mark.each_version

# the same sample each time: `make oracle` is what explores
SEED = oracle_seed()
SAMPLE = 20
JOURNEYS = 8


@pytest.fixture
def template(server: Server, run_directory: Path) -> str:
    return clusters.obtain_template(run_directory, server, install_zanith)


def test_what_chance_makes_goes_as_by_drop_and_comes_back(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    """Captured, it is gone as after DROP; restored by psql and by the engine, it is as before."""
    print(f"ZANITH_ORACLE_SEED={SEED}")
    cases = draw(server.version, SAMPLE, SEED, 0, Counter())
    verdict = run_batch(server, template, roles, tmp_path, cases[:SAMPLE])
    told = [describe(verdict.cases[name], text) for name, text in verdict.faults.items()]
    assert not told, f"ZANITH_ORACLE_SEED={SEED}\n" + "\n\n".join(told)
    assert len(verdict.judged()) > SAMPLE / 2, (verdict.refused, verdict.invalid)


async def test_journeys_of_captures_restores_and_purges_arrive(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    """Whatever was parked, restored, renamed and purged, in any order: it ends as on the plain way."""
    drawn = draw_journeys(server.version, JOURNEYS, SEED)
    verdict, taken = await judge_journeys(server, template, roles, tmp_path, drawn)
    told = [
        describe_journey(drawn[int(name.removeprefix("case"))], text)
        for name, text in verdict.faults.items()
    ]
    assert not told, f"ZANITH_ORACLE_SEED={SEED}\n" + "\n\n".join(told)
    assert len(verdict.judged()) > JOURNEYS / 2
    assert taken["capture"] >= JOURNEYS / 2


async def test_more_dependents_than_drop_names_are_compared(database: Database) -> None:
    """DROP names a hundred and counts the others; a capture names all."""
    views = "".join(f"CREATE VIEW v{n} AS SELECT c FROM t;" for n in range(103))
    database.psql("CREATE TABLE t (c int);" + views)
    async with database.connect() as connection:
        mine = await outcome_of(connection, "SELECT zanith.soft_drop_table('t')", undo=True)
        wanted = await outcome_of(connection, "DROP TABLE t", undo=True)
        assert wanted.endswith(", and 3 more")
        assert refuses_alike(mine, wanted)
        assert not refuses_alike(mine.replace("view v7, ", ""), wanted)
        assert not refuses_alike(mine.replace("view v7,", "view other,"), wanted)


@pytest.mark.newest
def test_every_fault_put_in_on_purpose_is_caught(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    """The same cases pass where the engine is as it is, and each fails with its fault in it."""
    assert versions_to_test()[0] == server.version
    sound = run_batch(server, template, roles, tmp_path, [m.case for m in MUTANTS.values()])
    assert sound.faults == {}
    assert len(sound.judged()) == len(MUTANTS)
    way = [m.case for m in MUTANTS_ON_THE_WAY.values()]
    assert not _travel(server, template, roles, tmp_path, way).faults
    missed = [
        name
        for number, (name, mutant) in enumerate({**MUTANTS, **MUTANTS_ON_THE_WAY}.items())
        if not _catches(server, template, f"mutant_{os.getpid()}_{number}", mutant, roles, tmp_path)
    ]
    assert not missed, missed


def _catches(
    server: Server, template: str, name: str, mutant: Mutant, roles: dict[str, str], directory: Path
) -> bool:
    with mutated(server, template, name, mutant) as broken:
        judge = run_batch if isinstance(mutant.case, Case) else _travel
        return bool(judge(server, broken, roles, directory, [mutant.case]).faults)


def _travel(
    server: Server, template: str, roles: dict[str, str], directory: Path, drawn: list[Journey]
) -> Verdict:
    return asyncio.run(judge_journeys(server, template, roles, directory, drawn))[0]


# What two features have to do with each other only together, which chance seldom makes.
TOGETHER = [
    ("soft_drop_table", ("primary key referenced", "other owner", "path in index")),
    ("archive_table", ("primary key referenced", "other owner", "path in index")),
    ("soft_drop_table", ("column of row type", "other owner")),
    ("archive_table", ("column of row type", "other owner")),
    ("soft_drop_column", ("generated of row elsewhere", "other owner")),
    ("archive_table", ("typed table", "other owner", "function of set")),
]


def test_what_chance_seldom_puts_together(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    named = {feature.name: feature for feature in ALL}
    cases = [
        Case(strategy, PLAIN, FORMS[0], tuple(named[name] for name in features), key="index")
        for strategy, features in TOGETHER
    ]
    verdict = run_batch(server, template, roles, tmp_path, cases)
    assert verdict.faults == {}
    assert verdict.invalid == {}
    assert {verdict.cases[name].features[0].name for name in verdict.judged()} == {
        "primary key referenced",
        "typed table",
    }
    assert all("code of another role" in said for said in verdict.refused.values())
