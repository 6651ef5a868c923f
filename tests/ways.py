"""Every code of a conflict is known here, and a page says of each conflict what to do about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.plan.parsing import parse_conflicts
from app.routes.chosen import Chosen
from app.routes.ways import Asker

FUNCTIONS = Path(__file__).resolve().parent.parent / "migrations" / "functions"

# What stands at a conflict: "choice" is a button for an option of the command line, "without" one
# that leaves a part out, "first" one that leads to the artifact to restore before it, and "hand"
# the hint alone, which says what to do in the database. Some codes have several forms.
CODES = {
    "archive_damaged": {"hand"},
    "archive_missing": {"hand"},
    "archive_moved": {"hand"},
    "attached_tables": {"hand"},
    "bad_name": {"choice"},
    "bound_taken": {"hand"},
    "child_changed": {"hand"},
    "children_have_it": {"hand"},
    "code_of_another": {"without", "choice", "hand"},
    "column_changed": {"hand"},
    "column_gone": {"without", "first", "hand"},
    "column_renamed": {"without", "hand"},
    "dependency_gone": {"without", "first", "hand"},
    "dependency_renamed": {"without"},
    "dependents": {"hand", "first"},
    "function_exists": {"hand"},
    "grantee_missing": {"without", "hand"},
    "held": {"hand"},
    "key_gone": {"first", "without", "hand"},
    "key_needed": {"hand"},
    "key_takes_null": {"without"},
    "name_taken": {"choice", "without", "hand"},
    "needs_value": {"choice"},
    "not_online": {"choice", "hand"},
    "not_permitted": {"without", "hand"},
    "null_in_key": {"choice"},
    "other_choices": {"choice"},
    "owner_changed": {"choice"},
    "owner_missing": {"hand"},
    "parent_changed": {"hand"},
    "parent_gained_column": {"hand"},
    "parent_lost_column": {"hand"},
    "primary_key_taken": {"without"},
    "publication_changed": {"without"},
    "publication_gone": {"without"},
    "rebuilt": {"hand"},
    "restored": {"hand"},
    "role_missing": {"without"},
    "row_security": {"hand"},
    "rules": {"hand"},
    "schema_gone": {"choice", "hand"},
    "seal_broken": {"hand"},
    "several_owners": {"choice", "without", "hand"},
    "table_gone": {"without", "first", "hand"},
    "table_of_another": {"without", "hand"},
    "table_parked": {"first"},
    "table_replaced": {"hand"},
    "tablespace_gone": {"without"},
    "too_many_columns": {"hand"},
    "triggers_fire": {"choice"},
    "type_missing": {"choice", "hand"},
}

_NOTHING = dict.fromkeys(Artifact.__dataclass_fields__)
_ARTIFACT = Artifact(
    **{**_NOTHING, "id": "a" * 12, "source_schema": "s", "source_table": "t", "held": False}  # type: ignore[arg-type]
)


def codes_in_sql() -> set[str]:
    """Return the codes that the functions of the database give to conflicts."""
    return {
        code
        for file in FUNCTIONS.rglob("*.sql")
        for code in re.findall(
            r"_conflict\((?:CASE WHEN .*? ELSE )?'([a-z_]+)'", file.read_text("utf-8")
        )
    }


def check_conflicts(items: list[dict[str, Any]], choices: Chosen | None = None) -> None:
    """Raise AssertionError where a page would leave somebody alone with a conflict."""
    asker = Asker(_ARTIFACT, choices or Chosen())
    for conflict in parse_conflicts(items):
        known = CODES[conflict.code]
        ways = asker.ways(conflict)
        offered = {
            way
            for way, there in (
                ("choice", conflict.choices),
                ("without", conflict.without),
                ("first", conflict.waits_for),
            )
            if there
        }
        assert offered <= known, f"{conflict.code} offers {offered}: {conflict}"
        assert len(ways) >= len(offered), f"no button for {offered}: {conflict}"
        assert ways or conflict.hint, f"nothing says what to do: {conflict}"
