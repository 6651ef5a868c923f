-- The guard: what it does with a plain DROP, and what it knows about the transaction that runs.

-- Only Zanith's own role writes these rules. Of the rules that match a drop, the one that names both schema and role counts; else the
-- stricter of those that name one; else the one that names neither. Without a matching rule the guard is off.
CREATE TABLE zanith._zanith_guard_rules (
    schema_name  text,                            -- of the dropped table; NULL is every schema
    role_name    text,                            -- that runs the statement; NULL is every role
    mode         text NOT NULL CHECK (mode IN ('off', 'warn', 'refuse', 'capture')),
    may_turn_off boolean NOT NULL DEFAULT true,   -- whether SET LOCAL zanith.guard = off is allowed
    expires_in   interval CHECK (expires_in > interval '0'),  -- of the artifacts; NULL is zanith.retention
    set_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    set_by       text NOT NULL DEFAULT session_user,
    UNIQUE NULLS NOT DISTINCT (schema_name, role_name)
);
COMMENT ON TABLE zanith._zanith_guard_rules IS 'What the guard does with a plain DROP: see zanith guard status.';
REVOKE ALL ON zanith._zanith_guard_rules FROM PUBLIC;

-- What the guard accepts as accounted for, until the transaction ends. Definer functions write these rows after they have checked the fact
-- in the catalog. No setting that a user can change says that a drop is accounted for.
CREATE UNLOGGED TABLE zanith._zanith_guard_facts (
    transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    kind        text NOT NULL CHECK (kind IN ('captured', 'stand-in', 'member', 'own work')),
    relation    oid NOT NULL DEFAULT 0,
    attnum      smallint NOT NULL DEFAULT 0,      -- 0 is the table itself
    attributes  smallint NOT NULL DEFAULT 0       -- of a captured column: how many columns its table had then, dropped ones included
);
CREATE INDEX guard_facts_by_transaction ON zanith._zanith_guard_facts (transaction);
COMMENT ON TABLE zanith._zanith_guard_facts IS
    'For the length of a transaction: what was captured in it, the empty stand-ins that its DROP finds, tables of an extension whose script runs, and Zanith''s own work.';
REVOKE ALL ON zanith._zanith_guard_facts FROM PUBLIC;
