"""The command behind `make faults`: strike operations with faults, and print the matrix."""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith
from tests.faults.operations import OPERATIONS
from tests.faults.run import Arena, Outcome, impatient, strike_each
from tests.faults.strike import FAULTS

EVERY = 40
_arenas: dict[int, Arena] = {}  # of this process, by version


def choose(every: int, chosen_seed: str) -> Callable[[int], list[int]]:
    """Return what chooses one message out of each so many, the same for the same seed.

    By chance within them: messages come in patterns, and a fixed step would meet the same letter.
    """

    def chosen(number: int) -> list[int]:
        chance = random.Random(chosen_seed)
        return [
            chance.randint(first, min(first + every - 1, number))
            for first in range(1, number + 1, every)
        ]

    return chosen


def strike(
    directory: str,
    version: int,
    operation: str,
    fault: str,
    every: int,
    chosen_seed: int,
    share: slice,
) -> list[Outcome]:
    """Do a share of one field of the matrix, on the server of this process."""
    arena = _obtain_arena(Path(directory), version)
    chosen = choose(every * FAULTS[fault].costly, f"{chosen_seed} {operation} {fault}")

    def how(number: int) -> list[int]:
        return chosen(number)[share]

    with impatient():
        work = strike_each(arena, OPERATIONS[operation], FAULTS[fault], how, _tell_violation)
        return asyncio.run(work)


def _tell_violation(outcome: Outcome) -> None:
    """Print it as soon as it is known: a field of all messages takes an hour."""
    for text in describe([outcome]):
        print(text, file=sys.stderr, flush=True)


def _obtain_arena(directory: Path, version: int) -> Arena:
    if version not in _arenas:
        own = directory / f"{version}-{os.getpid()}"
        server = Server(version, clusters.find_versions()[version], own)
        server.create()
        base = clusters.obtain_template(own, server, install_zanith)
        _arenas[version] = Arena(server, base, own)
        _arenas[version].settle()
    return _arenas[version]


def run_version(version: int, options: argparse.Namespace) -> tuple[list[Outcome], list[str]]:
    """Do the whole matrix on one version; return what came of it, and what could not be done."""
    directory = clusters.create_run_directory(in_memory=True)
    reaper = clusters.start_reaper(directory)
    context = multiprocessing.get_context("spawn")  # a fork would keep the reaper's pipe open
    try:
        with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
            try:
                return _run_shares(pool, directory, version, options)
            except BaseException:  # the pool would wait until its processes are done
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    finally:
        reaper.communicate(timeout=60)


def _run_shares(
    pool: ProcessPoolExecutor, directory: Path, version: int, options: argparse.Namespace
) -> tuple[list[Outcome], list[str]]:
    """Divide each field of the matrix among the processes."""
    found: list[Outcome] = []
    broken: list[str] = []
    tasks = {
        pool.submit(
            strike,
            str(directory),
            version,
            operation,
            fault,
            options.every,
            options.seed,
            slice(first, None, options.workers),
        ): (operation, fault)
        for operation in options.operations
        for fault in options.faults
        for first in range(options.workers)
    }
    for task in as_completed(tasks):
        if error := task.exception():
            told = "".join(traceback.format_exception(error))
            broken.append(f"{' × '.join(tasks[task])} could not be judged:\n{told}")
            _tell(version, tasks[task], "broken", broken[-1:])
        else:
            found += task.result()
            _tell(version, tasks[task], _field(task.result(), *tasks[task]), [])
    return found, broken


def _tell(version: int, field: tuple[str, str], done: str, told: Iterable[str]) -> None:
    print(f"PostgreSQL {version}: {' × '.join(field)}: {done}", file=sys.stderr, flush=True)
    for text in told:
        print(text, file=sys.stderr, flush=True)


def describe(outcomes: Iterable[Outcome]) -> list[str]:
    """Return each violation with what is needed to see it again."""
    return [
        f"  {one.operation} × {one.fault} at message {one.at} ({one.letter}),"
        f" raised {one.raised!r}:\n" + "\n".join(f"    {text}" for text in one.violations)
        for one in outcomes
        if one.violations
    ]


def table(outcomes: list[Outcome], operations: list[str], faults: list[str]) -> str:
    """Return the matrix: strikes in each field, with what was violated and what came too late."""
    lines = [f"{'':22}" + "".join(f"{fault:>14}" for fault in faults)]
    for operation in operations:
        fields = [_field(outcomes, operation, fault) for fault in faults]
        lines.append(f"{operation:22}" + "".join(f"{text:>14}" for text in fields))
    return "\n".join(lines)


def _field(outcomes: list[Outcome], operation: str, fault: str) -> str:
    mine = [one for one in outcomes if (one.operation, one.fault) == (operation, fault)]
    struck = sum(one.letter is not None for one in mine)
    bad = sum(bool(one.violations) for one in mine)
    late = len(mine) - struck
    return f"{struck}" + (f" +{late}" if late else "") + (f" !{bad}" if bad else "")


def main() -> int:
    """Strike; the exit status is 1 where anything was violated, or a field was never struck."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--operations", default="", help=", ".join(OPERATIONS))
    parser.add_argument("--faults", default="", help=", ".join(FAULTS))
    parser.add_argument(
        "--every", type=int, default=EVERY, metavar="K", help="strike one of K messages; 1 is all"
    )
    parser.add_argument("--versions", default="18", help="major versions, such as 15,18")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, the same messages")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print every strike as JSON")
    options = parser.parse_args()
    options.operations = _pick(parser, options.operations, list(OPERATIONS))
    options.faults = _pick(parser, options.faults, list(FAULTS))
    good = True
    everything: dict[int, list[dict[str, object]]] = {}
    for version in clusters.choose_versions(options.versions, clusters.find_versions()):
        started = time.monotonic()
        found, broken = run_version(version, options)
        everything[version] = [asdict(one) for one in found]
        good &= _report(version, options, found, broken, time.monotonic() - started)
    if options.json:
        print(json.dumps(everything, indent=1))
    return 0 if good else 1


def _pick(parser: argparse.ArgumentParser, text: str, known: list[str]) -> list[str]:
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := set(wanted) - set(known):
        parser.error(f"not known: {', '.join(sorted(unknown))}; there is {', '.join(known)}")
    return wanted or known


def _report(
    version: int,
    options: argparse.Namespace,
    found: list[Outcome],
    broken: list[str],
    seconds: float,
) -> bool:
    struck = [one for one in found if one.letter is not None]
    bad = [one for one in found if one.violations]
    fields = {(one.operation, one.fault) for one in struck}
    missed = [
        f"{operation} × {fault}"
        for operation in options.operations
        for fault in options.faults
        if (operation, fault) not in fields
    ]
    if not options.json:
        print(f"\nPostgreSQL {version}: strikes; +n came after the end, !n violated something")
        print(table(found, options.operations, options.faults))
        print("\n".join([*describe(found), *broken]))
        print(
            f"{len(struck)} strikes, {len(found) - len(struck)} too late, {len(bad)} with"
            f" violations, {seconds:.0f} s, seed {options.seed}, every {options.every}"
        )
        if missed:
            print(f"never struck: {', '.join(missed)}")
    return not bad and not broken and not missed
