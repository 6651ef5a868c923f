"""Statements other than ALTER TABLE: the one table of what PostgreSQL does for each."""

from __future__ import annotations

from postgast import pg_query_pb2 as pg

from app.migrate.review.facts import CONCURRENTLY, DEFINITION, LOST, Fact
from app.migrate.risk import By, Level, Mode, Reason, Recovery

FULL = Mode.ACCESS_EXCLUSIVE
GENTLE = Mode.SHARE_UPDATE_EXCLUSIVE
OPAQUE = frozenset({Reason.OPAQUE})
_WRITES = Mode.ROW_EXCLUSIVE
_RLS = frozenset({Reason.ROW_SECURITY})
_REPLICATION = frozenset({Reason.REPLICATION})
_LOST = frozenset({Reason.DROPS_TABLE, Reason.DROPS_COLUMN})
_BATCHES = "change the rows in batches, each in its own transaction"


def _safe(kind: str, mode: Mode | None = None) -> Fact:
    return Fact(kind, mode, Level.SAFE)


STATEMENTS: dict[str, Fact] = {
    # rows
    "insert_stmt": _safe("insert", _WRITES),
    "update_stmt": Fact(
        "update", _WRITES, scans=True, reasons=frozenset({Reason.BACKFILL}), hint=_BATCHES
    ),
    "delete_stmt": Fact(
        "delete",
        _WRITES,
        scans=True,
        reasons=frozenset({Reason.BACKFILL}),
        hint=_BATCHES,
        recovery=LOST,
    ),
    "merge_stmt": Fact(
        "merge", _WRITES, scans=True, reasons=frozenset({Reason.BACKFILL}), hint=_BATCHES
    ),
    "truncate_stmt": Fact(
        "truncate",
        FULL,
        reasons=frozenset({Reason.TRUNCATES, Reason.REPLICATION}),
        hint="zanith guard truncate TABLE keeps the rows of each TRUNCATE",
        children=True,
        recovery=Recovery(By.GUARD, "rows"),
    ),
    "copy_stmt": _safe("copy", _WRITES),
    "select_stmt": _safe("select"),
    # tables and what belongs to them
    "create_stmt": _safe("create_table"),
    "create_table_as_stmt": _safe("create_table_as"),
    "create_foreign_table_stmt": _safe("create_foreign_table"),
    "index_stmt": Fact("create_index", Mode.SHARE, scans=True, hint=CONCURRENTLY, children=True),
    "create_stats_stmt": Fact("create_statistics", GENTLE),
    "alter_stats_stmt": Fact("alter_statistics"),
    "create_trig_stmt": Fact("create_trigger", Mode.SHARE_ROW_EXCLUSIVE, children=True),
    "rule_stmt": Fact("create_rule", FULL, Level.MEDIUM),
    "create_policy_stmt": Fact("create_policy", FULL, reasons=_RLS),
    "alter_policy_stmt": Fact("alter_policy", FULL, reasons=_RLS),
    "view_stmt": _safe("create_view"),
    "refresh_mat_view_stmt": Fact(
        "refresh_materialized_view",
        FULL,
        rewrites=True,
        scans=True,
        hint="use REFRESH MATERIALIZED VIEW CONCURRENTLY; it needs a unique index",
    ),
    "create_seq_stmt": _safe("create_sequence"),
    "alter_seq_stmt": Fact("alter_sequence", None),
    "comment_stmt": _safe("comment", GENTLE),
    "sec_label_stmt": Fact("security_label", GENTLE),
    "lock_stmt": Fact("lock_table", FULL, children=True),
    # upkeep
    "cluster_stmt": Fact("cluster", FULL, rewrites=True, scans=True, children=True),
    "vacuum_stmt": Fact("vacuum", GENTLE, scans=True, children=True),
    "reindex_stmt": Fact(
        "reindex",
        Mode.SHARE,
        scans=True,
        reasons=frozenset({Reason.BLOCKS_READS}),
        hint="use REINDEX … CONCURRENTLY, outside a transaction",
        children=True,
    ),
    "alter_table_move_all_stmt": Fact(
        "move_all", FULL, rewrites=True, scans=True, hint="move one table after the other"
    ),
    # types
    "create_enum_stmt": _safe("create_type"),
    "create_range_stmt": _safe("create_type"),
    "composite_type_stmt": _safe("create_type"),
    "create_domain_stmt": _safe("create_domain"),
    "alter_enum_stmt": Fact("add_enum_value"),
    "alter_domain_stmt": Fact("alter_domain"),
    "alter_type_stmt": Fact("alter_type"),
    # schemas, routines and others
    "create_schema_stmt": _safe("create_schema"),
    "create_function_stmt": _safe("create_function"),
    "alter_function_stmt": Fact("alter_function"),
    "define_stmt": _safe("create_object"),
    "create_extension_stmt": Fact("create_extension"),
    "alter_extension_stmt": Fact("update_extension", lowest=Level.MEDIUM, reasons=OPAQUE),
    "alter_extension_contents_stmt": Fact("alter_extension"),
    "create_cast_stmt": Fact("create_cast"),
    "create_conversion_stmt": _safe("create_conversion"),
    "create_transform_stmt": _safe("create_transform"),
    "create_op_class_stmt": _safe("create_operator_class"),
    "create_op_family_stmt": _safe("create_operator_family"),
    "alter_op_family_stmt": Fact("alter_operator_family"),
    "alter_operator_stmt": Fact("alter_operator"),
    "alter_collation_stmt": Fact("alter_collation"),
    "create_plang_stmt": _safe("create_language"),
    "create_am_stmt": _safe("create_access_method"),
    "create_event_trig_stmt": Fact("create_event_trigger", lowest=Level.MEDIUM),
    "alter_event_trig_stmt": Fact("alter_event_trigger", lowest=Level.MEDIUM),
    "alter_tsdictionary_stmt": Fact("alter_text_search"),
    "alter_tsconfiguration_stmt": Fact("alter_text_search"),
    "alter_object_depends_stmt": Fact("depends_on_extension", FULL),
    "alter_owner_stmt": Fact("change_owner"),
    "create_fdw_stmt": _safe("create_foreign_data_wrapper"),
    "alter_fdw_stmt": Fact("alter_foreign_data_wrapper"),
    "create_foreign_server_stmt": _safe("create_server"),
    "alter_foreign_server_stmt": Fact("alter_server"),
    "create_user_mapping_stmt": _safe("create_user_mapping"),
    "alter_user_mapping_stmt": Fact("alter_user_mapping"),
    "drop_user_mapping_stmt": Fact("drop_user_mapping"),
    "import_foreign_schema_stmt": _safe("import_foreign_schema"),
    # rights and roles
    "grant_stmt": Fact("grant", Mode.ACCESS_SHARE),
    "grant_role_stmt": Fact("grant_role"),
    "alter_default_privileges_stmt": Fact("default_privileges"),
    "create_role_stmt": Fact("create_role"),
    "alter_role_stmt": Fact("alter_role"),
    "alter_role_set_stmt": Fact("alter_role"),
    "drop_role_stmt": Fact("drop_role", lowest=Level.MEDIUM),
    "reassign_owned_stmt": Fact("reassign_owned", lowest=Level.MEDIUM),
    "drop_owned_stmt": Fact("drop_owned", reasons=_LOST, recovery=LOST),
    # replication
    "create_publication_stmt": Fact("create_publication", reasons=_REPLICATION),
    "alter_publication_stmt": Fact("alter_publication", reasons=_REPLICATION),
    "create_subscription_stmt": Fact("create_subscription", reasons=_REPLICATION),
    "alter_subscription_stmt": Fact("alter_subscription", reasons=_REPLICATION),
    "drop_subscription_stmt": Fact("drop_subscription", reasons=_REPLICATION),
    # the server
    "createdb_stmt": Fact("create_database"),
    "alter_database_stmt": Fact("alter_database"),
    "alter_database_set_stmt": Fact("alter_database"),
    "alter_database_refresh_coll_stmt": Fact("alter_database"),
    "dropdb_stmt": Fact("drop_database", reasons=_LOST, recovery=LOST),
    "alter_system_stmt": Fact("alter_system", lowest=Level.MEDIUM),
    "create_table_space_stmt": Fact("create_tablespace"),
    "drop_table_space_stmt": Fact("drop_tablespace"),
    "alter_table_space_options_stmt": Fact("alter_tablespace"),
    "check_point_stmt": Fact("checkpoint"),
    "load_stmt": Fact("load", lowest=Level.MEDIUM),
    # the session
    "variable_set_stmt": _safe("set"),
    "variable_show_stmt": _safe("show"),
    "constraints_set_stmt": _safe("set_constraints"),
    "discard_stmt": _safe("discard"),
    "notify_stmt": _safe("notify"),
    "listen_stmt": _safe("listen"),
    "unlisten_stmt": _safe("listen"),
    "explain_stmt": _safe("explain"),
    "prepare_stmt": _safe("prepare"),
    "deallocate_stmt": _safe("deallocate"),
    "declare_cursor_stmt": _safe("cursor"),
    "close_portal_stmt": _safe("cursor"),
    "fetch_stmt": _safe("cursor"),
    # what only PostgreSQL knows
    "do_stmt": Fact("do", reasons=OPAQUE, hint="write its statements as statements"),
    "call_stmt": Fact("call", reasons=OPAQUE),
    "execute_stmt": Fact("execute", reasons=OPAQUE),
}
"""By the name of the statement in the parse tree."""

_KEPT = DEFINITION

DROPS: dict[int, Fact] = {
    pg.OBJECT_TABLE: Fact(
        "drop_table",
        FULL,
        reasons=frozenset({Reason.DROPS_TABLE}),
        hint="capture it: zanith rewrite, or zanith guard on",
        children=True,
        recovery=Recovery(By.CAPTURE, "archive"),
    ),
    pg.OBJECT_INDEX: Fact(
        "drop_index",
        FULL,
        reasons=frozenset({Reason.DROPS_DEFINITION}),
        hint="use DROP INDEX CONCURRENTLY, outside a transaction",
        children=True,
        recovery=_KEPT,
    ),
    pg.OBJECT_MATVIEW: Fact(
        "drop_materialized_view",
        FULL,
        reasons=frozenset({Reason.DROPS_DEFINITION}),
        recovery=_KEPT,
    ),
    pg.OBJECT_VIEW: Fact("drop_view", FULL, Level.MEDIUM, recovery=_KEPT),
    pg.OBJECT_FOREIGN_TABLE: Fact("drop_foreign_table", FULL, Level.MEDIUM, recovery=LOST),
    pg.OBJECT_SEQUENCE: Fact("drop_sequence", None, Level.MEDIUM, recovery=_KEPT),
    pg.OBJECT_TRIGGER: Fact("drop_trigger", FULL, Level.MEDIUM, children=True, recovery=_KEPT),
    pg.OBJECT_RULE: Fact("drop_rule", FULL, Level.MEDIUM, recovery=_KEPT),
    pg.OBJECT_POLICY: Fact("drop_policy", FULL, reasons=_RLS, recovery=_KEPT),
    pg.OBJECT_STATISTIC_EXT: Fact("drop_statistics", recovery=_KEPT),
    pg.OBJECT_PUBLICATION: Fact("drop_publication", reasons=_REPLICATION),
    pg.OBJECT_SCHEMA: Fact("drop_schema"),
    pg.OBJECT_EXTENSION: Fact("drop_extension", lowest=Level.MEDIUM),
}
"""By the kind of the object; the others lose a definition at most."""

DROP_OTHER = Fact("drop_object", lowest=Level.MEDIUM, recovery=_KEPT)
CASCADE_LOSES = _LOST

RENAMES: dict[int, Fact] = {
    pg.OBJECT_INDEX: Fact("rename_index", GENTLE),
    pg.OBJECT_TABCONSTRAINT: Fact("rename_constraint", FULL, children=True),
    pg.OBJECT_TRIGGER: Fact("rename_trigger", FULL, children=True),
    pg.OBJECT_RULE: Fact("rename_rule", FULL),
    pg.OBJECT_POLICY: Fact("rename_policy", FULL),
}
"""Renames that no client sees."""

RENAME = Fact(
    "rename",
    FULL,
    reasons=frozenset({Reason.RENAMES}),
    hint="keep a view with the old name until no client uses it",
)
RENAME_COLUMN = Fact(
    "rename_column",
    FULL,
    reasons=frozenset({Reason.RENAMES}),
    hint="add a column of the new name, keep both equal with a trigger, and drop the old one later",
    children=True,
)
SET_SCHEMA = Fact(
    "set_schema",
    FULL,
    reasons=frozenset({Reason.RENAMES}),
    hint="keep a view in the old schema until no client uses it",
)
CAPTURE = Fact("capture", FULL, Level.MEDIUM, recovery=Recovery(By.CAPTURE, "archive"))
"""A call of Zanith's functions that capture: clients lose the object, and it can come back."""
