-- The guard: parts of a table that a statement of the transaction dropped by themselves, before their table or column.

-- Definer functions describe them from the catalog, before PostgreSQL drops them. A capture later in the transaction takes those that are of
-- its table or column into its definition.
CREATE UNLOGGED TABLE zanith._zanith_guard_parts (
    transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    class       oid NOT NULL,
    object      oid NOT NULL,
    relation    oid NOT NULL,                     -- its table
    list        text NOT NULL,                    -- where the definition has it, such as indexes
    columns     jsonb NOT NULL,                   -- of its table, that it names
    item        jsonb NOT NULL,                   -- as the definition has it
    needs       jsonb NOT NULL                    -- what it refers to, as the definition has that
);
CREATE INDEX guard_parts_by_transaction ON zanith._zanith_guard_parts (transaction, relation);
COMMENT ON TABLE zanith._zanith_guard_parts IS 'For the length of a transaction: the definitions of indexes, constraints, defaults and other parts that it dropped.';
REVOKE ALL ON zanith._zanith_guard_parts FROM PUBLIC;
