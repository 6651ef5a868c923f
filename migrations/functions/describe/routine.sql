-- Functions and procedures that a cascade takes along.

CREATE OR REPLACE FUNCTION zanith._describe_routine(routine oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'name', zanith._routine_address(p.oid),
        'namespace', n.nspname, 'routine', p.proname, 'inputs', oidvectortypes(p.proargtypes),
        'definition', CASE WHEN p.prokind = 'a' THEN zanith._aggregate_definition(p.oid) ELSE pg_get_functiondef(p.oid) END,
        'standard', p.prosqlbody IS NOT NULL,
        'owner', pg_get_userbyid(p.proowner),
        'grants', zanith._describe_grants(p.proacl, 'f', p.proowner),
        'comment', obj_description(p.oid, 'pg_proc')) || zanith._describe_extensions('pg_proc'::regclass, p.oid)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = routine
); END $$;

-- What DROP ROUTINE, ALTER ROUTINE and GRANT take. The arguments of an ordered-set aggregate are printed with ORDER BY, which only
-- AGGREGATE takes: of those it is the types.
CREATE OR REPLACE FUNCTION zanith._routine_address(routine oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('%s(%s)', zanith._qualify(n.nspname, p.proname),
                  CASE WHEN a.aggkind <> 'n' THEN oidvectortypes(p.proargtypes) ELSE pg_get_function_identity_arguments(p.oid) END)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE p.oid = routine
); END $$;

-- CREATE AGGREGATE, which PostgreSQL has no function for, as pg_dump writes it.
CREATE OR REPLACE FUNCTION zanith._aggregate_definition(routine oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('CREATE AGGREGATE %s (%s) (%s)', zanith._qualify(n.nspname, p.proname),
        COALESCE(NULLIF(pg_get_function_arguments(p.oid), ''), '*'),
        (SELECT string_agg(o.word || COALESCE(' = ' || o.value, ''), ', ' ORDER BY o.ord) FROM (VALUES
            (1, 'SFUNC', zanith._routine_called(a.aggtransfn), true),
            (2, 'STYPE', format_type(a.aggtranstype, NULL), true),
            (3, 'SSPACE', a.aggtransspace::text, a.aggtransspace <> 0),
            (4, 'FINALFUNC', zanith._routine_called(a.aggfinalfn), a.aggfinalfn <> 0),
            (5, 'FINALFUNC_EXTRA', NULL, a.aggfinalextra),
            (6, 'FINALFUNC_MODIFY', zanith._modifies(a.aggfinalmodify), a.aggfinalfn <> 0 AND (a.aggfinalmodify <> 'r' OR a.aggkind <> 'n')), -- the default of the others is READ_WRITE
            (7, 'COMBINEFUNC', zanith._routine_called(a.aggcombinefn), a.aggcombinefn <> 0),
            (8, 'SERIALFUNC', zanith._routine_called(a.aggserialfn), a.aggserialfn <> 0),
            (9, 'DESERIALFUNC', zanith._routine_called(a.aggdeserialfn), a.aggdeserialfn <> 0),
            (10, 'INITCOND', quote_literal(a.agginitval), a.agginitval IS NOT NULL),
            (11, 'MSFUNC', zanith._routine_called(a.aggmtransfn), a.aggmtransfn <> 0),
            (12, 'MINVFUNC', zanith._routine_called(a.aggminvtransfn), a.aggminvtransfn <> 0),
            (13, 'MSTYPE', format_type(NULLIF(a.aggmtranstype, 0), NULL), a.aggmtranstype <> 0),
            (14, 'MSSPACE', a.aggmtransspace::text, a.aggmtransspace <> 0),
            (15, 'MFINALFUNC', zanith._routine_called(a.aggmfinalfn), a.aggmfinalfn <> 0),
            (16, 'MFINALFUNC_EXTRA', NULL, a.aggmfinalextra),
            (17, 'MFINALFUNC_MODIFY', zanith._modifies(a.aggmfinalmodify), a.aggmfinalfn <> 0 AND a.aggmfinalmodify <> 'r'),
            (18, 'MINITCOND', quote_literal(a.aggminitval), a.aggminitval IS NOT NULL),
            (19, 'SORTOP', (SELECT format('OPERATOR(%I.%s)', s.nspname, r.oprname) FROM pg_operator r JOIN pg_namespace s ON s.oid = r.oprnamespace WHERE r.oid = a.aggsortop), a.aggsortop <> 0),
            (20, 'PARALLEL', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' END, p.proparallel <> 'u'),
            (21, 'HYPOTHETICAL', NULL, a.aggkind = 'h')) o(ord, word, value, wanted)
         WHERE o.wanted))
    FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE a.aggfnoid = routine
); END $$;

CREATE OR REPLACE FUNCTION zanith._routine_called(routine oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._qualify(n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = routine
); END $$;

CREATE OR REPLACE FUNCTION zanith._modifies(how "char") RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE how WHEN 's' THEN 'SHAREABLE' WHEN 'w' THEN 'READ_WRITE' ELSE 'READ_ONLY' END $$;
