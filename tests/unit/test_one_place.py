"""Facts that have one home: a second copy of one of them fails here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from app.recovery.core.options import options_of
from app.recovery.core.strategies import (
    ARCHIVE,
    DEFINITION,
    DROPS,
    OF_COLUMNS,
    VALUES,
    Strategy,
)
from app.recovery.jobs.kinds import Kind
from app.recovery.plan.model import Choices

ROOT = Path(__file__).parents[2]
LISTS = ast.Set | ast.List | ast.Tuple
# A list in parentheses or brackets, as SQL and templates write one.
SQL_LIST = re.compile(r"[(\[]\s*((?:'\w+'|\"\w+\")(?:\s*,\s*(?:'\w+'|\"\w+\"))+)\s*[)\]]")


def sources(*folders: str, suffix: str) -> list[Path]:
    return [file for folder in folders for file in sorted((ROOT / folder).rglob(f"*{suffix}"))]


def is_list_of_kinds(words: list[str]) -> bool:
    return len(words) > 1 and set(words) <= set(Kind)


def test_kinds_of_jobs_are_listed_once():
    found = []
    for file in sources("app", suffix=".py"):
        source = file.read_text("utf-8")
        if sum(f'"{kind}"' in source for kind in Kind) < 2:
            continue  # to read its syntax takes long, and no list of kinds is in it
        tree = ast.parse(source)
        # the audit log's actions are others, which share some names
        actions = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare)
            for part in node.comparators
            if isinstance(part, LISTS) and "action" in ast.unparse(node.left)
        }
        for node in ast.walk(tree):
            if isinstance(node, LISTS) and id(node) not in actions:
                words = [part.value for part in node.elts if isinstance(part, ast.Constant)]
                if len(words) == len(node.elts) and is_list_of_kinds(words):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {words}")
    texts = [
        *sources("migrations/functions", "app/recovery/queries", suffix=".sql"),
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
        if re.search(r"\bSQL\b", file.read_text("utf-8"))
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
        "require_change": ["actor", "model", "operation", "queueing", "worker"],
        "check_words": ["actor", "operation", "queueing"],
    }


def test_a_template_takes_the_label_of_an_option_from_the_option():
    labels = [re.escape(item.label) for item in options_of(Choices) if item.label]
    written = re.compile(rf">(?:{'|'.join(labels)})<")
    found = [
        f"{file.relative_to(ROOT)}: {copy[0]}"
        for file in sources("app/templates", suffix=".html")
        for copy in written.finditer(file.read_text("utf-8"))
    ]
    assert len(labels) > 5
    assert found == []


# A kind of constraint by its letter in pg_constraint, or by its name in a definition.
KIND_OF_CONSTRAINT = re.compile(
    r"contype\s*(?:=|<>|IN)\s*\(?'+\w'|CASE [\w.]*contype WHEN"
    r"|kind'\s*(?:=|<>|IN)\s*\(?'(?:check|primary key|unique|exclude|foreign key)'"
    r"|@\.kind == \"|'primary key'|'exclude'"
)
KINDS_OF_CONSTRAINTS = "lib/constraint_kinds.sql"


def test_kinds_of_constraints_are_named_in_one_file():
    """Scripts run without it."""
    root = ROOT / "migrations" / "functions"
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.sql")
        if KIND_OF_CONSTRAINT.search(file.read_text("utf-8"))
    }
    without_zanith = {"render/constraint.sql", "restore/script.sql", "restore/table.sql"}
    assert found == {KINDS_OF_CONSTRAINTS, *without_zanith}


def test_facts_about_constraints_are_those_of_the_table_of_kinds():
    """A misspelt fact is true of no kind."""
    root = ROOT / "migrations" / "functions"
    home = (root / KINDS_OF_CONSTRAINTS).read_text("utf-8")
    lists = re.findall(r"ARRAY\[(.*?)\]", home)
    known = {word for words in lists for word in re.findall(r"\w+", words)}
    asked = {
        fact
        for file in root.rglob("*.sql")
        for fact in re.findall(
            r"_letters_of\('(\w+)'\)|_constraint_is\([\w.]+, '(\w+)'\)|'(\w+)' = ANY \(\w\.facts\)",
            file.read_text("utf-8"),
        )
    }
    described = set(re.findall(r"^--   (\w+)  ", home, re.MULTILINE))
    assert {word for words in asked for word in words if word} == known == described


STRATEGIES = "lib/strategies.sql"


def facts_about_strategies() -> dict[str, set[str]]:
    """Return the facts of each strategy, as the table of SQL says them."""
    home = (ROOT / "migrations" / "functions" / STRATEGIES).read_text("utf-8")
    rows = re.findall(r"\('(\w+)', ARRAY\[(.*?)\]\)", home)
    return {name: set(re.findall(r"\w+", facts)) for name, facts in rows}


def test_sql_and_python_say_the_same_of_each_strategy():
    facts = facts_about_strategies()
    assert set(facts) == set(Strategy)
    for fact, names in {
        "column": OF_COLUMNS, "drops": DROPS, "values": VALUES, "archive": ARCHIVE,
        "definition": DEFINITION,
    }.items():  # fmt: skip
        assert {name for name in facts if fact in facts[name]} == set(names), fact


def test_facts_about_strategies_are_those_of_the_table():
    """A misspelt fact is true of no strategy."""
    asked = {
        fact
        for folder in ("migrations/functions", "app/recovery/queries")
        for file in sources(folder, suffix=".sql")
        for call in re.findall(
            r"_strategy_is\([^,]+, ('\w+')\)|_strategies_of\(('.*?')\)", file.read_text("utf-8")
        )
        for fact in re.findall(r"\w+", "".join(call))
    }
    home = (ROOT / "migrations" / "functions" / STRATEGIES).read_text("utf-8")
    described = set(re.findall(r"^--   (\w+)  ", home, re.MULTILINE))
    assert asked == described == set.union(*facts_about_strategies().values())


def test_strategies_are_listed_in_one_file():
    """One by itself is what a statement is about; two are a list, which a new one would miss."""
    home = {"strategies.sql", "strategies.py"}
    found = [
        f"{file.relative_to(ROOT)}: {listed[0]}"
        for folder in ("app", "migrations/functions")
        for suffix in (".sql", ".py", ".html")
        for file in sources(folder, suffix=suffix)
        if file.name not in home
        for listed in SQL_LIST.finditer(file.read_text("utf-8"))
        if len(set(re.findall(r"\w+", listed[1])) & set(Strategy)) > 1
    ]
    assert found == []
