"""One artifact, as every interface shows it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from app.recovery.core.names import quote
from app.recovery.core.strategies import ARCHIVE, VALUES
from app.recovery.queries import fill, load, places

BLOCKS = load("artifacts")

Health = Literal["ok", "unsealed", "missing", "changed", "moved", "expired"]
HEALTHS = ("ok", "unsealed", "missing", "changed", "moved", "expired")
DAMAGED = ("missing", "changed", "moved")
_TIMES = ("sealed_at", "verified_at", "created_at", "expires_at", "restored_at")

_STAYS = {
    "soft_drop_column": "the rows of the table stay; the values of this column are deleted",
    "archive_rows": "the table and the rows that it has now stay; the archived rows are deleted",
    "rebuild_table": "the rebuilt table stays; the record of the old table is deleted",
    "keep_definition": "nothing else changes; only the record of the definition is deleted",
}


@dataclass(frozen=True)
class Artifact:
    """One row, as every interface shows it; sizes in bytes."""

    id: str
    migration_id: str | None
    artifact_type: str
    status: str
    health: str
    source_schema: str
    source_table: str
    source_column: str | None
    physical_schema: str | None
    physical_name: str | None
    row_count: int | None
    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: str | None
    sealed_at: datetime | None
    verified_at: datetime | None
    reason: str | None
    created_at: datetime
    created_by: str
    created_by_role: str | None
    expires_at: datetime | None
    held: bool
    held_by: str | None
    held_by_role: str | None
    held_reason: str | None
    restored_at: datetime | None
    restored_by: str | None
    restored_by_role: str | None
    kept_kind: str | None = None
    """What a kept definition is of, such as view or index; None for tables and columns."""
    kept_name: str | None = None
    """The name of such an object, as PostgreSQL's own messages have it."""
    cascade_of: str | None = None
    """The artifact whose cascade took it along."""
    unfinished: str | None = None
    """What an online form has begun and not done: archiving or restoring."""
    seal_broken: bool = False
    """Whether the last verification found another checksum; in JSON, health says it."""

    @property
    def gone_again(self) -> bool:
        """Whether it was restored and dropped again by hand, while its archive stands."""
        return self.status == "recoverable" and self.restored_at is not None

    @property
    def object_name(self) -> str:
        """schema.table[.column] as it was, quoted where PostgreSQL quotes; or kept_name."""
        if self.kept_name is not None:
            return self.kept_name
        parts = (self.source_schema, self.source_table, self.source_column)
        return quote([part for part in parts if part is not None])

    @property
    def title(self) -> str:
        """The name, after what a kept definition is of: lists show tables and columns too."""
        return " ".join(filter(None, (self.kept_kind, self.object_name)))

    @property
    def archives_column(self) -> bool:
        """Whether its archive has the values of a column, by their key."""
        return self.artifact_type in VALUES

    @property
    def keeps_archive(self) -> bool:
        """Whether its archive stays after the restore: values or rows that were copied back."""
        return self.artifact_type in ARCHIVE

    @property
    def holds_rows(self) -> bool:
        """Whether rows or values of it are parked: not where it is live again, or was recorded."""
        live_again = self.status == "restored" and not self.keeps_archive
        return self.physical_name is not None and not live_again

    @property
    def unsealed(self) -> bool:
        """Whether no checksum tells a change of its rows; a column in live rows never has one."""
        return (
            self.holds_rows and self.sealed_at is None and self.artifact_type != "soft_drop_column"
        )

    @property
    def purged_part(self) -> str | None:
        """What a purge takes of an object that is live again: its archive, or the record alone."""
        if self.status != "restored":
            return None
        return "archive" if self.keeps_archive else "record"

    @property
    def stays(self) -> str | None:
        """What a purge leaves in the live schema; None where nothing of the object is there."""
        kind = "table" if self.source_column is None else "column"
        if self.purged_part is not None and self.kept_kind is None:
            only = "its archive is deleted" if self.purged_part == "archive" else "this record goes"
            return f"the restored {kind} and its rows stay; only {only}"
        if self.artifact_type in _STAYS:
            return _STAYS[self.artifact_type]
        if self.source_column is not None:
            return "the rows of the table stay; the archived values are deleted"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the keys that the CLI and the API promise; times in ISO 8601."""
        names = [field.name for field in fields(self) if field.name != "seal_broken"]
        data = {name: getattr(self, name) for name in names}
        for key in _TIMES:
            data[key] = data[key].isoformat() if data[key] else None
        return data


def compose(template: str, **parts: str) -> str:
    """Return a template with its places filled: by the parts, else by blocks of artifacts.sql."""
    blocks = {name: compose(BLOCKS[name]) for name in places(template) - set(parts)}
    return fill(template, **blocks, **parts)


def from_row(row: Any) -> Artifact:
    """Return the artifact of a row that has the columns of artifacts.sql."""
    known = {field.name for field in fields(Artifact)}
    data = {key: value for key, value in dict(row).items() if key in known}
    name = row["physical_table"]
    if row["artifact_type"] == "soft_drop_column":
        name = row["physical_column"]
    return Artifact(
        **data,
        physical_name=name,
        checksum_algorithm="sha256" if row["checksum"] else None,
        held=row["held_by"] is not None,
        seal_broken=row["verified_ok"] is False,
    )
