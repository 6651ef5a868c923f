-- The guard: artifacts of a transaction that has not recorded yet which migration it is.

-- A constraint trigger, which zanith guard on creates, looks at COMMIT for the row that a migration tool wrote. A row inserts itself as the role
-- that captures: before 18 the trigger runs as the role that commits, from 18 on as the one that inserted the row, and never as Zanith's own.
CREATE UNLOGGED TABLE zanith._zanith_guard_unnamed (
    transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    artifact    text NOT NULL,
    writes      bigint NOT NULL      -- rows that had been written to tables of migration tools then: see zanith._guard_writes
);
CREATE INDEX guard_unnamed_by_transaction ON zanith._zanith_guard_unnamed (transaction);
COMMENT ON TABLE zanith._zanith_guard_unnamed IS 'For the length of a transaction: artifacts that get the migration id of the tool, if it records one.';
REVOKE ALL ON zanith._zanith_guard_unnamed FROM PUBLIC;
GRANT INSERT (artifact, writes) ON zanith._zanith_guard_unnamed TO PUBLIC;
