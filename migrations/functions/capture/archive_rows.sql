-- archive_rows: copy the rows of a table that stays, before somebody deletes them, as TRUNCATE does.

CREATE OR REPLACE FUNCTION zanith._define_rows(relation oid, id text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT zanith._define_rebuild(relation, id, true) || '{"strategy": "archive_rows", "references": [], "publications": [], "dependents": []}'
        || jsonb_build_object('sequences_above', zanith._sequences_above(relation))
$$;

-- The sequences that columns of the parents of a table own, at any height: TRUNCATE … RESTART IDENTITY of a parent, which may have no rows of its
-- own, restarts them too. Only those of the owner of the table: the restore runs as that role.
CREATE OR REPLACE FUNCTION zanith._sequences_above(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE above(oid) AS (
        SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = relation
        UNION SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid)
    SELECT zanith._list(s.item ORDER BY a.oid, t.attnum, s.ord)
    FROM above a CROSS JOIN LATERAL (SELECT x.attnum FROM pg_attribute x WHERE x.attrelid = a.oid AND x.attnum > 0 AND NOT x.attisdropped OFFSET 0) t
    CROSS JOIN LATERAL zanith._each(zanith._describe_sequences(a.oid, t.attnum)) s
    WHERE s.item ->> 'owner' = (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = relation)
); END $$;

-- Constraints that rows of today need not meet, and that rows which are inserted must.
CREATE OR REPLACE FUNCTION zanith._find_unproved(relation oid) RETURNS TABLE (what text, way_out text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT format('the constraint %I', x.name), format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', zanith._relation_name(relation), x.name)
    FROM (SELECT k.item ->> 'name' FROM zanith._each(zanith._describe_constraints(relation)) k
          WHERE zanith._constraint_is(k.item, 'reference') AND (k.item ->> 'enforced')::boolean AND NOT (k.item ->> 'validated')::boolean
          UNION ALL
          SELECT u.item ->> 'name' FROM zanith._unproved_conditions(relation) u) x(name)
    ORDER BY 1;
END $$;

-- Each table of a tree has rows, indexes and triggers of its own, and TRUNCATE fires triggers of each. What could not come back is refused.
CREATE OR REPLACE FUNCTION zanith._check_rows(relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name text := zanith._relation_name(relation);
    unproved record;
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'p') THEN
        PERFORM zanith._refuse(format('%s is partitioned: its partitions have its rows', name),
            format('Copy those of each: SELECT zanith.archive_rows(p.relid) FROM pg_partition_tree(%L) p WHERE p.isleaf;', name));
    ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') THEN
        PERFORM zanith._refuse(format('%s has no column whose values could be copied', name), 'There is nothing to keep of its rows.');
    END IF;
    SELECT * INTO unproved FROM zanith._find_unproved(relation) LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('rows of %s need not meet %s, which is NOT VALID: those that do not could not come back', name, unproved.what),
            'Validate it first: ' || unproved.way_out);
    END IF;
END $$;
