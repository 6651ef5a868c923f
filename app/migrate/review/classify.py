"""A statement as operations: what each does, as far as the text says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import Statement
from app.migrate.review.alter_table import judge_alter_table
from app.migrate.review.facts import Fact
from app.migrate.review.operations import Context, build, following
from app.migrate.review.other import JUDGES
from app.migrate.review.other_facts import OPAQUE, STATEMENTS
from app.migrate.risk import By, Operation, Recovery

_UNKNOWN = Fact("unknown", reasons=OPAQUE)


def classify(context: Context) -> list[Operation]:
    """Return the operations of a statement; BEGIN and COMMIT are none."""
    statement = context.steered.statement
    if statement.kind == "transaction_stmt":
        return []
    if statement.kind == "alter_table_stmt":
        found = _under_one_lock(list(judge_alter_table(context, statement.node)))
        if not context.guarded:
            found = _by_one_strategy(found)
    else:
        fact = STATEMENTS.get(statement.kind, _UNKNOWN)
        judge = JUDGES.get(statement.kind)
        node = statement.node
        found = list(judge(context, fact, node)) if judge else [build(context, fact, None)]
    steering = context.steered.steering
    return [
        replace(one, allowed=steering.allowed & one.reasons, reason=steering.reason)
        for one in found
    ]


def _under_one_lock(operations: Sequence[Operation]) -> list[Operation]:
    """Return the actions of one ALTER TABLE with the strongest of their locks."""
    modes = [lock.mode for one in operations for lock in one.locks[:1] if lock.table is not None]
    if not modes:
        return list(operations)
    strongest = max(modes)
    return [
        replace(
            one,
            reasons=one.reasons | set(following(strongest, scans=one.scans, rewrites=one.rewrites)),
        )
        for one in operations
    ]


def _by_one_strategy(operations: Sequence[Operation]) -> list[Operation]:
    """Return the drops of one ALTER TABLE with one strategy: the run replaces it as a whole."""
    strategies = {one.recovery.strategy for one in operations if _is_captured(one) and one.recovery}
    if len(strategies) < 2:
        return list(operations)
    return [
        replace(one, recovery=Recovery(By.CAPTURE, "soft")) if _is_captured(one) else one
        for one in operations
    ]


def _is_captured(operation: Operation) -> bool:
    recovery = operation.recovery
    return operation.kind == "drop_column" and recovery is not None and recovery.by is By.CAPTURE


# --------------------------------------------------------- statements that allow no transaction


def needs_no_transaction(statement: Statement) -> str | None:
    """Return the name of a statement that PostgreSQL refuses in a transaction; None for others."""
    node = statement.node
    test = _ALONE.get(statement.kind)
    return test(node) if test else None


def _vacuum(node: object) -> str | None:
    return "VACUUM" if getattr(node, "is_vacuumcmd", False) else None


def _concurrently(words: str) -> Callable[..., str | None]:
    return lambda node: f"{words} CONCURRENTLY" if node.concurrent else None


def _reindex(node: object) -> str | None:
    options = {item.def_elem.defname for item in getattr(node, "params", ())}
    whole = getattr(node, "kind", 0) not in {pg.REINDEX_OBJECT_INDEX, pg.REINDEX_OBJECT_TABLE}
    return "REINDEX of this form" if whole or "concurrently" in options else None


def _detach(node: object) -> str | None:
    for item in getattr(node, "cmds", ()):
        command = item.alter_table_cmd
        if (
            command.subtype == pg.AT_DetachPartition
            and getattr(command, "def").partition_cmd.concurrent
        ):
            return "DETACH PARTITION … CONCURRENTLY"
    return None


def _always(words: str) -> Callable[..., str | None]:
    return lambda _: words


_ALONE: dict[str, Callable[..., str | None]] = {
    "index_stmt": _concurrently("CREATE INDEX"),
    "drop_stmt": _concurrently("DROP INDEX"),
    "alter_table_stmt": _detach,
    "reindex_stmt": _reindex,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": lambda node: None if node.HasField("relation") else "CLUSTER of all tables",
    "createdb_stmt": _always("CREATE DATABASE"),
    "dropdb_stmt": _always("DROP DATABASE"),
    "create_table_space_stmt": _always("CREATE TABLESPACE"),
    "drop_table_space_stmt": _always("DROP TABLESPACE"),
    "alter_system_stmt": _always("ALTER SYSTEM"),
}


def statements_known() -> Iterator[str]:
    """Yield the statements that the tables of facts have."""
    yield from STATEMENTS
    yield from JUDGES
    yield from ("alter_table_stmt", "transaction_stmt")
