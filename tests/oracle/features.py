"""What a table may have: each feature is a piece of SQL that works with any other on one table.

A name in brackets is one of the case's own: [t] and [c] are what is captured, [k#] is a name that
only this feature has. Roles are psql variables, as in :reader.
"""

from __future__ import annotations

from dataclasses import dataclass

PLAIN, PARTS, CHILDREN = "plain", "partitioned", "inherited"
DECLARED = "inherited, and declared by each child"
COLUMN = ("soft_drop_column", "archive_column")
TABLE = ("soft_drop_table", "archive_table")
STRATEGIES = (*COLUMN, *TABLE, "rebuild_table")


@dataclass(frozen=True)
class Feature:
    """A piece of a schema, and where it can stand."""

    name: str
    sql: str
    since: int = 15
    kinds: tuple[str, ...] = (PLAIN, PARTS, CHILDREN)
    strategies: tuple[str, ...] = STRATEGIES
    published: bool = False
    number: bool = False  # it wants a column c that holds whole numbers
    still: bool = False  # rows must not go meanwhile: something points at them
    whole: bool = False  # a partition of it cannot come back exactly by itself
    keyed: bool = False  # it makes the primary key: the table has no other
    kept: bool = False  # a cascade cannot make it again: it is kept, or refused as DROP does

    def stands_in(self, kind: str) -> bool:
        """Whether it can stand in such a table."""
        return (CHILDREN if kind == DECLARED else kind) in self.kinds


def _features(**options) -> list[Feature]:
    shared = {key: options.pop(key) for key in list(options) if key.startswith("_")}
    shared = {key[1:]: value for key, value in shared.items()}
    return [Feature(name.replace("_", " "), sql, **shared) for name, sql in options.items()]


CONSTRAINTS = [
    *_features(
        check="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] < 1000000)",
        check_over_two="ALTER TABLE [t] ADD CHECK ([c] <> [a] * 77 OR [b] IS NULL)",
        check_not_valid="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] <> -5) NOT VALID;"
        "COMMENT ON CONSTRAINT [k#] ON [t] IS 'why ''not'''",
        unique="ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE ([c], [id]) WITH (fillfactor = 71)",
        unique_deferred="ALTER TABLE [t] ADD UNIQUE ([id], [c]) DEFERRABLE INITIALLY DEFERRED",
        unique_nulls="ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE NULLS NOT DISTINCT ([id], [c])",
        unique_include="ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE ([id], [c]) INCLUDE ([b])",
        foreign_key="CREATE TABLE [ref#] (x int PRIMARY KEY);"
        "INSERT INTO [ref#] SELECT DISTINCT [c] FROM [t] WHERE [c] IS NOT NULL;"
        "ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([c]) REFERENCES [ref#]"
        " ON DELETE CASCADE ON UPDATE SET DEFAULT",
        foreign_key_deferred="CREATE TABLE [ref#] (x int UNIQUE); INSERT INTO [ref#] SELECT DISTINCT [c]"
        " FROM [t]; ALTER TABLE [t] ADD FOREIGN KEY ([c]) REFERENCES [ref#] (x) MATCH FULL"
        " ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED",
        foreign_key_of_two="CREATE TABLE [ref#] (x int, y int, PRIMARY KEY (x, y)); INSERT INTO [ref#]"
        " SELECT [id], [c] FROM [t] WHERE [c] IS NOT NULL; ALTER TABLE [t] ADD CONSTRAINT [k#]"
        " FOREIGN KEY ([id], [c]) REFERENCES [ref#] ON DELETE SET NULL ([c])",
        _number=True,
    ),
    *_features(
        foreign_key_beside="CREATE TABLE [ref#] (x int PRIMARY KEY); INSERT INTO [ref#] VALUES (1), (2), "
        "(3); ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([a]) REFERENCES [ref#] ON UPDATE CASCADE",
    ),
    *_features(
        exclude="ALTER TABLE [t] ADD CONSTRAINT [k#] EXCLUDE USING btree ([id] WITH =, [c] WITH =)"
        " WHERE ([a] > 0)",
        foreign_key_not_valid="CREATE TABLE [ref#] (x int PRIMARY KEY); ALTER TABLE [t] ADD CONSTRAINT "
        "[k#] FOREIGN KEY ([c]) REFERENCES [ref#] NOT VALID",
        self_reference="ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE ([c]); ALTER TABLE [t] ADD "
        "CONSTRAINT [f#] FOREIGN KEY ([up]) REFERENCES [t] ([c]) ON DELETE SET NULL",
        _number=True,
        _kinds=(PLAIN,),
    ),
    *_features(
        self_reference_by_key="ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([up]) REFERENCES [t]"
        " ([id]) DEFERRABLE",
        _kinds=(PLAIN,),
    ),
    *_features(
        referenced="ALTER TABLE [t] ADD CONSTRAINT [u#] UNIQUE ([id], [c]); CREATE TABLE [q#] (x int, "
        "y int, CONSTRAINT [k#] FOREIGN KEY (x, y) REFERENCES [t] ([id], [c]) ON UPDATE CASCADE);"
        "INSERT INTO [q#] SELECT [id], [c] FROM ONLY [t] WHERE [c] IS NOT NULL LIMIT 2",
        _number=True,
        _kinds=(PLAIN, PARTS),
        _still=True,
    ),
    *_features(
        referenced_by_key="CREATE TABLE [q#] (x int REFERENCES [t] ([id]) ON DELETE CASCADE);"
        "INSERT INTO [q#] SELECT [id] FROM ONLY [t] LIMIT 2",
        _kinds=(PLAIN, PARTS),
        _still=True,
    ),
    *_features(
        check_not_enforced="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] < 0) NOT ENFORCED",
        _number=True,
        _since=18,
    ),
]

KEYS = [
    *_features(
        primary_key_of_two="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([c], [id]) WITH (fillfactor = 72);"
        "COMMENT ON CONSTRAINT [k#] ON [t] IS 'key'; COMMENT ON INDEX [k#] IS 'its index'",
        primary_key_grouped="ALTER TABLE [t] ADD PRIMARY KEY ([id], [c]); CREATE VIEW [v#] AS SELECT [b], max([a]) AS m"
        " FROM [t] GROUP BY [id], [c]",
        _number=True,
        _keyed=True,
    ),
    *_features(
        primary_key_referenced="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([id], [c]); CREATE TABLE [q#] (x int, y int,"
        " CONSTRAINT [f#] FOREIGN KEY (x, y) REFERENCES [t] ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, CONSTRAINT [g#]"
        " FOREIGN KEY (x, y) REFERENCES [t] ON DELETE SET NULL NOT VALID);"
        "INSERT INTO [q#] SELECT [id], [c] FROM ONLY [t] LIMIT 2; COMMENT ON CONSTRAINT [f#] ON [q#] IS 'to the key'",
        _number=True,
        _kinds=(PLAIN,),
        _still=True,
        _keyed=True,
    ),
    *_features(
        primary_key_of_parts_referenced="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([id], [c]); CREATE TABLE [q#] (x int,"
        " y int, FOREIGN KEY (x, y) REFERENCES [t]); INSERT INTO [q#] SELECT [id], [c] FROM [t] LIMIT 2",
        _number=True,
        _kinds=(PARTS,),
        _still=True,
        _keyed=True,
    ),
    *_features(
        primary_key="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([c])",
        primary_key_deferred="ALTER TABLE [t] ADD PRIMARY KEY ([c]) DEFERRABLE INITIALLY DEFERRED",
        primary_key_self="ALTER TABLE [t] ADD PRIMARY KEY ([c]); ALTER TABLE [t] ADD CONSTRAINT [f#] FOREIGN KEY ([up])"
        " REFERENCES [t] ON DELETE SET NULL",
        primary_key_clustered="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([c]) INCLUDE ([b]); ALTER TABLE [t] CLUSTER ON"
        " [k#]",
        primary_key_is_identity="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([c]); ALTER TABLE [t] REPLICA IDENTITY USING"
        " INDEX [k#]",
        _number=True,
        _kinds=(PLAIN, CHILDREN),
        _keyed=True,
    ),
    *_features(
        primary_key_includes="ALTER TABLE [t] ADD CONSTRAINT [k#] PRIMARY KEY ([id]) INCLUDE ([c])",
        _kinds=(PLAIN, CHILDREN),
        _keyed=True,
    ),
    *_features(
        replica_identity_of_column="ALTER TABLE [t] ALTER [c] SET NOT NULL; CREATE UNIQUE INDEX [i#] ON [t] ([c], [id]);"
        "ALTER TABLE [t] REPLICA IDENTITY USING INDEX [i#]",
        _number=True,
        _kinds=(PLAIN, CHILDREN),
    ),
    *_features(
        local_primary_key="ALTER TABLE [p1] ALTER [c] SET NOT NULL; ALTER TABLE [p1] ADD CONSTRAINT [k#] PRIMARY KEY ([c], [id])",
        _number=True,
        _kinds=(PARTS, CHILDREN),
        _keyed=True,
    ),
]

INDEXES = [
    *_features(
        index="CREATE INDEX [i#] ON [t] ([c])",
        index_of_two='CREATE INDEX [i#] ON [t] ([c] DESC NULLS LAST, [b] COLLATE "C") WITH '
        "(fillfactor = 55); COMMENT ON INDEX [i#] IS 'two'",
        index_include="CREATE INDEX [i#] ON [t] ([b]) INCLUDE ([c])",
        index_hash="CREATE INDEX [i#] ON [t] USING hash ([b])",
        index_brin="CREATE INDEX [i#] ON [t] USING brin ([id]) WITH (pages_per_range = 8)",
        unique_index="CREATE UNIQUE INDEX [i#] ON [t] ([id], [c])",
    ),
    *_features(
        partial_index="CREATE INDEX [i#] ON [t] ([b]) WHERE [c] > 0",
        expression_index="CREATE INDEX [i#] ON [t] (([c] + 1), [b])",
        unique_expression="CREATE UNIQUE INDEX [i#] ON [t] ([id], ([c] % 7)) WHERE [a] > 0",
        _number=True,
        _kinds=(PLAIN, CHILDREN),
    ),
    *_features(
        clustered="CREATE INDEX [i#] ON [t] ([a], [c]); ALTER TABLE [t] CLUSTER ON [i#]",
        replica_identity="CREATE UNIQUE INDEX [i#] ON [t] ([id], [a]); "
        "ALTER TABLE [t] REPLICA IDENTITY USING INDEX [i#]",
        index_statistics="CREATE INDEX [i#] ON [t] (([b] || 'x')); "
        "ALTER INDEX [i#] ALTER COLUMN 1 SET STATISTICS 77",
        _kinds=(PLAIN,),
    ),
]

ACTORS = [
    *_features(
        trigger_of_column="CREATE TRIGGER [g#] AFTER UPDATE OF [c] ON [t] FOR EACH ROW EXECUTE "
        "FUNCTION note()",
        trigger_when="CREATE TRIGGER [g#] BEFORE INSERT ON [t] FOR EACH ROW WHEN (NEW.[c] IS NULL)"
        " EXECUTE FUNCTION note(); COMMENT ON TRIGGER [g#] ON [t] IS 'when'",
        trigger_disabled="CREATE TRIGGER [g#] AFTER UPDATE ON [t] FOR EACH STATEMENT EXECUTE FUNCTION "
        "note(); ALTER TABLE [t] DISABLE TRIGGER [g#]",
        trigger_always="CREATE TRIGGER [g#] AFTER DELETE ON [t] FOR EACH ROW EXECUTE FUNCTION note();"
        "ALTER TABLE [t] ENABLE ALWAYS TRIGGER [g#]",
        constraint_trigger="CREATE CONSTRAINT TRIGGER [g#] AFTER UPDATE ON [t] DEFERRABLE INITIALLY "
        "DEFERRED FOR EACH ROW EXECUTE FUNCTION note()",
    ),
    *_features(
        transition_tables="CREATE TRIGGER [g#] AFTER UPDATE ON [t] REFERENCING OLD TABLE AS was "
        "NEW TABLE AS now FOR EACH STATEMENT EXECUTE FUNCTION note()",
        rule="CREATE RULE [r#] AS ON DELETE TO [t] WHERE OLD.[a] = 99 DO INSTEAD NOTHING",
        rule_of_column="CREATE RULE [r#] AS ON UPDATE TO [t] WHERE NEW.[c] IS NULL AND OLD.[a] = 98 DO "
        "ALSO DELETE FROM log",
    ),
    *_features(
        policy="CREATE POLICY [y#] ON [t] FOR SELECT TO :reader USING ([a] > 1);"
        "ALTER TABLE [t] ENABLE ROW LEVEL SECURITY",
        policy_of_column="CREATE POLICY [y#] ON [t] AS RESTRICTIVE FOR UPDATE USING ([c] IS NOT NULL)"
        " WITH CHECK ([b] <> ''); COMMENT ON POLICY [y#] ON [t] IS 'p'",
        force_row_security="ALTER TABLE [t] FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY",
    ),
]

RIGHTS = _features(
    column_grants="GRANT SELECT ([c], [b]), UPDATE ([c]) ON [t] TO :writer",
    grants="GRANT SELECT, INSERT ON [t] TO :reader WITH GRANT OPTION; GRANT UPDATE ([b]) ON [t] TO "
    "PUBLIC",
    comments="COMMENT ON COLUMN [t].[c] IS 'it''s \\ ✓'; COMMENT ON TABLE [t] IS 'a table'",
    other_owner="ALTER TABLE [t] OWNER TO :owner",
)

SETTINGS = [
    *_features(
        statistics="ALTER TABLE [t] ALTER [c] SET STATISTICS 42, ALTER [c] SET (n_distinct = -0.5)",
        column_statistics_object="CREATE STATISTICS [s#] ON [a], [c] FROM [t]; "
        "COMMENT ON STATISTICS [s#] IS 'st'; ALTER STATISTICS [s#] SET STATISTICS 9",
        statistics_object="CREATE STATISTICS [s#] (ndistinct) ON [a], [b] FROM [t]",
        replica_identity_full="ALTER TABLE [t] REPLICA IDENTITY FULL",
        dropped_column="ALTER TABLE [t] ADD [j#] int DEFAULT 1; ALTER TABLE [t] DROP [j#]",
        added_column="ALTER TABLE [t] ADD [x#] int DEFAULT 7",
        default_dropped="ALTER TABLE [t] ALTER [b] SET DEFAULT 'bee'",
    ),
    *_features(
        options="ALTER TABLE [t] SET (fillfactor = 51, autovacuum_enabled = false)",
        unlogged="ALTER TABLE [t] SET UNLOGGED",
        _kinds=(PLAIN,),
    ),
]

DEPENDENTS = [
    *_features(
        view="CREATE VIEW [v#] AS SELECT [id], [c] FROM [t]; GRANT SELECT ON [v#] TO :reader;"
        "COMMENT ON VIEW [v#] IS 'looks'",
        view_beside="CREATE VIEW [v#] WITH (security_barrier) AS SELECT [a], count(*) AS n FROM [t] "
        "GROUP BY [a]",
        views_upon_views="CREATE VIEW [v#] AS SELECT [c] AS one FROM [t]; CREATE VIEW [w#] AS SELECT "
        "one, 2 AS two FROM [v#]; CREATE VIEW [u#] AS SELECT v.one FROM [v#] v JOIN [w#] w USING (one);"
        "CREATE OR REPLACE VIEW [v#] AS SELECT [c] AS one, [id] AS three FROM [t]",
        view_trigger="CREATE VIEW [v#] AS SELECT [id], [c] FROM [t]; CREATE TRIGGER [g#] INSTEAD OF "
        "INSERT ON [v#] FOR EACH ROW EXECUTE FUNCTION note(); ALTER VIEW [v#] ALTER [id] SET DEFAULT 5",
        materialized_view="CREATE MATERIALIZED VIEW [m#] AS SELECT [id], [c] AS cc FROM [t];"
        "CREATE UNIQUE INDEX [i#] ON [m#] ([id]); CREATE VIEW [v#] AS SELECT cc FROM [m#]",
        materialized_view_empty="CREATE MATERIALIZED VIEW [m#] AS SELECT [c] FROM [t] WITH NO DATA",
        function_body="CREATE FUNCTION [fn#]() RETURNS bigint BEGIN ATOMIC SELECT count([c]) FROM [t]; "
        "END; COMMENT ON FUNCTION [fn#]() IS 'counts'; REVOKE ALL ON FUNCTION [fn#]() FROM PUBLIC",
        function_body_and_view="CREATE FUNCTION [fn#]() RETURNS bigint BEGIN ATOMIC SELECT max([id]) "
        "FROM [t] WHERE [c] IS NOT NULL; END; CREATE VIEW [v#] AS SELECT [fn#]() AS x",
        function_of_row="CREATE FUNCTION [fn#]([t]) RETURNS text LANGUAGE sql AS 'SELECT ''x''';"
        "GRANT EXECUTE ON FUNCTION [fn#]([t]) TO :reader",
        policy_elsewhere="CREATE TABLE [q#] (x int); CREATE POLICY [y#] ON [q#] USING (EXISTS (SELECT "
        "FROM [t] WHERE [c] IS NULL))",
        rule_elsewhere="CREATE TABLE [q#] (x int); CREATE RULE [r#] AS ON INSERT TO [q#] DO ALSO "
        "UPDATE [t] SET [c] = [c] WHERE false",
    ),
    *_features(
        generated="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([c] * 2) STORED; "
        "CREATE INDEX [i#] ON [t] ([e#], [c]); COMMENT ON COLUMN [t].[e#] IS 'twice'",
        generated_and_view="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([a] + [c]) STORED; "
        "CREATE VIEW [v#] AS SELECT [e#] FROM [t]; ALTER TABLE [t] ADD CHECK ([e#] > [c] - 10000000)",
        generated_together="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([a] + [c]) STORED, ADD [f#] int GENERATED "
        "ALWAYS AS ([c] + 1) STORED; CREATE INDEX [i#] ON [t] ([e#], [f#]); ALTER TABLE [t] ADD CHECK ([f#] <> [e#] + 1)",
        _number=True,
    ),
    *_features(
        generated_beside="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([a] * 2) STORED",
    ),
    *_features(
        generated_virtual="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([c] * 2) VIRTUAL",
        _number=True,
        _since=18,
    ),
]

PUBLISHED = [
    *_features(publication="CREATE PUBLICATION [pub#] FOR TABLE [t]", _published=True),
    *_features(
        publication_columns="CREATE PUBLICATION [pub#] FOR TABLE ONLY [t] ([id], [c])",
        publication_filter="CREATE PUBLICATION [pub#] FOR TABLE ONLY [t] WHERE ([id] > 3) "
        "WITH (publish = 'insert')",
        _published=True,
        _kinds=(PLAIN,),
    ),
]

PARTITIONS = [
    *_features(
        local_index="CREATE INDEX [i#] ON [p2] ([c], [a]); COMMENT ON INDEX [i#] IS 'local'",
        local_unique="CREATE UNIQUE INDEX [i#] ON [p1] ([id], [c]) WHERE [a] > 0",
        local_check="ALTER TABLE [p2] ADD CONSTRAINT [k#] CHECK ([c] IS NULL OR [a] < 1000) NOT VALID",
        local_default="ALTER TABLE [p2] ALTER [c] DROP DEFAULT; ALTER TABLE [p1] ALTER [b] SET DEFAULT "
        "'local'",
        local_grants="GRANT SELECT ([c]) ON [p1] TO :reader; GRANT SELECT ON [p2] TO :writer;"
        "COMMENT ON COLUMN [p2].[c] IS 'local'",
        local_trigger="CREATE TRIGGER [g#] BEFORE UPDATE ON [p1] FOR EACH ROW EXECUTE FUNCTION note()",
        local_statistics="ALTER TABLE [p1] ALTER [c] SET STATISTICS 13; CREATE STATISTICS [s#] ON "
        "[a], [c] FROM [p2]",
        local_view="CREATE VIEW [v#] AS SELECT [c] FROM [p1]",
        _kinds=(PARTS,),
    ),
    *_features(
        child_index="CREATE INDEX [i#] ON [p1] ([c]); CREATE UNIQUE INDEX [u#] ON [p2] ([id], [c])",
        child_check="ALTER TABLE [p1] ADD CONSTRAINT [k#] CHECK ([a] < 1000 OR [c] IS NULL)",
        child_default="ALTER TABLE [p2] ALTER [c] SET STATISTICS 14; GRANT SELECT ([c]) ON [p1] TO "
        ":reader; COMMENT ON TABLE [p1] IS 'child'",
        _kinds=(CHILDREN,),
    ),
]

FEATURES = [
    *CONSTRAINTS,
    *KEYS,
    *INDEXES,
    *ACTORS,
    *RIGHTS,
    *SETTINGS,
    *DEPENDENTS,
    *PUBLISHED,
    *PARTITIONS,
]
