"""What a plan predicted for a statement, compared with what PostgreSQL did."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.migrate.observe.catalog import SQL, Catalog, Object, own_path
from app.migrate.observe.look import Observed
from app.migrate.review.world import relations_in
from app.migrate.risk import Family, Lock, Mode, Operation, Reason
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection

EVERY = "any table"
# Statements about rows may fail on the rows by what they are.
OF_ROWS = frozenset({"insert", "update", "delete", "delete_all", "merge", "truncate", "copy"})
MAY_FAIL = frozenset(
    reason
    for reason in Reason
    if reason.about.family is Family.FAILURE or reason is Reason.NARROWS_TYPE
)


@dataclass(frozen=True)
class Predicted:
    """What the operations of a statement say together."""

    operations: Sequence[Operation]
    named: frozenset[str]
    """The tables that the statement names, as it names them."""

    @classmethod
    def of(cls, operations: Sequence[Operation], nodes: Iterable[Any]) -> Predicted:
        """Return the prediction of operations, whose statement the parser gave as nodes."""
        named = {quote(parts) for node in nodes for parts in relations_in(node)}
        return cls(operations, frozenset(named))

    @property
    def reasons(self) -> frozenset[Reason]:
        return frozenset().union(*(one.reasons for one in self.operations))

    @property
    def locks(self) -> list[Lock]:
        return [lock for one in self.operations for lock in one.locks]

    @property
    def scans(self) -> bool:
        return any(one.scans or one.rewrites for one in self.operations)

    @property
    def rewrites(self) -> bool:
        return any(one.rewrites for one in self.operations)

    @property
    def may_fail(self) -> bool:
        if self.reasons & (MAY_FAIL | {Reason.OPAQUE}):
            return True
        return any(one.kind in OF_ROWS for one in self.operations)


@dataclass(frozen=True)
class Names:
    """How statements can name the tables: which schemas need no name, and which tables are below.

    `above` has the partitioned tables and parents of each partition and child.
    """

    path: Collection[str] = ("public",)
    above: Mapping[Object, frozenset[Object]] = field(default_factory=dict)

    def means(self, text: str, table: Object) -> bool:
        """Whether a name in a statement can mean the table."""
        schema, *rest = table.names
        return text == quote(table.names) or (schema in self.path and text == quote(rest))

    def below(self, text: str, table: Object) -> bool:
        """Whether the table is a partition or child of the one that is named."""
        return any(self.means(text, above) for above in self.above.get(table, ()))


async def read_names(
    connection: Connection, catalog: Catalog, path: Collection[str] = ("public",)
) -> Names:
    """Return the names of the tables; it needs no rights."""
    async with own_path(connection):
        rows = await connection.fetch(SQL["inheritance"])
    above: dict[Object, set[Object]] = {}
    for row in rows:
        below, top = catalog.relation(row["below"]), catalog.relation(row["top"])
        if below is not None and top is not None:
            above.setdefault(below, set()).add(top)
    return Names(path, {below: frozenset(tops) for below, tops in above.items()})


def compare(names: Names, predicted: Predicted, observed: Observed) -> Iterator[str]:
    """Yield what PostgreSQL did and the plan does not say."""
    for table, mode in sorted(observed.locks.items(), key=lambda item: item[0].names):
        said = _mode(names, predicted, table)
        if said is None or mode > said:
            yield f"lock {mode.word} on {table.name}, predicted {said.word if said else 'none'}"
    truncates = Reason.TRUNCATES in predicted.reasons
    # TRUNCATE builds the indexes of the new, empty files
    scanned = observed.scanned - (observed.rewritten if truncates else frozenset())
    if Reason.REQUIRED_COLUMN in predicted.reasons:  # it fails at the first row
        scanned = frozenset()
    if scanned and not predicted.scans:
        yield f"scan of {_list(scanned)}"
    if observed.rewritten and not (predicted.rewrites or truncates):
        yield f"rewrite of {_list(observed.rewritten)}"
    worked = scanned or (observed.rewritten and predicted.rewrites)
    strongest = max(observed.locks.values(), default=Mode.ACCESS_SHARE)
    if worked and strongest.blocks_writes and Reason.BLOCKS_WRITES not in predicted.reasons:
        yield "blocks writes"
    if worked and strongest.blocks_reads and Reason.BLOCKS_READS not in predicted.reasons:
        yield "blocks reads"
    yield from _dropped(predicted, observed)


_DROPS: dict[str, frozenset[Reason]] = {
    "table": frozenset({Reason.DROPS_TABLE}),
    "table column": frozenset({Reason.DROPS_COLUMN, Reason.DROPS_TABLE}),
    "index": frozenset({Reason.DROPS_DEFINITION, Reason.DROPS_TABLE, Reason.DROPS_COLUMN}),
    "table constraint": frozenset(
        {Reason.DROPS_DEFINITION, Reason.DROPS_TABLE, Reason.DROPS_COLUMN}
    ),
}


def _dropped(predicted: Predicted, observed: Observed) -> Iterator[str]:
    # what a capture drops is in its artifact
    if Reason.OPAQUE in predicted.reasons or any(
        one.kind.startswith("capture_") for one in predicted.operations
    ):
        return
    # changes of a type make constraints and indexes anew; a partition leaves those of its parent
    anew = Reason.CHANGES_TYPE in predicted.reasons or any(
        one.kind == "detach_partition" for one in predicted.operations
    )
    for kind, reasons in _DROPS.items():
        if anew and kind in {"index", "table constraint"}:
            continue
        lost = [one for one in observed.dropped if one.kind == kind and not one.part]
        if lost and not reasons & predicted.reasons:
            yield f"drop of {_list(lost)}"


def _list(objects: Iterable[Object]) -> str:
    return ", ".join(str(one) for one in sorted(objects, key=lambda one: one.names))


def _mode(names: Names, predicted: Predicted, table: Object) -> Mode | None:
    modes = [lock.mode for lock in predicted.locks if _covers(names, predicted, lock, table)]
    return max(modes, default=None)


def _covers(names: Names, predicted: Predicted, lock: Lock, table: Object) -> bool:
    if lock.table is not None and names.means(lock.table, table):
        return True
    if lock.table is not None:
        below = names.below(lock.table, table)
        return (below and bool(lock.which)) or lock.which.startswith("or more")
    # what only the database knows, such as a table of a foreign key, is no table that is named
    named = any(names.means(name, table) for name in predicted.named)
    return not named or lock.which == EVERY or "index" in lock.which
