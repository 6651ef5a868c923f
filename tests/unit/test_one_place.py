"""Facts that have one home: a second copy of one of them fails here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from app.recovery.kinds import Kind

ROOT = Path(__file__).parents[2]
# A list in parentheses or brackets, as SQL and templates write one.
SQL_LIST = re.compile(r"[(\[]\s*((?:'\w+'|\"\w+\")(?:\s*,\s*(?:'\w+'|\"\w+\"))+)\s*[)\]]")


def sources(*folders: str, suffix: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob(f"*{suffix}"))]


def is_list_of_kinds(words: list[str]) -> bool:
    return len(words) > 1 and set(words) <= set(Kind)


def test_kinds_of_jobs_are_listed_once():
    found = []
    for file in sources("app", suffix=".py"):
        tree = ast.parse(file.read_text("utf-8"))
        # the audit log's actions are others, which share some names
        actions = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare) and "action" in ast.unparse(node.left)
            for part in node.comparators
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Set | ast.List | ast.Tuple) and id(node) not in actions:
                words = [part.value for part in node.elts if isinstance(part, ast.Constant)]
                if len(words) == len(node.elts) and is_list_of_kinds(words):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {words}")
    texts = [
        *sources("migrations/functions", "app/recovery/sql", suffix=".sql"),
        *sources("app/templates", suffix=".html"),
    ]
    for file in texts:
        for line, text in enumerate(file.read_text("utf-8").splitlines(), 1):
            for match in SQL_LIST.finditer(text):
                words = re.findall(r"\w+", match.group(1))
                if is_list_of_kinds(words) and "action IN" not in text[: match.start() + 1]:
                    found.append(f"{file.relative_to(ROOT)}:{line}: {words}")
    assert not found, found


def test_one_function_opens_the_database_as_the_settings_say():
    """The demo has no settings to heed: its data are made up."""
    found = [
        str(file.relative_to(ROOT))
        for file in sources("app", suffix=".py")
        if "Database.open(" in file.read_text("utf-8")
    ]
    assert found == ["app/demo/story.py", "app/settings.py"]


def test_sizes_are_written_by_one_function():
    """The studio's script sums what is ticked, and a test of the browser compares the two."""
    found = [
        str(file.relative_to(ROOT))
        for file in sources("app", suffix=".py")
        if '"kB"' in file.read_text("utf-8")
    ]
    assert found == ["app/text.py"]


def test_each_module_loads_the_sql_that_it_uses():
    """Reached through a neighbour, a statement has no place that one could look for."""
    found = [
        f"{file.relative_to(ROOT)}: {alias.name} of {node.module}"
        for file in sources("app", suffix=".py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app.recovery.")
        for alias in node.names
        if alias.name == "SQL"
    ]
    assert found == []


def test_one_preamble_checks_the_rights_and_audits():
    """Work on jobs themselves (to cancel, pause or queue one) checks the rights for itself."""
    found = {
        name: [
            file.stem
            for file in sources("app", suffix=".py")
            if f"{name}(" in file.read_text("utf-8")
        ]
        for name in ("recording_failure", "require_change", "check_words")
    }
    assert found == {
        "recording_failure": ["audit", "operation"],
        "require_change": ["database", "jobs", "operation", "queueing", "worker"],
        "check_words": ["database", "operation", "queueing"],
    }
