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
from datetime import UTC, datetime
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
            return [self.tool.name, *["-"] * (len(HEADS) - 2), f"not run: {self.said}"]
        one = self.outcome
        said = [f"refused: {text}" for text in one.refused]
        if one.by_hand:
            said.append(f"restored after {', '.join(one.by_hand)}")
        if one.not_back:
            said.append(f"not back: {_in_short(one.not_back)}")
        if one.faults:
            said.append(f"FAILED: {one.faults[0].partition(chr(10))[0].rstrip(':')}")
        numbers = [
            str(n) for n in (one.dropped, one.retyped, one.captured, one.restored, one.definitions)
        ]
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


HEADS = [
    "tool",
    "version",
    "dropped",
    "retyped",
    "captured",
    "restored",
    "definitions",
    "migration id",
    "notices",
    "a refusal",
    "remarks",
]


def table(lines: list[Line], version: int, before: dict[str, list[str]]) -> str:
    """Return the table of all tools, as Markdown; one that did not run keeps its row of before."""
    here = {line.tool.name: line for line in lines}
    rows = [HEADS, ["---"] * len(HEADS)]
    for tool in TOOLS:
        line = here.get(tool.name)
        if line and (line.outcome or tool.name not in before):
            rows.append(line.cells())
        elif tool.name in before:
            rows.append(before[tool.name])
    text = "\n".join(f"| {' | '.join(c.replace('|', '/') for c in row)} |" for row in rows)
    return f"PostgreSQL {clusters.release_of(version)}, on {today()}:\n\n{text}\n"


def today() -> str:
    """Return the day on which the tools are run."""
    return datetime.now(tz=UTC).date().isoformat()


def measured_before(text: str) -> dict[str, list[str]]:
    """Return the rows of the document by tool; one of another day says when it was measured."""
    rows: dict[str, list[str]] = {}
    day, heads = "", HEADS
    for line in text.partition(BEGIN)[2].partition(END)[0].splitlines():
        if found := re.match(r"PostgreSQL .*, on (.*):$", line):
            day = found[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "tool":
            heads = cells
        elif line.startswith("| ") and not cells[-1].startswith(("---", "not run")):
            one = dict(zip(heads, cells, strict=True))
            if day not in ("", today()) and not one["remarks"].startswith("measured "):
                one["remarks"] = f"measured on {day}; {one['remarks']}".removesuffix("; ")
            rows[cells[0]] = [one.get(head, "-") for head in HEADS]
    return rows


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
    before = measured_before(DOCUMENT.read_text("utf-8")) if options.write else {}
    good, tables = True, []
    for version in clusters.choose_versions(options.versions, clusters.find_versions()):
        lines = run_version(version, tools, options.workers)
        good &= all(line.good for line in lines)
        tables.append(table(lines, version, before))
    print("\n".join(tables))
    if options.write:
        write(tables)
    return 0 if good else 1
