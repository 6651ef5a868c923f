"""The actions of ALTER TABLE: the one table of what PostgreSQL does for each.

The locks are those of AlterTableGetLockLevel in PostgreSQL's tablecmds.c. Where the definition of a
column or constraint decides, `alter_table.py` refines the fact.
"""

from __future__ import annotations

from postgast import pg_query_pb2 as pg

from app.migrate.review.facts import DEFINITION, LOST, OLD_VALUES, Fact
from app.migrate.risk import By, Level, Mode, Reason, Recovery

FULL = Mode.ACCESS_EXCLUSIVE
TRIGGERS = Mode.SHARE_ROW_EXCLUSIVE
GENTLE = Mode.SHARE_UPDATE_EXCLUSIVE


def _of(*reasons: Reason) -> frozenset[Reason]:
    return frozenset(reasons)


_EXPAND = (
    "add a column of the new type, fill it in batches, let clients use it, and capture the old"
    " column later"
)
_NOT_NULL = (
    "add CHECK (column IS NOT NULL) NOT VALID, validate it in another transaction, then SET NOT"
    " NULL: PostgreSQL does not scan again"
)

ALTER_TABLE: dict[int, Fact] = {
    pg.AT_AddColumn: Fact("add_column", FULL, children=True),
    pg.AT_DropColumn: Fact(
        "drop_column",
        FULL,
        reasons=_of(Reason.DROPS_COLUMN),
        hint="capture it: zanith rewrite, or zanith guard on",
        children=True,
        recovery=Recovery(By.CAPTURE, "archive"),
    ),
    pg.AT_AlterColumnType: Fact(
        "alter_column_type",
        FULL,
        rewrites=True,
        reasons=_of(Reason.CHANGES_TYPE, Reason.NARROWS_TYPE),
        hint=_EXPAND,
        children=True,
        recovery=OLD_VALUES,
    ),
    pg.AT_ColumnDefault: Fact("set_default", FULL, children=True),
    pg.AT_CookedColumnDefault: Fact("set_default", FULL, children=True),
    pg.AT_SetNotNull: Fact(
        "set_not_null",
        FULL,
        scans=True,
        reasons=_of(Reason.NOT_NULL),
        hint=_NOT_NULL,
        children=True,
    ),
    pg.AT_DropNotNull: Fact(
        "drop_not_null", FULL, reasons=_of(Reason.DROPS_DEFINITION), children=True
    ),
    pg.AT_SetExpression: Fact(
        "set_expression",
        FULL,
        rewrites=True,
        scans=True,
        reasons=_of(Reason.CHECK, Reason.NOT_NULL),
        hint="drop the column and add it again in a quiet time: both rewrite the table",
        children=True,
    ),
    pg.AT_DropExpression: Fact("drop_expression", FULL, children=True),
    pg.AT_SetStatistics: Fact("set_statistics", GENTLE, children=True),
    pg.AT_SetOptions: Fact("set_column_options", GENTLE, children=True),
    pg.AT_ResetOptions: Fact("set_column_options", GENTLE, children=True),
    pg.AT_SetStorage: Fact("set_storage", FULL, children=True),
    pg.AT_SetCompression: Fact("set_compression", FULL, children=True),
    pg.AT_AddIdentity: Fact("add_identity", FULL, children=True),
    pg.AT_SetIdentity: Fact("set_identity", FULL, children=True),
    pg.AT_DropIdentity: Fact("drop_identity", FULL, children=True, recovery=DEFINITION),
    pg.AT_AddConstraint: Fact("add_constraint", FULL, children=True),
    pg.AT_AlterConstraint: Fact("alter_constraint", FULL, children=True),
    pg.AT_ValidateConstraint: Fact("validate_constraint", GENTLE, scans=True, children=True),
    pg.AT_DropConstraint: Fact(
        "drop_constraint",
        FULL,
        reasons=_of(Reason.DROPS_DEFINITION),
        children=True,
        recovery=DEFINITION,
    ),
    pg.AT_ChangeOwner: Fact("change_owner", FULL),
    pg.AT_ClusterOn: Fact("set_cluster_index", GENTLE),
    pg.AT_DropCluster: Fact("set_cluster_index", GENTLE),
    pg.AT_SetLogged: Fact("set_logged", FULL, rewrites=True, reasons=_of(Reason.REPLICATION)),
    pg.AT_SetUnLogged: Fact(
        "set_unlogged",
        FULL,
        rewrites=True,
        reasons=_of(Reason.REPLICATION),
        hint="an unlogged table is empty after a crash, and replicas do not have its rows",
    ),
    pg.AT_DropOids: Fact("set_without_oids", FULL, children=True),
    pg.AT_SetAccessMethod: Fact("set_access_method", FULL, rewrites=True),
    pg.AT_SetTableSpace: Fact("set_tablespace", FULL, rewrites=True),
    pg.AT_SetRelOptions: Fact("set_table_options", GENTLE),
    pg.AT_ResetRelOptions: Fact("set_table_options", GENTLE),
    pg.AT_ReplaceRelOptions: Fact("set_table_options", FULL),
    pg.AT_EnableTrig: Fact("enable_trigger", TRIGGERS, children=True),
    pg.AT_EnableAlwaysTrig: Fact("enable_trigger", TRIGGERS, children=True),
    pg.AT_EnableReplicaTrig: Fact("enable_trigger", TRIGGERS, children=True),
    pg.AT_EnableTrigAll: Fact("enable_trigger", TRIGGERS, children=True),
    pg.AT_EnableTrigUser: Fact("enable_trigger", TRIGGERS, children=True),
    pg.AT_DisableTrig: Fact("disable_trigger", TRIGGERS, Level.MEDIUM, children=True),
    pg.AT_DisableTrigAll: Fact(
        "disable_trigger",
        TRIGGERS,
        Level.MEDIUM,
        hint="this turns foreign keys off too: use DISABLE TRIGGER USER",
        children=True,
    ),
    pg.AT_DisableTrigUser: Fact("disable_trigger", TRIGGERS, Level.MEDIUM, children=True),
    pg.AT_EnableRule: Fact("enable_rule", FULL),
    pg.AT_EnableAlwaysRule: Fact("enable_rule", FULL),
    pg.AT_EnableReplicaRule: Fact("enable_rule", FULL),
    pg.AT_DisableRule: Fact("disable_rule", FULL, Level.MEDIUM),
    pg.AT_AddInherit: Fact("inherit", FULL),
    pg.AT_DropInherit: Fact("no_inherit", FULL, Level.MEDIUM),
    pg.AT_AddOf: Fact("of_type", FULL),
    pg.AT_DropOf: Fact("not_of_type", FULL),
    pg.AT_ReplicaIdentity: Fact("replica_identity", FULL, reasons=_of(Reason.REPLICATION)),
    pg.AT_EnableRowSecurity: Fact("enable_row_security", FULL, reasons=_of(Reason.ROW_SECURITY)),
    pg.AT_DisableRowSecurity: Fact("disable_row_security", FULL, reasons=_of(Reason.ROW_SECURITY)),
    pg.AT_ForceRowSecurity: Fact("force_row_security", FULL, reasons=_of(Reason.ROW_SECURITY)),
    pg.AT_NoForceRowSecurity: Fact("force_row_security", FULL, reasons=_of(Reason.ROW_SECURITY)),
    pg.AT_GenericOptions: Fact("set_foreign_options", FULL),
    pg.AT_AlterColumnGenericOptions: Fact("set_foreign_options", FULL, children=True),
    pg.AT_AttachPartition: Fact(
        "attach_partition",
        FULL,
        scans=True,
        reasons=_of(Reason.CHECK),
        hint="add a CHECK with the bounds to the table as NOT VALID, validate it, then attach:"
        " PostgreSQL does not scan then",
        children=True,
    ),
    pg.AT_DetachPartition: Fact(
        "detach_partition",
        FULL,
        Level.MEDIUM,
        hint="use DETACH PARTITION … CONCURRENTLY, outside a transaction",
        children=True,
    ),
    pg.AT_DetachPartitionFinalize: Fact("detach_partition", GENTLE, Level.MEDIUM, children=True),
}
"""By the subtype of the action; those that are not here exist only inside of PostgreSQL."""

DROP_ATTRIBUTE = Fact(
    "drop_attribute",
    None,
    reasons=_of(Reason.DROPS_COLUMN),
    hint="copy the values of each column of the type first",
    recovery=LOST,
)
"""ALTER TYPE … DROP ATTRIBUTE: no capture covers values inside of columns."""
