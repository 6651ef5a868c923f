"""The command behind `make oracle`: draw cases, judge them, tell what was covered."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import secrets
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith
from tests.oracle.any_database import Findings, Sample, judge_database, judge_url
from tests.oracle.generate import Case, cases, coverable
from tests.oracle.journeys import Journey, describe_journey, journeys, judge_journeys
from tests.oracle.judges import ROLES
from tests.oracle.normalise import REASONS
from tests.oracle.projects import PROJECTS, build
from tests.oracle.run import judge
from tests.oracle.verdict import Verdict, describe, reduce, tally

T = TypeVar("T")
TEMPLATE = "zanith_template"
LEAST = 20  # cases of each feature with each strategy
BATCH = 40
ROUNDS = 6  # of drawing more where too few were judged


def draw(
    version: int,
    number: int,
    chosen_seed: int,
    least: int,
    judged: Counter[tuple[str, str]],
    spare: int = 0,
) -> list[Case]:
    """Return so many cases, the same for the same seed, and more until each feature has enough.

    `judged` counts what was judged before: some of what is drawn PostgreSQL does not take, and some
    is refused, as DROP refuses it; `spare` more are drawn of what had too few for that.
    """
    goal = {pair: least + (spare if judged[pair] < least else 0) for pair in coverable(version)}
    found: list[Case] = []
    have = judged.copy()
    order = random.Random(chosen_seed)
    while len(found) < number or any(have[pair] < goal[pair] for pair in goal):
        most = max(goal[pair] - have[pair] for pair in goal)
        name, strategy = order.choice([pair for pair in goal if goal[pair] - have[pair] == most])
        for case in _draw_some(cases(version, strategy, name), order.randrange(2**32)):
            found.append(case)
            have.update((word, strategy) for word in case.words)
    order.shuffle(found)
    return found


def draw_journeys(version: int, number: int, chosen_seed: int) -> list[Journey]:
    """Return so many journeys, the same for the same seed."""
    order = random.Random(chosen_seed)
    found: list[Journey] = []
    while len(found) < number:
        found += _draw_some(journeys(version), order.randrange(2**32))
    return found[:number]


def _draw_some(strategy: st.SearchStrategy[T], chosen_seed: int, number: int = 4) -> list[T]:
    drawn: list[T] = []

    @seed(chosen_seed)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(item: T) -> None:
        drawn.append(item)

    collect()
    return drawn


@dataclass
class Run:
    """All that one version's cases came to."""

    version: int
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    judged: int = 0
    drawn: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    travelled: int = 0
    taken: Counter[str] = field(default_factory=Counter)  # steps of journeys

    def add(self, verdict: Verdict) -> None:
        self.counted.update(tally(verdict))
        self.judged += len(verdict.judged())
        self.drawn += len(verdict.cases) + len(verdict.invalid)
        self.refused.update(text.partition("\n")[0][:90] for text in verdict.refused.values())
        self.invalid.update(text[:90] for text in verdict.invalid.values())


@dataclass(frozen=True)
class Bench:
    """A server that processes share, and the roles on it."""

    version: int
    port: int
    cluster: str
    roles: dict[str, str]

    def judge(self, cases: list[Case], explain: bool) -> tuple[Verdict, list[str]]:
        """Judge one batch in a process of its own; return the verdict, and the faults made small."""

        async def one(some: list[Case]) -> Verdict:
            return await judge(self._server(), TEMPLATE, self.roles, self._directory(), some)

        async def all_of() -> tuple[Verdict, list[str]]:
            verdict = await one(cases)
            told = []
            for number, (schema, text) in enumerate(verdict.faults.items()):
                case, fault = verdict.cases[schema], text
                if explain and number < 3:
                    case, fault = await reduce(case, fault, one)
                told.append(describe(case, fault))
            return verdict, told

        return asyncio.run(all_of())

    def travel(
        self, drawn: list[Journey], explain: bool
    ) -> tuple[Verdict, Counter[str], list[str]]:
        """Take some journeys likewise."""

        async def one(some: list[Journey]) -> tuple[Verdict, Counter[str]]:
            where = (self._server(), TEMPLATE, self.roles, self._directory())
            return await judge_journeys(*where, some)

        async def verdict_of(some: list[Journey]) -> Verdict:
            return (await one(some))[0]

        async def all_of() -> tuple[Verdict, Counter[str], list[str]]:
            verdict, taken = await one(drawn)
            told = []
            for number, (schema, text) in enumerate(verdict.faults.items()):
                journey, fault = drawn[int(schema.removeprefix("case"))], text
                if explain and number < 3:
                    journey, fault = await reduce(journey, fault, verdict_of)
                told.append(describe_journey(journey, fault))
            return verdict, taken, told

        return asyncio.run(all_of())

    def _server(self) -> Server:
        found = clusters.find_versions()[self.version]
        return Server(self.version, found, Path(self.cluster), self.port)

    def _directory(self) -> Path:
        own = Path(self.cluster) / f"w{os.getpid()}"
        own.mkdir(exist_ok=True)
        return own


@contextmanager
def serving(version: int) -> Iterator[Bench]:
    """Start a server with the engine in a template, and stop it."""
    directory = clusters.create_run_directory(in_memory=True)
    reaper = clusters.start_reaper(directory)
    try:
        server = clusters.obtain_server(directory, version)
        clusters.obtain_template(directory, server, install_zanith)
        roles = {name: f"oracle_{name}" for name in ROLES}
        for role in roles.values():
            server.psql("postgres", f"CREATE ROLE {role} LOGIN")
        yield Bench(version, server.port, str(server.directory), roles)
    finally:
        reaper.communicate(timeout=60)


def run_version(
    version: int, options: argparse.Namespace, chosen_seed: int, pool: ProcessPoolExecutor
) -> Run:
    """Judge all cases, then all journeys, on a server of a version."""
    run = Run(version)
    with serving(version) as bench:
        for turn in range(ROUNDS if options.cases else 0):
            wanted = options.cases - run.judged
            drawn = draw(
                version, wanted, chosen_seed + turn, options.least, run.counted, spare=8 * turn
            )
            if not drawn:
                break
            for verdict, told in _share_out(pool, bench.judge, drawn, options, run):
                run.add(verdict)
                _tell(run, told)
        drawn_journeys = draw_journeys(version, options.journeys, chosen_seed)
        for verdict, taken, told in _share_out(pool, bench.travel, drawn_journeys, options, run):
            run.travelled += len(verdict.judged())
            run.taken.update(taken)
            _tell(run, told)
    return run


def _share_out(
    pool: Executor, work: Callable, drawn: list, options: argparse.Namespace, run: Run
) -> Iterator:
    """Yield what came of each batch; one that could not be judged counts as a difference."""
    size = options.batch
    tasks = [
        pool.submit(work, drawn[n : n + size], options.explain) for n in range(0, len(drawn), size)
    ]
    for task in tasks:
        if error := task.exception():
            told = "".join(traceback.format_exception(error))
            _tell(run, [f"a batch could not be judged:\n{told}"])
        else:
            yield task.result()


def _tell(run: Run, told: list[str]) -> None:
    run.faults += told
    print(
        f"PostgreSQL {run.version}: {run.judged} cases and {run.travelled} journeys judged, "
        f"{len(run.faults)} differences",
        file=sys.stderr,
        flush=True,
    )
    for text in told:
        print(text, "\n", flush=True)


def report(run: Run, least: int) -> bool:
    """Print what a version's run came to; return whether it is as it must be."""
    wanted = coverable(run.version)
    print(f"\nPostgreSQL {run.version}: cases by feature and strategy")
    strategies = list(dict.fromkeys(strategy for _, strategy in wanted))
    words = list(dict.fromkeys([*(name for name, _ in wanted), *(w for w, _ in run.counted)]))
    print(f"{'':42}" + "".join(f"{name:>18}" for name in strategies))
    for word in words:
        row = [run.counted.get((word, strategy), 0) for strategy in strategies]
        print(f"{word:42}" + "".join(f"{n or '-':>18}" for n in row))
    short = [pair for pair in wanted if run.counted[pair] < least]
    print(f"drawn {run.drawn}, judged {run.judged}, differences {len(run.faults)}")
    steps = ", ".join(f"{n} × {name}" for name, n in run.taken.most_common())
    print(f"journeys {run.travelled}: {steps or '-'}")
    for title, counted in (("refused", run.refused), ("not taken by PostgreSQL", run.invalid)):
        print(f"{title}: {sum(counted.values())}")
        for text, n in counted.most_common(12):
            print(f"  {n:5} {text}")
    if short:
        print(f"fewer than {least} cases of: {', '.join(' with '.join(p) for p in short)}")
    return not run.faults and not short


def report_database(found: Findings) -> bool:
    """Print what came of a database; return whether nothing differs."""
    for strategy, number in found.judged.items():
        alike = found.alike[strategy]
        print(f"{strategy}: {number} captured and restored, {alike} refused without CASCADE")
    for text, number in found.refused.most_common():
        print(f"  refused {number:5} {text}")
    print(f"{len(found.faults)} differences")
    return not found.faults


def run_projects(
    version: int, names: list[str], pool: ProcessPoolExecutor, sample: Sample | None
) -> bool:
    """Judge what others' migrations build; return whether nothing differs."""
    good = True
    directory = clusters.create_run_directory(in_memory=True)
    reaper = clusters.start_reaper(directory)
    try:
        server = clusters.obtain_server(directory, version)
        for name in names:
            print(f"\nPostgreSQL {version}: {name}", flush=True)
            own = directory / name
            own.mkdir()
            started = time.monotonic()
            found = judge_database(server, build(server, name), own, name, pool, sample)
            good &= report_database(found)
            print(f"{time.monotonic() - started:.0f} s", flush=True)
    finally:
        reaper.communicate(timeout=60)
    return good


def main() -> int:
    """Run the oracles; the exit status is 1 where anything differs or too little was covered."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument(
        "--cases", type=int, default=2000, help="at least so many on each version, or 0"
    )
    parser.add_argument("--journeys", type=int, default=400, help="so many on each version")
    parser.add_argument("--least", type=int, default=LEAST, help="of each feature and strategy")
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same cases")
    parser.add_argument("--versions", default="15,18", help="major versions, such as 15,18")
    parser.add_argument("--batch", type=int, default=BATCH, help="cases in one database")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--no-explain",
        dest="explain",
        action="store_false",
        help="do not make the cases that fail smaller",
    )
    parser.add_argument("--database", metavar="URL", help="judge this database instead, on copies")
    parser.add_argument("--projects", default="none", help="also judge these: wagtail,airflow; all")
    parser.add_argument(
        "--sample",
        type=int,
        default=0,
        help="of a database or project, so many tables or columns with each strategy; a quarter of the tables reaches all",
    )
    options = parser.parse_args()
    chosen_seed = options.seed if options.seed is not None else secrets.randbelow(2**32)
    sample = Sample(options.sample, chosen_seed) if options.sample else None
    context = multiprocessing.get_context("spawn")  # a fork would keep the reaper's pipe open
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        if options.database:
            return 0 if judge_url(options.database, report_database, pool, sample) else 1
        return judge_all(options, pool, chosen_seed, sample)


def judge_all(
    options: argparse.Namespace,
    pool: ProcessPoolExecutor,
    chosen_seed: int,
    sample: Sample | None,
) -> int:
    """Judge generated cases, then projects, on each version; return the exit status."""
    print(f"seed {chosen_seed}")
    print("left out of account:")
    for what, why in REASONS.items():
        print(f"  {what}: {why}")
    started = time.monotonic()
    good = True
    versions = clusters.choose_versions(options.versions, clusters.find_versions())
    for run in [run_version(v, options, chosen_seed, pool) for v in versions]:
        if options.cases or options.journeys:
            good &= report(run, options.least if options.cases else 0)
    names = {"none": [], "all": list(PROJECTS)}.get(options.projects, options.projects.split(","))
    for version in versions if names else []:
        good &= run_projects(version, names, pool, sample)
    outcome = "0 differences" if good else "FAILED"
    print(f"{time.monotonic() - started:.0f} s, seed {chosen_seed}: {outcome}")
    return 0 if good else 1
