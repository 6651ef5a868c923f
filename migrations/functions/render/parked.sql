-- What keeps a parked table still: its comment, its owner alone, and triggers that refuse writes.

-- The trigger behind every parked table. ALTER TABLE and a superuser get past it: that is what the seal is for.
CREATE OR REPLACE FUNCTION zanith.refuse_write() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is parked and refuses %', quote_ident(TG_TABLE_SCHEMA), quote_ident(TG_TABLE_NAME), TG_OP
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'Restore it first; see zanith recover list.';
END $$;

-- ENABLE ALWAYS, row and statement: statement triggers alone miss direct writes to a partition and replication's apply. Where a partitioned table
-- gives its row trigger to its partitions (`clones`), they get none of their own (`bare`); else it has none itself.
CREATE OR REPLACE FUNCTION zanith._render_refusal(target text, clones boolean, bare boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(format('CREATE TRIGGER _zanith_refuse_statement BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE '
                'ON %s FOR EACH STATEMENT EXECUTE FUNCTION zanith.refuse_write()', target),
            'Create a trigger that refuses every statement that writes', 'SHARE ROW EXCLUSIVE', ARRAY[target])
        || CASE WHEN bare AND NOT clones THEN '[]' ELSE zanith._step(format('CREATE TRIGGER _zanith_refuse_row BEFORE INSERT OR UPDATE OR DELETE '
                'ON %s FOR EACH ROW EXECUTE FUNCTION zanith.refuse_write()', target),
            'Create a trigger that refuses every row that is written', 'SHARE ROW EXCLUSIVE', ARRAY[target]) END
        || zanith._step(format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER _zanith_refuse_statement', target)
                || CASE WHEN bare THEN '' ELSE ', ENABLE ALWAYS TRIGGER _zanith_refuse_row' END,
            'Fire this trigger for replicated changes too', 'SHARE ROW EXCLUSIVE', ARRAY[target])
        || CASE WHEN clones THEN zanith._step(format('ALTER TABLE %s ENABLE ALWAYS TRIGGER _zanith_refuse_row', target),
            'Fire this trigger, and those of the partitions, for replicated changes too', 'SHARE ROW EXCLUSIVE', ARRAY[target]) ELSE '[]' END
$$;

-- A trigger of the parent takes those of the partitions with it.
CREATE OR REPLACE FUNCTION zanith._render_refusal_end(target text, cloned boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(format('DROP TRIGGER IF EXISTS _zanith_refuse_statement ON %s', target),
            'Remove the write guard for statements', 'ACCESS EXCLUSIVE', ARRAY[target])
        || CASE WHEN cloned THEN '[]' ELSE
            zanith._step(format('DROP TRIGGER IF EXISTS _zanith_refuse_row ON %s', target),
                'Remove the write guard for rows', 'ACCESS EXCLUSIVE', ARRAY[target]) END
$$;

-- Default privileges may have given a new table away.
CREATE OR REPLACE FUNCTION zanith._render_privacy(archive text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    -- it runs under the path that event triggers need: nothing in it is looked up there
    SELECT zanith._step(zanith._do(format('/* DDL */ DECLARE r record; BEGIN FOR r IN SELECT DISTINCT CASE WHEN x.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN ''PUBLIC'' '
                'ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS name '
                'FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x WHERE c.oid OPERATOR(pg_catalog.=) %L::pg_catalog.regclass::pg_catalog.oid '
                'AND x.grantee OPERATOR(pg_catalog.<>) c.relowner '
                'LOOP EXECUTE pg_catalog.format(''REVOKE ALL ON TABLE %%s FROM %%s'', %L::pg_catalog.text, r.name); END LOOP; END', archive, archive)),
            'Revoke the privileges of other roles, those from default privileges too')
$$;

-- A new archive in the shadow: owned, closed, named, still.
CREATE OR REPLACE FUNCTION zanith._render_archive_care(archive text, owner text, id text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._render_privacy(archive)
        || zanith._render_refusal(archive, false, false)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', archive, zanith._parked_comment(id)), 'Mark the archive with the artifact''s id')
        || zanith._step(format('ALTER TABLE %s OWNER TO %I', archive, owner), 'Give the archive to the owner of the table')
$$;
