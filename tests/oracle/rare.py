"""What only some schemas have: rarer forms of what `features` lists, written the same way."""

from __future__ import annotations

from tests.oracle.features import (
    CHILDREN,
    FEATURES,
    PARTS,
    PLAIN,
    STRATEGIES,
    TABLE,
    Feature,
    _features,
)
from tests.oracle.manual import MANUAL

CONSTRAINTS = [
    *_features(
        foreign_key_actions="CREATE TABLE [ref#] (x int PRIMARY KEY); INSERT INTO [ref#] SELECT DISTINCT"
        " [c] FROM [t] WHERE [c] IS NOT NULL; INSERT INTO [ref#] VALUES (0), (3) ON CONFLICT DO NOTHING;"
        "ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([c]) REFERENCES [ref#] ON DELETE SET DEFAULT"
        " ON UPDATE CASCADE DEFERRABLE, ADD CONSTRAINT [f#] FOREIGN KEY ([c]) REFERENCES [ref#] ON DELETE"
        " RESTRICT ON UPDATE RESTRICT; COMMENT ON CONSTRAINT [f#] ON [t] IS 'second'",
        foreign_keys_to_two="CREATE TABLE [ref#] (x int PRIMARY KEY, y int UNIQUE); INSERT INTO [ref#] SELECT"
        " DISTINCT [c], [c] FROM [t] WHERE [c] IS NOT NULL; ALTER TABLE [t] ADD FOREIGN KEY ([c]) REFERENCES"
        " [ref#] (y) ON DELETE SET NULL; CREATE INDEX [i#] ON [ref#] (y, x)",
        foreign_key_to_partitioned="CREATE TABLE [ref#] (x int PRIMARY KEY) PARTITION BY HASH (x);"
        "CREATE TABLE [part#] PARTITION OF [ref#] FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "INSERT INTO [ref#] SELECT DISTINCT [c] FROM [t] WHERE [c] IS NOT NULL; ALTER TABLE [t] ADD CONSTRAINT"
        " [k#] FOREIGN KEY ([c]) REFERENCES [ref#] ON DELETE CASCADE",
        foreign_key_owned_by_another="CREATE TABLE [ref#] (x int PRIMARY KEY); ALTER TABLE [ref#] OWNER TO :owner;"
        "INSERT INTO [ref#] SELECT DISTINCT [c] FROM [t] WHERE [c] IS NOT NULL; ALTER TABLE [t] ADD CONSTRAINT"
        " [k#] FOREIGN KEY ([c]) REFERENCES [ref#]",
        check_twice="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] > -100), ADD CONSTRAINT [l#] CHECK ([c] > -100)"
        " NOT VALID",
        _number=True,
    ),
    *_features(
        check_no_inherit="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] < 1000000) NO INHERIT",
        exclude_deferred="ALTER TABLE [t] ADD CONSTRAINT [k#] EXCLUDE USING btree ([id] WITH =, ([c] + 0) WITH =)"
        " INCLUDE ([b]) WITH (fillfactor = 61) DEFERRABLE INITIALLY DEFERRED",
        unique_using_index="CREATE UNIQUE INDEX [i#] ON [t] ([c], [id]); ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE"
        " USING INDEX [i#] DEFERRABLE; COMMENT ON INDEX [k#] IS 'of the index'",
        _number=True,
        _kinds=(PLAIN, CHILDREN),
    ),
    *_features(
        check_of_whole_row="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([t].* IS NOT NULL OR [id] > 0)",
        _kinds=(PLAIN, CHILDREN),
    ),
    *_features(
        referenced_not_valid="ALTER TABLE [t] ADD CONSTRAINT [u#] UNIQUE ([id], [c]); CREATE TABLE [q#] (x int, y int);"
        "INSERT INTO [q#] VALUES (-1, -1); ALTER TABLE [q#] ADD CONSTRAINT [k#] FOREIGN KEY (x, y) REFERENCES [t]"
        " ([id], [c]) MATCH FULL NOT VALID",
        referenced_twice="ALTER TABLE [t] ADD CONSTRAINT [u#] UNIQUE ([id], [c]); ALTER TABLE [t] ADD CONSTRAINT [w#]"
        " UNIQUE ([c], [id]); CREATE TABLE [q#] (x int, y int, FOREIGN KEY (x, y) REFERENCES [t] ([id], [c]),"
        " FOREIGN KEY (y, x) REFERENCES [t] ([c], [id]) ON DELETE SET NULL (x) DEFERRABLE INITIALLY DEFERRED);"
        "COMMENT ON TABLE [q#] IS 'refers twice'",
        _number=True,
        _kinds=(PLAIN,),
        _still=True,
    ),
    *_features(
        referenced_by_partitioned="CREATE TABLE [q#] (x int REFERENCES [t] ([id])) PARTITION BY LIST (x); CREATE TABLE"
        " [qp#] PARTITION OF [q#] DEFAULT; INSERT INTO [q#] SELECT [id] FROM ONLY [t] LIMIT 2",
        ring="CREATE TABLE [q#] (x int PRIMARY KEY, y int REFERENCES [t] ([id])); INSERT INTO [q#] VALUES (2, NULL);"
        "ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([up]) REFERENCES [q#] ON DELETE SET NULL;"
        "UPDATE [t] SET [up] = 2 WHERE [id] = 1; UPDATE [q#] SET y = 1",
        self_reference_cascade="ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN KEY ([up]) REFERENCES [t] ([id]) ON DELETE"
        " CASCADE ON UPDATE CASCADE; UPDATE [t] SET [up] = 5 WHERE [id] > 6",
        _kinds=(PLAIN, PARTS),
        _still=True,
    ),
    *_features(
        foreign_key_not_enforced="CREATE TABLE [ref#] (x int PRIMARY KEY); ALTER TABLE [t] ADD CONSTRAINT [k#] FOREIGN"
        " KEY ([c]) REFERENCES [ref#] ON DELETE CASCADE NOT ENFORCED",
        not_null_not_valid="ALTER TABLE [t] ALTER [c] DROP NOT NULL; ALTER TABLE [t] ADD CONSTRAINT [k#] NOT NULL [c]"
        " NOT VALID; COMMENT ON CONSTRAINT [k#] ON [t] IS 'later'",
        _number=True,
        _kinds=(PLAIN,),
        _since=18,
    ),
]

INDEXES = [
    *_features(
        index_pattern="CREATE INDEX [i#] ON [t] ([b] text_pattern_ops, [c])",
        index_with_names="CREATE INDEX ON [t] ([c], [a]); CREATE INDEX ON [t] ([c], [a]); CREATE INDEX ON [t] ([a])",
        statistics_expression="CREATE STATISTICS [s#] ON ([a] + 1), [c] FROM [t]; CREATE STATISTICS [z#] (mcv) ON [c], [id]"
        " FROM [t]; ALTER STATISTICS [z#] OWNER TO :owner",
    ),
    *_features(
        index_gin="ALTER TABLE [t] ADD [x#] text[] DEFAULT '{a}'; CREATE INDEX [i#] ON [t] USING gin ([x#]) WITH (fastupdate"
        " = off)",
        index_gist="ALTER TABLE [t] ADD [x#] int4range; CREATE INDEX [i#] ON [t] USING gist ([x#]); CREATE INDEX [j#] ON [t]"
        " USING spgist ([x#]) WHERE [c] IS NOT NULL",
        primary_clustered="ALTER TABLE [t] REPLICA IDENTITY DEFAULT; CREATE INDEX [i#] ON [t] ([b], [c]);"
        "COMMENT ON INDEX [i#] IS 'b'; ALTER TABLE [t] CLUSTER ON [i#]",
        replica_identity_nothing="ALTER TABLE [t] REPLICA IDENTITY NOTHING",
        _kinds=(PLAIN, CHILDREN),
    ),
]

ACTORS = _features(
    trigger_arguments="CREATE TRIGGER [g#] BEFORE UPDATE OF [b], [c] OR INSERT ON [t] FOR EACH ROW WHEN (pg_trigger_depth()"
    " < 5) EXECUTE FUNCTION note('it''s', '[c]', '\\')",
    trigger_of_two="CREATE TRIGGER [g#] AFTER UPDATE OF [a], [c] ON [t] FOR EACH STATEMENT EXECUTE FUNCTION note();"
    "ALTER TABLE [t] ENABLE REPLICA TRIGGER [g#]",
    trigger_truncate="CREATE TRIGGER [g#] BEFORE TRUNCATE ON [t] FOR EACH STATEMENT EXECUTE FUNCTION note()",
    rule_returning="CREATE VIEW [v#] AS SELECT [id], [c] FROM [t]; CREATE RULE [r#] AS ON INSERT TO [v#] DO INSTEAD INSERT INTO"
    " [t] ([id], [c]) VALUES (NEW.[id], NEW.[c]) RETURNING [id], [c]; COMMENT ON RULE [r#] ON [v#] IS 'into'",
    rule_disabled="CREATE RULE [r#] AS ON UPDATE TO [t] WHERE OLD.[c] IS NULL AND OLD.[a] = 98 DO ALSO DELETE FROM log;"
    "ALTER TABLE [t] DISABLE RULE [r#]",
    policy_subquery="CREATE TABLE [q#] (x int); CREATE POLICY [y#] ON [t] TO :reader, :writer USING ([id] IN (SELECT x FROM"
    " [q#]) AND [c] IS NOT NULL); ALTER TABLE [t] ENABLE ROW LEVEL SECURITY",
)

RIGHTS = _features(
    grants_all="GRANT ALL ON [t] TO :writer; GRANT ALL ([c]) ON [t] TO :reader; REVOKE UPDATE ([c]) ON [t] FROM :reader",
    grants_of_column_option="GRANT SELECT ([c]), INSERT ([c]), REFERENCES ([c]) ON [t] TO :reader WITH GRANT OPTION;"
    "GRANT SELECT ([c]) ON [t] TO PUBLIC",
    grants_revoked="REVOKE INSERT, DELETE ON [t] FROM CURRENT_USER",
)

DEPENDENTS = [
    *_features(
        view_options="CREATE VIEW [v#] WITH (security_barrier = true, check_option = local) AS SELECT [id], [c], [b] FROM [t] WHERE"
        " [a] > 0; ALTER VIEW [v#] OWNER TO :owner; GRANT SELECT ON [t] TO :owner; GRANT UPDATE ([b]), SELECT ([id]) ON"
        " [v#] TO :writer WITH GRANT OPTION; COMMENT ON COLUMN [v#].[c] IS 'of view'",
        view_invoker="CREATE VIEW [v#] WITH (security_invoker = true) AS SELECT [t].* FROM [t]",
        view_recursive="CREATE RECURSIVE VIEW [v#] (n, x) AS SELECT [id], [c]::text FROM [t] UNION ALL SELECT n + 1, x FROM [v#]"
        " WHERE n < 3",
        view_grouped="CREATE VIEW [v#] AS SELECT [a], max([c]::text) AS m FROM [t] GROUP BY [a] HAVING count([c]) > 0 ORDER BY 1",
        view_joined="CREATE TABLE [q#] (x int, y text); CREATE VIEW [v#] AS SELECT q.x, t.[c], t.[id] FROM [q#] q LEFT JOIN [t] t ON"
        " t.[id] = q.x; CREATE VIEW [w#] AS SELECT * FROM [v#] UNION ALL SELECT x, [c], x FROM [v#]",
        view_beside_others="CREATE TABLE [q#] (x int, y text); INSERT INTO [q#] VALUES (1, 'one'); CREATE VIEW [ov#] AS SELECT x, y FROM"
        " [q#]; CREATE MATERIALIZED VIEW [om#] AS SELECT x AS n FROM [q#]; CREATE SEQUENCE [os#]; CREATE TYPE [ty#] AS (p int, r text);"
        "CREATE TABLE [oc#] (w [ty#]); CREATE FUNCTION [fn#](text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE OPERATOR"
        " !!! (RIGHTARG = text, FUNCTION = [fn#]); CREATE VIEW [v#] AS SELECT !!! t.[c]::text AS c, o.y, m.n, (k.w).p, s.last_value FROM"
        " [t] t, [ov#] o, [om#] m, [oc#] k, [os#] s; CREATE MATERIALIZED VIEW [m#] AS SELECT t.[c], o.y, m.n FROM [t] t, [ov#] o,"
        " [om#] m",
        materialized_view_rich="CREATE MATERIALIZED VIEW [m#] WITH (fillfactor = 70) AS SELECT [id], [c], [b] FROM [t]; CREATE INDEX [i#]"
        " ON [m#] ([b]); ALTER MATERIALIZED VIEW [m#] CLUSTER ON [i#]; ALTER MATERIALIZED VIEW [m#] ALTER [b] SET STATISTICS"
        " 55; CREATE STATISTICS [s#] ON [id], [b] FROM [m#]; GRANT SELECT ON [m#] TO :reader; COMMENT ON MATERIALIZED VIEW"
        " [m#] IS 'mat'",
        function_default="CREATE FUNCTION [fn#](x text DEFAULT 'x') RETURNS text STABLE SECURITY DEFINER COST 7 SET work_mem = '1MB'"
        " RETURN (SELECT max([c]::text) || x FROM [t]); ALTER FUNCTION [fn#](text) OWNER TO :owner;"
        "GRANT EXECUTE ON FUNCTION [fn#](text) TO :reader WITH GRANT OPTION",
        aggregate_of_row="CREATE FUNCTION [fn#](int, [t]) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; CREATE AGGREGATE [ag#]([t])"
        " (SFUNC = [fn#], STYPE = int, INITCOND = '7', PARALLEL = RESTRICTED); COMMENT ON AGGREGATE [ag#]([t]) IS 'counts';"
        "REVOKE ALL ON FUNCTION [ag#]([t]) FROM PUBLIC; GRANT EXECUTE ON FUNCTION [ag#]([t]) TO :reader; CREATE VIEW [v#] AS"
        " SELECT [ag#]([t]) AS n FROM [t]",
        ordered_set_of_row="CREATE FUNCTION [fn#](int, [t]) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; CREATE FUNCTION [gn#](int, float8)"
        " RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; CREATE AGGREGATE [ag#](float8 ORDER BY [t]) (SFUNC = [fn#], STYPE = int, INITCOND = '7',"
        " FINALFUNC = [gn#], FINALFUNC_MODIFY = SHAREABLE); COMMENT ON AGGREGATE [ag#](float8 ORDER BY [t]) IS 'ordered';"
        "REVOKE ALL ON FUNCTION [ag#](float8, [t]) FROM PUBLIC; GRANT EXECUTE ON FUNCTION [ag#](float8, [t]) TO :reader; CREATE VIEW [v#] AS"
        " SELECT [ag#](0.5) WITHIN GROUP (ORDER BY [t]) AS n FROM [t]",
        hypothetical_set_of_row="CREATE FUNCTION [fn#](int, [t]) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; CREATE FUNCTION [gn#](int, [t])"
        " RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE AGGREGATE [ag#]([t] ORDER BY [t]) (SFUNC = [fn#], STYPE = int, INITCOND = '7',"
        " FINALFUNC = [gn#], HYPOTHETICAL)",
        function_of_set="CREATE FUNCTION [fn#]() RETURNS SETOF [t] LANGUAGE plpgsql AS 'BEGIN END'",
        functions_chain="CREATE FUNCTION [fn#]() RETURNS bigint RETURN (SELECT count([c]) FROM [t]); CREATE FUNCTION [gn#]() RETURNS"
        " bigint RETURN [fn#]() + 1; CREATE VIEW [v#] AS SELECT [gn#]() AS x",
        procedure="CREATE PROCEDURE [fn#](x int) BEGIN ATOMIC DELETE FROM [t] WHERE [c] IS NULL AND [id] = x; END",
        domain_of_row="CREATE TYPE [ty#] AS (x int); CREATE VIEW [v#] AS SELECT ROW([id])::[ty#] AS r, [c] FROM [t]",
    ),
    *_features(  # a parked column keeps its slot in the row
        view_of_row="CREATE VIEW [v#] AS SELECT [t] AS whole, [id] FROM [t]",
        _strategies=tuple(name for name in STRATEGIES if name != "soft_drop_column"),
    ),
    *_features(
        default_from_function="CREATE FUNCTION [fn#]() RETURNS bigint RETURN (SELECT count([c]) FROM [t]); CREATE TABLE [q#] (x"
        " bigint DEFAULT [fn#](), y int); INSERT INTO [q#] VALUES (1, 1)",
    ),
]

PUBLISHED = [
    *_features(
        publication_of_schema="CREATE PUBLICATION [pub#] FOR TABLES IN SCHEMA CURRENT_SCHEMA",
        publication_twice="CREATE PUBLICATION [pub#] FOR TABLE [t] WITH (publish = 'update'); CREATE PUBLICATION [pub2#] FOR TABLE"
        " [t], log",
        _published=True,
    ),
    *_features(
        publication_filter_of_column="ALTER TABLE [t] REPLICA IDENTITY FULL; CREATE PUBLICATION [pub#] FOR TABLE ONLY [t] WHERE"
        " ([c] IS NOT NULL)",
        _published=True,
        _kinds=(PLAIN,),
    ),
    *_features(
        publication_via_root="CREATE PUBLICATION [pub#] FOR TABLE [t] WITH (publish_via_partition_root = true); CREATE PUBLICATION"
        " [pub3#] FOR TABLE [p2]",
        _published=True,
        _kinds=(PARTS,),
    ),
]

PARTITIONS = [
    *_features(
        local_foreign_key="CREATE TABLE [ref#] (x int PRIMARY KEY); INSERT INTO [ref#] VALUES (1), (2), (3); ALTER TABLE [p1] ADD"
        " CONSTRAINT [k#] FOREIGN KEY ([a]) REFERENCES [ref#] ON DELETE CASCADE",
        local_referenced="CREATE TABLE [q#] (x int REFERENCES [p1]); INSERT INTO [q#] SELECT [id] FROM [p1] LIMIT 1",
        local_owner="ALTER TABLE [p1] OWNER TO :owner; GRANT SELECT ON [p1] TO :reader",
        local_policy="ALTER TABLE [p2] ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY [y#] ON [p2] USING ([c] IS"
        " NULL)",
        local_trigger_state="CREATE TRIGGER [g#] AFTER INSERT ON [t] FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE [p1] DISABLE"
        " TRIGGER [g#]; ALTER TABLE [p2] ENABLE ALWAYS TRIGGER [g#]",
        local_options="ALTER TABLE [p1] SET (fillfactor = 44, autovacuum_enabled = false); ALTER TABLE [p2] SET UNLOGGED",
        local_replica_identity="ALTER TABLE [p2] REPLICA IDENTITY FULL",
        local_index_names="CREATE INDEX [i#] ON [t] ([c], [b]); CREATE INDEX [j#] ON [p2] ([b], [c]); CREATE UNIQUE INDEX [z#] ON [t]"
        " ([id], [c])",
        local_rule="CREATE RULE [r#] AS ON DELETE TO [p1] WHERE OLD.[c] IS NULL AND OLD.[a] = 99 DO INSTEAD NOTHING",
        _kinds=(PARTS,),
    ),
    *_features(
        child_view="CREATE VIEW [v#] AS SELECT [c] FROM [p1]; CREATE VIEW [w#] AS SELECT [id] FROM [p2]",
        child_foreign_key="CREATE TABLE [ref#] (x int PRIMARY KEY); INSERT INTO [ref#] VALUES (1), (2), (3); ALTER TABLE [p3] ADD"
        " CONSTRAINT [k#] FOREIGN KEY ([a]) REFERENCES [ref#]",
        child_trigger="CREATE TRIGGER [g#] BEFORE UPDATE OF [c] ON [p1] FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE [p2] OWNER"
        " TO :owner",
        child_policy="ALTER TABLE [p1] ENABLE ROW LEVEL SECURITY; CREATE POLICY [y#] ON [p1] USING ([c] IS NOT NULL)",
        child_default_column="ALTER TABLE [p2] ALTER [b] SET DEFAULT 'child'; ALTER TABLE [p3] ALTER [a] SET DEFAULT 9",
        _kinds=(CHILDREN,),
    ),
]
PARTITIONS += [
    *_features(  # children that become artifacts of their own with the table
        child_of_two="CREATE TABLE [other#] (z int); ALTER TABLE [p2] ADD z int; ALTER TABLE [p2] INHERIT [other#]",
        child_column="ALTER TABLE [p1] ADD [x#] int DEFAULT 4; UPDATE [p1] SET [x#] = [id]; CREATE INDEX [i#] ON [p1] ([x#], [c])",
        _kinds=(CHILDREN,),
    ),
    *_features(  # columns that become artifacts of their own with the table
        column_of_row_type="CREATE TABLE [q#] (x int, r [t], l [t][] DEFAULT '{}'); INSERT INTO [q#] SELECT [id], [t], ARRAY[[t]] FROM ONLY [t]"
        " LIMIT 2; CREATE VIEW [v#] AS SELECT r, x FROM [q#]; COMMENT ON COLUMN [q#].r IS 'a row'",
        _strategies=(*TABLE, "rebuild_table"),
    ),
    *_features(  # an archived column loses such an index
        local_invalid_index="CREATE INDEX [i#] ON ONLY [t] ([c]); CREATE INDEX [j#] ON [p2] ([c]); ALTER INDEX [i#] ATTACH PARTITION"
        " [j#]; COMMENT ON INDEX [i#] IS 'half'",
        _kinds=(PARTS,),
        _whole=True,
        _strategies=("soft_drop_column", *TABLE, "rebuild_table"),
    ),
]

PARTITIONS += _features(  # as a dump of an earlier version makes them: each by itself, then attached
    local_not_null_names="DO $renamed$ DECLARE bound text; k record; BEGIN SELECT pg_get_expr(relpartbound, oid) INTO bound FROM pg_class"
    " WHERE oid = '[p2]'::regclass; ALTER TABLE [t] DETACH PARTITION [p2]; FOR k IN SELECT conname FROM pg_constraint WHERE conrelid ="
    " '[p2]'::regclass AND contype = 'n' LOOP EXECUTE 'ALTER TABLE ' || '[p2]'::regclass || ' RENAME CONSTRAINT ' || quote_ident(k.conname)"
    " || ' TO ' || quote_ident('own ' || left(k.conname, 40)); END LOOP; EXECUTE 'ALTER TABLE ' || '[t]'::regclass || ' ATTACH PARTITION ' ||"
    " '[p2]'::regclass || ' ' || bound; END $renamed$",
    _kinds=(PARTS,),
    _since=18,
)

LISTS = _features(  # a list of varchar: what PostgreSQL prints of it reads otherwise
    list_in_check="ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([b]::varchar IN ('x', 'y') OR [c] IS NULL OR [id] > 0)",
    list_in_index="CREATE INDEX [i#] ON [t] ([c]) WHERE [b]::varchar(9) NOT IN ('x', 'it''s', E'\\\\')",
    list_in_view="CREATE VIEW [v#] AS SELECT [c], [id] FROM [t] WHERE [b]::varchar IN ('b1', 'b2') AND [c] IS NOT NULL",
    list_in_trigger="CREATE TRIGGER [g#] AFTER UPDATE ON [t] FOR EACH ROW WHEN (NEW.[b]::varchar IN ('x', 'y') AND NEW.[c] IS"
    " NULL) EXECUTE FUNCTION note()",
    list_in_policy="CREATE POLICY [y#] ON [t] USING ([b]::varchar IN ('x', 'y') OR [c] IS NULL) WITH CHECK ([b]::varchar <>"
    " ALL (ARRAY['x', 'y']::varchar[])); ALTER TABLE [t] ENABLE ROW LEVEL SECURITY",
    list_in_generated="ALTER TABLE [t] ADD [e#] boolean GENERATED ALWAYS AS ([c] IS NULL OR [b]::varchar IN ('x', 'y')) STORED",
    list_in_function="CREATE FUNCTION [fn#]() RETURNS bigint RETURN (SELECT count([c]) FROM [t] WHERE [b]::varchar IN ('x', 'y'))",
)
LISTS += _features(  # a domain that is lifted makes statistics objects anew, in PostgreSQL's words
    list_in_statistics="CREATE STATISTICS [s#] ON ([b]::varchar IN ('x', 'y')), [c] FROM [t]",
    _strategies=tuple(name for name in STRATEGIES if name != "soft_drop_column"),
)
LISTS += _features(
    list_in_rule="CREATE RULE [r#] AS ON UPDATE TO [t] WHERE OLD.[b]::varchar IN ('x', 'y') AND OLD.[c] IS NULL DO ALSO NOTHING",
    _kinds=(PLAIN,),
)
TEMPORAL = _features(
    temporal_key="ALTER TABLE [t] ADD [r#] int4range, ADD [v#] daterange; CREATE TABLE [q#] (r int4range, v daterange,"
    " CONSTRAINT [k#] PRIMARY KEY (r, v WITHOUT OVERLAPS)); ALTER TABLE [t] ADD CONSTRAINT [f#] FOREIGN KEY ([r#], PERIOD"
    " [v#]) REFERENCES [q#] (r, PERIOD v)",
    temporal_unique="ALTER TABLE [t] ADD [r#] int4range, ADD [v#] tstzrange; ALTER TABLE [t] ADD CONSTRAINT [k#] UNIQUE"
    " ([r#], [v#] WITHOUT OVERLAPS); CREATE TABLE [q#] (r int4range, v tstzrange, CONSTRAINT [f#] FOREIGN KEY (r, PERIOD v)"
    " REFERENCES [t] ([r#], PERIOD [v#]))",
    _kinds=(PLAIN,),
    _since=18,
)

FINDS = (  # two functions: the second finds the first by the search path, and hides that it does not
    "CREATE FUNCTION [fn#](x text) RETURNS text LANGUAGE sql IMMUTABLE AS $path$SELECT upper(x)$path$;"
    "CREATE FUNCTION [gn#](x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $path$BEGIN RETURN [fn#](x);"
    " EXCEPTION WHEN undefined_function THEN RETURN NULL; END$path$;"
)
PATHS = _features(
    path_in_check=FINDS
    + "ALTER TABLE [t] ADD CONSTRAINT [k#] CHECK ([c] IS NULL OR [b] IS NULL OR [gn#]([b]) IS"
    " NOT NULL)",
    path_in_generated=FINDS
    + "ALTER TABLE [t] ADD [e#] text GENERATED ALWAYS AS (CASE WHEN [c] IS NULL THEN 'none'"
    " ELSE [gn#]([b]) END) STORED",
    path_in_index=FINDS
    + "CREATE INDEX [i#] ON [t] ([c]) WHERE [gn#]([b]) > 'B'; CREATE INDEX [j#] ON [t] ([c],"
    " ([gn#]([b])))",
)

RARE: list[Feature] = [
    *PATHS,
    *LISTS,
    *TEMPORAL,
    *CONSTRAINTS,
    *INDEXES,
    *ACTORS,
    *RIGHTS,
    *DEPENDENTS,
    *PUBLISHED,
    *PARTITIONS,
]
ALL = [*FEATURES, *RARE, *MANUAL]
