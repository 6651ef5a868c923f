"""The command behind `make adoption`: run each tool, and print what came of it."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import clusters
from tests.adoption.run import VARIES, Outcome, run_tool
from tests.adoption.tools import ROOT, TOOLS, NotInstalled, Tool
from tests.conftest import install_zanith

ROLE = "adoption_owner"
DOCUMENT = ROOT / "docs" / "adoption.md"
BEGIN, END = "<!-- measured by make adoption -->\n", "<!-- end of what was measured -->\n"


@dataclass
class Line:
    """A line of the table; `outcome` is None where the tool did not run."""

    tool: Tool
    outcome: Outcome | None
    said: str = ""

    @property
    def good(self) -> bool:
        return self.outcome is None or self.outcome.lost_nothing

    def cells(self) -> list[str]:
        if self.outcome is None:
            return [self.tool.name, *["-"] * 7, f"not run: {self.said}"]
        one = self.outcome
        said = [f"refused: {text}" for text in one.refused]
        if one.by_hand:
            said.append(f"restored after {', '.join(one.by_hand)}")
        if one.not_back:
            said.append(f"not back: {_in_short(one.not_back)}")
        if one.faults:
            said.append(f"FAILED: {one.faults[0].partition(chr(10))[0].rstrip(':')}")
        numbers = [str(n) for n in (one.dropped, one.captured, one.restored)]
        shown = "shown" if one.notices else "not shown"
        ids = VARIES.sub("…", one.migration)
        return [one.tool, one.version, *numbers, ids, shown, one.refusal, "; ".join(said)]


def _in_short(names: list[str]) -> str:
    """Return a few names as they are, many as the number of each kind."""
    if len(names) <= 5:
        return ", ".join(sorted(names))
    kinds = Counter(re.match(r"[A-Z ]+\b", name)[0].strip() for name in names)  # type: ignore[index]
    return ", ".join(f"{number} × {kind}" for kind, number in sorted(kinds.items()))


def run_one(server: clusters.Server, template: str, tool: Tool, directory: Path) -> Line:
    """Run one tool, and tell about it at once."""
    print(f"{tool.name} …", file=sys.stderr, flush=True)
    try:
        version = tool.version() or clusters.release_of(server.version)
    except NotInstalled as error:
        return Line(tool, None, str(error))
    try:
        outcome = run_tool(server, template, tool, ROLE, directory, version)
    except Exception:  # noqa: BLE001 - a tool that breaks must not hide the others
        outcome = Outcome(tool.name, version, faults=[traceback.format_exc()])
    for fault in outcome.faults:
        print(f"{tool.name}: {fault}\n", flush=True)
    return Line(tool, outcome)


def table(lines: list[Line], version: int) -> str:
    """Return the table of all tools, as Markdown."""
    heads = [
        "tool",
        "version",
        "dropped",
        "captured",
        "restored",
        "migration id",
        "notices",
        "a refusal",
        "remarks",
    ]
    rows = [heads, ["---"] * len(heads), *(line.cells() for line in lines)]
    text = "\n".join(f"| {' | '.join(c.replace('|', '/') for c in row)} |" for row in rows)
    return f"PostgreSQL {clusters.release_of(version)}:\n\n{text}\n"


def run_version(version: int, tools: list[Tool], workers: int) -> list[Line]:
    """Run the tools on a server of a version, so many at a time."""
    directory = clusters.create_run_directory(in_memory=True)
    reaper = clusters.start_reaper(directory)
    try:
        server = clusters.obtain_server(directory, version)
        template = clusters.obtain_template(directory, server, install_zanith)
        server.psql("postgres", f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        with (
            tempfile.TemporaryDirectory(prefix="adoption-") as work,
            ThreadPoolExecutor(workers) as pool,
        ):
            directories = [Path(work) / str(number) for number in range(len(tools))]
            return list(pool.map(partial(run_one, server, template), tools, directories))
    finally:
        reaper.communicate(timeout=60)


def write(tables: list[str]) -> None:
    """Put the tables into the document, between their marks."""
    text = DOCUMENT.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{DOCUMENT.name} has no place for the table")
    DOCUMENT.write_text(f"{head}{BEGIN}\n" + "\n".join(tables) + f"\n{END}{tail}", "utf-8")


def main() -> int:
    """Run the tools; the exit status is 1 where one lost something or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.adoption", description=__doc__)
    parser.add_argument("--tools", default="", help="parts of names, such as knex,alembic")
    parser.add_argument("--versions", default="18", help="major versions, such as 15,18")
    parser.add_argument("--workers", type=int, default=2, help="so many tools at a time")
    parser.add_argument("--write", action="store_true", help="put the table into docs/adoption.md")
    options = parser.parse_args()
    words = [word.strip().lower() for word in options.tools.split(",") if word.strip()]
    tools = [t for t in TOOLS if not words or any(word in t.name.lower() for word in words)]
    if not tools:
        parser.error(f"no such tool; there is {', '.join(tool.name for tool in TOOLS)}")
    good, tables = True, []
    for version in clusters.choose_versions(options.versions, clusters.find_versions()):
        lines = run_version(version, tools, options.workers)
        good &= all(line.good for line in lines)
        tables.append(table(lines, version))
    print("\n".join(tables))
    if options.write:
        write(tables)
    return 0 if good else 1
