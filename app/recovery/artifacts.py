"""What the outer parts know of artifacts: list them, get one, inspect it, look at its rows."""

from app.recovery.artifact import DAMAGED, HEALTHS, TYPES, Artifact, Health
from app.recovery.inspection import (
    Column,
    Inspection,
    Preview,
    find_columns,
    inspect,
    preview_rows,
)
from app.recovery.listing import (
    ArtifactFilter,
    Page,
    States,
    Summary,
    count_purged,
    count_states,
    list_artifacts,
    summarize,
    summary_holds,
)
from app.recovery.lookup import find_latest, find_migration, get_artifact

__all__ = [
    "DAMAGED",
    "HEALTHS",
    "TYPES",
    "Artifact",
    "ArtifactFilter",
    "Column",
    "Health",
    "Inspection",
    "Page",
    "Preview",
    "States",
    "Summary",
    "count_purged",
    "count_states",
    "find_columns",
    "find_latest",
    "find_migration",
    "get_artifact",
    "inspect",
    "list_artifacts",
    "preview_rows",
    "summarize",
    "summary_holds",
]
