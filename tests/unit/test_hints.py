"""No hint, help text or document leads somebody into losing what was dropped, or what holds it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from app.recovery.inspection.remedies import REMEDIES

ROOT = Path(__file__).resolve().parents[2]
LOSES = re.compile(
    r"""\b(
        drop\ it\b | drop\ (these|them)\b(?!\ one\ after) | rename\ or\ drop | drop\ or\ change
        | DROP\ SCHEMA | DROP\ TABLE\ _zanith | DROP\ FUNCTION\ \{
        | DELETE\ FROM\ zanith\._zanith_(migration_artifacts|audit_log)
        | --older-than\ 0
    )""",
    re.VERBOSE | re.IGNORECASE,
)
FINAL = re.compile(
    r"zanith (recover (purge|cleanup|erase)|uninstall)\b.*(--yes|-y\b)|demo.*--fresh"
)


def hints_in_python() -> list[tuple[str, str]]:
    found = []
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                texts = [
                    n.value
                    for n in ast.walk(node.value)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                ]
                found.append((f"{path.name}:{node.value.lineno}", "".join(texts)))
    return found


def test_no_hint_leads_to_loss():
    hints = hints_in_python()
    assert len(hints) > 150
    hints += REMEDIES.items()
    hints += [
        (f"{path.name}:{number}", line)
        for path in sorted((ROOT / "migrations" / "functions").rglob("*.sql"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "_refuse(" in line or "_conflict(" in line or line.strip().startswith("'")
    ]
    assert [(place, text) for place, text in hints if LOSES.search(text)] == []


@pytest.mark.parametrize(
    "text", ["drop it, or install as that role", "Rename or drop it, then restore."]
)
def test_what_leads_to_loss_is_seen(text):
    assert LOSES.search(text)


def test_no_example_deletes_without_a_question():
    """Those who copy an example are asked, or see a dry run; cron lines take what is expired."""
    places = [
        *(ROOT / "app" / "cli").rglob("*.py"),
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    lines = [(path.name, line) for path in places for line in path.read_text().splitlines()]
    bad = [
        (name, line)
        for name, line in lines
        if FINAL.search(line) and "cleanup --expired" not in line and "--fresh starts" not in line
    ]
    assert bad == []
