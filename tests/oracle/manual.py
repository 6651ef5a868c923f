"""What else the manual lists beside CREATE TABLE: where rows are stored, who gets what by default, other schemas."""

from __future__ import annotations

from tests.oracle.features import CHILDREN, PARTS, PLAIN, TABLE, Feature, _features

SPACE = "oracle_space"  # a tablespace, which each server of the oracle has
METHOD = (
    "DO $method$BEGIN CREATE ACCESS METHOD oracle_heap TYPE TABLE HANDLER heap_tableam_handler; EXCEPTION WHEN"
    " duplicate_object THEN NULL; END$method$;"
)
OF_TYPE = (  # a typed table: its type has the same columns
    "DO $typed$BEGIN EXECUTE (SELECT format('CREATE TYPE %s AS (%s)', '[ty#]', string_agg(concat_ws(' ', quote_ident(attname),"
    " format_type(atttypid, atttypmod), 'COLLATE ' || NULLIF(attcollation, 0)::regcollation), ', ' ORDER BY attnum)) FROM"
    " pg_attribute WHERE attrelid = '[t]'::regclass AND attnum > 0 AND NOT attisdropped); END$typed$; ALTER TABLE [t] OF [ty#]"
)
DEFAULTS = (
    "DO $given$BEGIN EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %1$I GRANT SELECT, TRIGGER ON TABLES TO :reader WITH"
    " GRANT OPTION; ALTER DEFAULT PRIVILEGES FOR ROLE :owner IN SCHEMA %1$I GRANT UPDATE ON TABLES TO :writer; ALTER DEFAULT"
    " PRIVILEGES IN SCHEMA %1$I GRANT EXECUTE ON FUNCTIONS TO :writer; ALTER DEFAULT PRIVILEGES IN SCHEMA %1$I GRANT USAGE"
    " ON SEQUENCES TO :writer; ALTER DEFAULT PRIVILEGES IN SCHEMA %1$I GRANT USAGE ON TYPES TO :reader', current_schema());"
    " END$given$"
)

STORED = [
    *_features(
        tablespace=f"ALTER TABLE [t] SET TABLESPACE {SPACE}; CREATE INDEX [i#] ON [t] ([c]) TABLESPACE {SPACE}; CREATE INDEX [j#] ON"
        f" [t] ([a]) TABLESPACE {SPACE}",
        tablespace_of_key=f"ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE ([id], [c]) USING INDEX TABLESPACE {SPACE}",
        tablespace_of_view=f"CREATE MATERIALIZED VIEW [m#] TABLESPACE {SPACE} AS SELECT [id], [c] FROM [t]; CREATE INDEX [i#] ON [m#]"
        f" ([id]) TABLESPACE {SPACE}",
        access_method_of_view=METHOD
        + "CREATE MATERIALIZED VIEW [m#] USING oracle_heap AS SELECT [id], [c] FROM [t]",
        statistics_none="ALTER TABLE [t] ALTER [c] SET STATISTICS 0, ALTER [c] SET (n_distinct = 5, n_distinct_inherited = 7)",
        statistics_dependencies="CREATE STATISTICS [s#] (dependencies, mcv) ON [a], [b], [c] FROM [t]; CREATE STATISTICS [z#]"
        " (dependencies) ON ([a] + 1), [b] FROM [t]",
    ),
    *_features(
        access_method=METHOD + "ALTER TABLE [t] SET ACCESS METHOD oracle_heap",
        toast_options="ALTER TABLE [t] SET (toast.autovacuum_enabled = false, toast.vacuum_truncate = false, toast_tuple_target"
        " = 200, parallel_workers = 3, autovacuum_vacuum_scale_factor = 0.3, user_catalog_table = true); ALTER TABLE [t] ALTER"
        " [b] SET STORAGE EXTERNAL, ALTER [b] SET COMPRESSION pglz",
        _kinds=(PLAIN, CHILDREN),
    ),
    *_features(
        access_method_of_parts=METHOD + "ALTER TABLE [t] SET ACCESS METHOD oracle_heap",
        _kinds=(PARTS,),
        _since=17,
    ),
    *_features(
        local_tablespace=f"ALTER TABLE [p1] SET TABLESPACE {SPACE}; CREATE INDEX [j#] ON [p1] ([c], [b]) WITH (fillfactor = 40)"
        f" TABLESPACE {SPACE}; CREATE INDEX [i#] ON [t] ([c], [b])",
        local_access_method=METHOD + "ALTER TABLE [p2] SET ACCESS METHOD oracle_heap",
        local_toast_options="ALTER TABLE [p1] SET (toast.autovacuum_enabled = false, parallel_workers = 2)",
        _kinds=(PARTS,),
    ),
]

GIVEN = _features(
    default_privileges="CREATE VIEW [v#] AS SELECT [id], [c] FROM [t]; CREATE FUNCTION [fn#]() RETURNS bigint RETURN (SELECT"
    " count([c]) FROM [t]); CREATE MATERIALIZED VIEW [m#] AS SELECT [c] FROM [t];" + DEFAULTS,
    default_privileges_beforehand=DEFAULTS
    + "; CREATE VIEW [v#] AS SELECT [id], [c] FROM [t]; CREATE FUNCTION [fn#]([t]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
)

INDEXES = [
    *_features(
        unique_index_nulls="CREATE UNIQUE INDEX [i#] ON [t] ([id], [c]) NULLS NOT DISTINCT",
        index_parameters="CREATE INDEX [i#] ON [t] ([c]) WITH (deduplicate_items = off); CREATE INDEX [j#] ON [t] USING brin ([id]"
        " int4_minmax_multi_ops (values_per_range = 16), [b] text_bloom_ops (n_distinct_per_range = 9)) WITH (autosummarize = on)",
        index_collated='CREATE INDEX [i#] ON [t] (([b] COLLATE "C" || \'x\') COLLATE "POSIX" DESC, [c]); ALTER INDEX [i#] ALTER'
        " COLUMN 1 SET STATISTICS 33",
        index_of_extension="CREATE INDEX [i#] ON [t] ([c], [a]); ALTER INDEX [i#] DEPENDS ON EXTENSION plpgsql; ALTER TABLE [t] ADD"
        " CONSTRAINT [k#] UNIQUE ([id], [c]); ALTER INDEX [k#] DEPENDS ON EXTENSION plpgsql",
        view_of_extension="CREATE MATERIALIZED VIEW [m#] AS SELECT [c], [id] FROM [t]; ALTER MATERIALIZED VIEW [m#] DEPENDS ON"
        " EXTENSION plpgsql",
    ),
    *_features(
        referenced_index="CREATE UNIQUE INDEX [i#] ON [t] ([id], [c]); CREATE TABLE [q#] (x int, y int, CONSTRAINT [k#] FOREIGN KEY"
        " (x, y) REFERENCES [t] ([id], [c]) MATCH FULL ON DELETE SET DEFAULT); INSERT INTO [q#] SELECT [id], [c] FROM ONLY [t]"
        " WHERE [c] IS NOT NULL LIMIT 2",
        _number=True,
        _kinds=(PLAIN, PARTS),
        _still=True,
    ),
    *_features(  # a column of one, or a partition, is refused by name
        exclude_in_parts="ALTER TABLE [t] ADD CONSTRAINT [k#] EXCLUDE USING btree ([id] WITH =, [c] WITH =)",
        _number=True,
        _kinds=(PARTS,),
        _since=17,
        _whole=True,
        _strategies=(*TABLE, "rebuild_table"),
    ),
]

ACTORS = [
    *_features(
        trigger_from_another="CREATE TABLE [q#] (x int); CREATE CONSTRAINT TRIGGER [g#] AFTER INSERT OR UPDATE OF [c] ON [t] FROM [q#]"
        " DEFERRABLE FOR EACH ROW EXECUTE FUNCTION note()",
        trigger_of_extension="CREATE TRIGGER [g#] AFTER UPDATE OF [c] ON [t] FOR EACH ROW EXECUTE FUNCTION note(); ALTER TRIGGER"
        " [g#] ON [t] DEPENDS ON EXTENSION plpgsql",
        transition_tables_named="CREATE TRIGGER [g#] AFTER INSERT ON [t] REFERENCING NEW TABLE AS [now#] FOR EACH STATEMENT EXECUTE"
        " FUNCTION note(); CREATE TRIGGER [z#] AFTER DELETE ON [t] REFERENCING OLD TABLE AS [was#] FOR EACH STATEMENT EXECUTE"
        " FUNCTION note(); COMMENT ON TRIGGER [z#] ON [t] IS 'set'",
        rule_always="CREATE RULE [r#] AS ON INSERT TO [t] WHERE NEW.[a] = 97 AND NEW.[c] IS NULL DO ALSO INSERT INTO log VALUES (NEW.[b]); ALTER TABLE [t]"
        " ENABLE ALWAYS RULE [r#]; COMMENT ON RULE [r#] ON [t] IS 'tells'",
        policies_of_commands="CREATE POLICY [y#] ON [t] FOR INSERT TO PUBLIC WITH CHECK ([c] IS NOT NULL OR [a] > 0); CREATE POLICY"
        " [z#] ON [t] FOR DELETE TO CURRENT_USER, :writer USING (give([a]) > 1 AND [c] IS NULL); ALTER TABLE [t] ENABLE ROW LEVEL"
        " SECURITY",
    ),
]

ELSEWHERE = "CREATE SCHEMA [side#]; GRANT USAGE ON SCHEMA [side#] TO :reader, :owner;"
DEPENDENTS = [
    *_features(
        view_elsewhere=ELSEWHERE
        + "CREATE VIEW [side#].[v#] AS SELECT [id], [c] FROM [t]; CREATE MATERIALIZED VIEW [side#].[m#] AS SELECT [id] FROM"
        " [side#].[v#]; CREATE INDEX [i#] ON [side#].[m#] ([id]); ALTER VIEW [side#].[v#] OWNER TO :owner; GRANT SELECT ON [t]"
        " TO :owner",
        function_elsewhere=ELSEWHERE
        + "CREATE FUNCTION [side#].[fn#](x [t] DEFAULT NULL) RETURNS bigint RETURN (SELECT count([c]) FROM [t]); CREATE VIEW [v#]"
        " AS SELECT [side#].[fn#]() AS n",
        statistics_elsewhere=ELSEWHERE + "CREATE STATISTICS [side#].[s#] ON [a], [c] FROM [t]",
        trigger_elsewhere=ELSEWHERE
        + "CREATE FUNCTION [side#].[fn#]() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER [g#]"
        " BEFORE UPDATE OF [c] ON [t] FOR EACH ROW EXECUTE FUNCTION [side#].[fn#]('x')",
        type_elsewhere=ELSEWHERE
        + "CREATE TYPE [side#].[e#] AS ENUM ('x', 'y'); CREATE SEQUENCE [side#].[sq#]; ALTER TABLE [t] ADD [x#] [side#].[e#]"
        " DEFAULT 'x', ADD [n#] bigint DEFAULT nextval('[side#].[sq#]'); ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([x#] <>"
        " 'y' OR [c] IS NULL)",
        view_rich="CREATE VIEW [v#] AS WITH RECURSIVE w AS MATERIALIZED (SELECT [id], [a] FROM [t]) SELECT w.[id], l.*, rank() OVER"
        " (PARTITION BY w.[a] ORDER BY w.[id] ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM w CROSS JOIN LATERAL (SELECT"
        " x.[c]::text AS x, x.[b] FROM [t] x WHERE x.[id] = w.[id] OFFSET 0) l; CREATE VIEW [u#] AS SELECT [a], count([c]),"
        " GROUPING([a]) FROM [t] TABLESAMPLE SYSTEM (100) REPEATABLE (3) GROUP BY GROUPING SETS (([a]), ())",
        view_checked="CREATE VIEW [v#] AS SELECT [id], [a], [c] FROM [t] WHERE [a] > 0; CREATE VIEW [w#] AS SELECT * FROM [v#] WHERE"
        " [id] > 0 WITH CASCADED CHECK OPTION; CREATE RULE [r#] AS ON DELETE TO [w#] DO INSTEAD NOTHING",
        function_that_writes="CREATE FUNCTION [fn#](x int) RETURNS void BEGIN ATOMIC INSERT INTO [t] ([id], [a]) SELECT x, max([a])"
        " FROM [t] ON CONFLICT DO NOTHING; UPDATE [t] SET [c] = [c] WHERE [id] = x; END",
        function_of_extension="CREATE FUNCTION [fn#]() RETURNS bigint RETURN (SELECT count([c]) FROM [t]); ALTER FUNCTION [fn#]()"
        " DEPENDS ON EXTENSION plpgsql",
    ),
    *_features(
        referenced_elsewhere=ELSEWHERE
        + "CREATE TABLE [side#].[q#] (x int REFERENCES [t] ([id]) ON DELETE CASCADE); INSERT INTO [side#].[q#] SELECT [id] FROM"
        " ONLY [t] LIMIT 2",
        _kinds=(PLAIN, PARTS),
        _still=True,
    ),
    *_features(
        refers_elsewhere=ELSEWHERE
        + "CREATE TABLE [side#].[q#] (x int PRIMARY KEY); INSERT INTO [side#].[q#] SELECT DISTINCT [c] FROM [t] WHERE [c] IS NOT"
        " NULL; ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([c]) REFERENCES [side#].[q#] ON UPDATE CASCADE",
        _number=True,
    ),
    *_features(
        view_of_json="CREATE VIEW [v#] AS SELECT JSON_ARRAY([id], [b] NULL ON NULL) AS j, [b] IS JSON OBJECT AS k, JSON_OBJECT('x' :"
        " [c]::text ABSENT ON NULL) AS o FROM [t]",
        _since=16,
    ),
    *_features(
        view_of_json_table="CREATE VIEW [v#] AS SELECT x.*, [c] FROM [t], JSON_TABLE(jsonb '[1, 2]', '$[*]' COLUMNS (n FOR ORDINALITY,"
        " y int PATH '$' DEFAULT 4 ON EMPTY)) x",
        _since=17,
    ),
]

OF_FUNCTION = (
    "CREATE TABLE [q#] (x int, y text); CREATE FUNCTION [fn#](x text) RETURNS bigint IMMUTABLE RETURN (SELECT count([c]) FROM"
    " [t] WHERE false AND [b] = x);"
)
DEPENDENTS += _features(  # expressions of other tables
    index_of_row_elsewhere="CREATE TABLE [q#] (x int); CREATE INDEX [i#] ON [q#] (x) WHERE (NULL::[t]).[c] IS NULL; CREATE STATISTICS"
    " [s#] ON ((NULL::[t]).[c]::text), x FROM [q#]",
    index_of_function_elsewhere=OF_FUNCTION
    + "CREATE INDEX [i#] ON [q#] ([fn#](y)); ALTER TABLE [q#] ADD CONSTRAINT [k#] EXCLUDE ([fn#](y) WITH =)",
    index_of_function_of_itself=OF_FUNCTION
    + "CREATE INDEX [i#] ON [t] ([b]) WHERE [a] < 0 AND [fn#]([b]) > 0",
    check_of_row_elsewhere="CREATE TABLE [q#] (x int, CONSTRAINT [k#] CHECK ((NULL::[t]).[c] IS NULL)); INSERT INTO [q#] VALUES (1)",
    _kept=True,
    _strategies=("soft_drop_column", *TABLE),
)
DEPENDENTS += _features(
    default_of_row_elsewhere="CREATE TABLE [q#] (x int, y text DEFAULT COALESCE((NULL::[t]).[c]::text, 'none')); INSERT INTO [q#]"
    " VALUES (1)",
    trigger_of_row_elsewhere="CREATE TABLE [q#] (x int); CREATE TRIGGER [g#] BEFORE INSERT ON [q#] FOR EACH ROW WHEN ((NULL::[t]).[c]"
    " IS NULL) EXECUTE FUNCTION note()",
)

GENERATED = "CREATE TABLE [q#] (x int, y boolean GENERATED ALWAYS AS ((NULL::[t]).[c] IS NULL) STORED); INSERT INTO [q#] VALUES (1)"
DEPENDENTS += _features(
    generated_of_row_elsewhere=GENERATED,
    _strategies=("soft_drop_column", "archive_column", "rebuild_table"),
)
DEPENDENTS += _features(  # a cascade of a table does not take it along
    generated_of_row_of_table=GENERATED,
    _kept=True,
    _strategies=TABLE,
)

RECENT = [  # of PostgreSQL 18
    *_features(
        not_null_not_valid_in_tree="ALTER TABLE [t] ALTER [b] DROP NOT NULL, ADD CONSTRAINT [k#] NOT NULL [b] NOT VALID",
        _kinds=(PARTS, CHILDREN),
        _since=18,
    ),
    *_features(
        foreign_key_of_parts_not_enforced="CREATE TABLE [ref#] (x int PRIMARY KEY); ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY"
        " ([c]) REFERENCES [ref#] NOT ENFORCED",
        _number=True,
        _kinds=(PARTS,),
        _since=18,
    ),
    *_features(
        referenced_not_enforced="ALTER TABLE [t] ADD CONSTRAINT [u#] UNIQUE ([id], [c]); CREATE TABLE [q#] (x int, y int, CONSTRAINT"
        " [k#] FOREIGN KEY (x, y) REFERENCES [t] ([id], [c]) NOT ENFORCED); INSERT INTO [q#] VALUES (-1, -1)",
        _number=True,
        _kinds=(PLAIN, PARTS),
        _still=True,
        _since=18,
    ),
    *_features(
        publication_generated="ALTER TABLE [t] ADD [e#] int GENERATED ALWAYS AS ([a] * 2) STORED; CREATE PUBLICATION [pub#] FOR TABLE"
        " [t] WITH (publish_generated_columns = stored)",
        _published=True,
        _since=18,
    ),
    *_features(
        virtual_with_constraints="ALTER TABLE [t] ADD [e#] bigint GENERATED ALWAYS AS ([c] * 2 + [a]) VIRTUAL NOT NULL; ALTER TABLE"
        " [t] ADD CONSTRAINT [k#] CHECK ([e#] > -1000000000), ADD CONSTRAINT [l#] CHECK ([c] <> -7) NOT ENFORCED; CREATE VIEW"
        " [v#] AS SELECT [e#], [id] FROM [t]; GRANT SELECT ([e#]) ON [t] TO :reader; COMMENT ON COLUMN [t].[e#] IS 'virtual'",
        _number=True,
        _since=18,
    ),
]

FAMILIES = [
    *_features(
        child_of_both="ALTER TABLE [p3] INHERIT [p2]",
        child_on_its_own="ALTER TABLE [p2] NO INHERIT [t]; ALTER TABLE [p2] INHERIT [t]",
        _kinds=(CHILDREN,),
        _strategies=(*TABLE, "rebuild_table"),
    ),
    *_features(
        typed_table=OF_TYPE,
        _kinds=(PLAIN,),
        _strategies=(*TABLE, "rebuild_table"),
    ),
]

MANUAL: list[Feature] = [
    *STORED,
    *GIVEN,
    *INDEXES,
    *ACTORS,
    *DEPENDENTS,
    *RECENT,
    *FAMILIES,
]
