"""Promises 2 and 3 on schemas that chance made: a sample here, thousands by `make oracle`."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith, versions_to_test
from tests.oracle.command import draw
from tests.oracle.mutants import MUTANTS, Mutant, mutated
from tests.oracle.run import describe, run_batch

# the same sample each time: `make oracle` is what explores
SEED = int(os.environ.get("ZANITH_ORACLE_SEED") or 7)
SAMPLE = 20


@pytest.fixture
def template(server: Server, run_directory: Path) -> str:
    return clusters.obtain_template(run_directory, server, install_zanith)


def test_what_chance_makes_goes_as_by_drop_and_comes_back(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    """Captured, it is gone as after DROP; restored by psql and by the engine, it is as before."""
    print(f"ZANITH_ORACLE_SEED={SEED}")
    cases = draw(server.version, SAMPLE, SEED, 0, Counter())
    random.Random(SEED).shuffle(cases)
    verdict = run_batch(server, template, roles, tmp_path, cases[:SAMPLE])
    told = [describe(verdict.cases[name], text) for name, text in verdict.faults.items()]
    assert not told, f"ZANITH_ORACLE_SEED={SEED}\n" + "\n\n".join(told)
    assert len(verdict.judged()) > SAMPLE / 2, (verdict.refused, verdict.invalid)


@pytest.mark.newest
def test_every_fault_put_in_on_purpose_is_caught(
    server: Server, template: str, roles: dict[str, str], tmp_path: Path
) -> None:
    """The same cases pass where the engine is as it is, and each fails with its fault in it."""
    assert versions_to_test()[0] == server.version
    sound = run_batch(server, template, roles, tmp_path, [m.case for m in MUTANTS.values()])
    assert (len(sound.judged()), sound.faults) == (len(MUTANTS), {})
    missed = [
        name
        for number, (name, mutant) in enumerate(MUTANTS.items())
        if not _catches(server, template, f"mutant_{os.getpid()}_{number}", mutant, roles, tmp_path)
    ]
    assert not missed, missed


def _catches(
    server: Server, template: str, name: str, mutant: Mutant, roles: dict[str, str], directory: Path
) -> bool:
    with mutated(server, template, name, mutant) as broken:
        return bool(run_batch(server, broken, roles, directory, [mutant.case]).faults)
