-- routines: functions and procedures
SELECT 'pg_proc'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind,
       ARRAY[n.nspname::text, p.proname::text, (SELECT COALESCE(pg_catalog.string_agg(format_type(t.type, NULL), ', ' ORDER BY t.place), '')
           FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS t(type, place))] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(p.proowner), 'definition', pg_get_functiondef(p.oid),
           'arguments', pg_get_function_identity_arguments(p.oid), 'result', pg_get_function_result(p.oid), 'defaults', NULLIF(p.pronargdefaults, 0))) AS attributes
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
  AND NOT EXISTS (SELECT FROM pg_depend AS r WHERE r.classid = 'pg_proc'::regclass AND r.objid = p.oid AND r.refclassid = 'pg_type'::regclass AND r.deptype = 'i');

-- aggregates: functions that PostgreSQL makes from others
SELECT 'pg_proc'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, 'aggregate' AS kind,
       ARRAY[n.nspname::text, p.proname::text, COALESCE(NULLIF(pg_get_function_identity_arguments(p.oid), ''), '*')] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(p.proowner), 'result', pg_get_function_result(p.oid),
           'kind', CASE a.aggkind WHEN 'o' THEN 'ordered-set' WHEN 'h' THEN 'hypothetical-set' END, 'arguments', pg_get_function_arguments(p.oid),
           'parallel', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' END,
           'sfunc', a.aggtransfn::regproc::text, 'stype', format_type(a.aggtranstype, NULL), 'sspace', NULLIF(a.aggtransspace, 0),
           'finalfunc', NULLIF(a.aggfinalfn::regproc::text, '-'), 'finalfunc_extra', NULLIF(a.aggfinalextra, false), 'finalfunc_modify', a.aggfinalmodify,
           'combinefunc', NULLIF(a.aggcombinefn::regproc::text, '-'), 'serialfunc', NULLIF(a.aggserialfn::regproc::text, '-'),
           'deserialfunc', NULLIF(a.aggdeserialfn::regproc::text, '-'), 'initcond', a.agginitval,
           'msfunc', NULLIF(a.aggmtransfn::regproc::text, '-'), 'minvfunc', NULLIF(a.aggminvtransfn::regproc::text, '-'),
           'mstype', CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, 'msspace', NULLIF(a.aggmtransspace, 0),
           'mfinalfunc', NULLIF(a.aggmfinalfn::regproc::text, '-'), 'mfinalfunc_extra', NULLIF(a.aggmfinalextra, false),
           'mfinalfunc_modify', CASE WHEN a.aggmtransfn <> 0 THEN a.aggmfinalmodify END, 'minitcond', a.aggminitval,
           'sortop', CASE WHEN a.aggsortop <> 0 THEN a.aggsortop::regoperator::text END)) AS attributes
FROM pg_aggregate AS a JOIN pg_proc AS p ON p.oid = a.aggfnoid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e');

-- types: enums, domains, ranges, composite and base types
SELECT 'pg_type'::regclass::oid AS classid, t.oid AS objid, 0 AS objsubid,
       CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' WHEN 'c' THEN 'composite_type' WHEN 'p' THEN 'shell_type' ELSE 'base_type' END AS kind,
       ARRAY[n.nspname::text, t.typname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(t.typowner))
           || CASE t.typtype
           WHEN 'e' THEN pg_catalog.jsonb_build_object('labels', COALESCE((SELECT pg_catalog.jsonb_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum AS l WHERE l.enumtypid = t.oid), '[]'))
           WHEN 'd' THEN pg_catalog.jsonb_build_object('type', format_type(t.typbasetype, t.typtypmod), 'not_null', NULLIF(t.typnotnull, false),
               'default', pg_get_expr(t.typdefaultbin, 0),
               'collation', CASE WHEN t.typcollation <> b.typcollation THEN (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname)
                   FROM pg_collation AS l JOIN pg_namespace AS ln ON ln.oid = l.collnamespace WHERE l.oid = t.typcollation) END)
           WHEN 'r' THEN (SELECT pg_catalog.jsonb_build_object('subtype', format_type(r.rngsubtype, NULL), 'multirange', quote_ident(mn.nspname) || '.' || quote_ident(m.typname),
                   'collation', CASE WHEN r.rngcollation <> s.typcollation THEN (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname)
                       FROM pg_collation AS l JOIN pg_namespace AS ln ON ln.oid = l.collnamespace WHERE l.oid = r.rngcollation) END,
                   'opclass', CASE WHEN NOT o.opcdefault THEN quote_ident(cn.nspname) || '.' || quote_ident(o.opcname) END,
                   'canonical', NULLIF(r.rngcanonical::regproc::text, '-'), 'subtype_diff', NULLIF(r.rngsubdiff::regproc::text, '-'))
               FROM pg_range AS r JOIN pg_type AS s ON s.oid = r.rngsubtype JOIN pg_type AS m ON m.oid = r.rngmultitypid
               JOIN pg_namespace AS mn ON mn.oid = m.typnamespace JOIN pg_opclass AS o ON o.oid = r.rngsubopc
               JOIN pg_namespace AS cn ON cn.oid = o.opcnamespace WHERE r.rngtypid = t.oid)
           WHEN 'b' THEN pg_catalog.jsonb_build_object('input', t.typinput::regproc::text, 'output', t.typoutput::regproc::text,
               'receive', NULLIF(t.typreceive::regproc::text, '-'), 'send', NULLIF(t.typsend::regproc::text, '-'),
               'typmod_in', NULLIF(t.typmodin::regproc::text, '-'), 'typmod_out', NULLIF(t.typmodout::regproc::text, '-'),
               'analyze', NULLIF(t.typanalyze::regproc::text, '-'), 'subscript', NULLIF(t.typsubscript::regproc::text, '-'),
               'internallength', t.typlen, 'passedbyvalue', NULLIF(t.typbyval, false), 'alignment', t.typalign, 'storage', t.typstorage,
               'category', t.typcategory, 'preferred', NULLIF(t.typispreferred, false), 'default', t.typdefault,
               'element', CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END, 'delimiter', t.typdelim, 'collatable', NULLIF(t.typcollation <> 0, false))
           ELSE '{}' END) AS attributes
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace LEFT JOIN pg_type AS b ON b.oid = t.typbasetype
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE t.typtype IN ('e', 'd', 'r', 'c', 'b', 'p') AND (c.oid IS NULL OR c.relkind = 'c') AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_type AS el WHERE el.typarray = t.oid)
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e');

-- domain_constraints: CHECK, and since PostgreSQL 17 NOT NULL
SELECT 'pg_constraint'::regclass::oid AS classid, k.oid AS objid, 0 AS objsubid, 'domain_constraint' AS kind,
       ARRAY[n.nspname::text, t.typname::text, k.conname::text] AS name,
       pg_catalog.jsonb_build_object('definition', pg_get_constraintdef(k.oid)) AS attributes
FROM pg_constraint AS k JOIN pg_type AS t ON t.oid = k.contypid JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e');

-- operators: with their functions
SELECT 'pg_operator'::regclass::oid AS classid, o.oid AS objid, 0 AS objsubid, 'operator' AS kind,
       ARRAY[n.nspname::text, o.oprname::text, CASE o.oprleft WHEN 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END, format_type(o.oprright, NULL)] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(o.oprowner), 'function', NULLIF(o.oprcode::regproc::text, '-'),
           'commutator', (SELECT quote_ident(cn.nspname) || '.' || c.oprname FROM pg_operator AS c JOIN pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprcom),
           'negator', (SELECT quote_ident(cn.nspname) || '.' || c.oprname FROM pg_operator AS c JOIN pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprnegate),
           'restrict', NULLIF(o.oprrest::regproc::text, '-'), 'join', NULLIF(o.oprjoin::regproc::text, '-'),
           'hashes', NULLIF(o.oprcanhash, false), 'merges', NULLIF(o.oprcanmerge, false))) AS attributes
FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE {user_schema} AND o.oprcode <> 0
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_operator'::regclass AND e.objid = o.oid AND e.deptype = 'e');

-- operator_families: with the members that belong to no operator class
SELECT 'pg_opfamily'::regclass::oid AS classid, f.oid AS objid, 0 AS objsubid, 'operator_family' AS kind,
       ARRAY[n.nspname::text, f.opfname::text, m.amname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(f.opfowner), 'members', (
           SELECT pg_catalog.jsonb_agg(x.text ORDER BY x.text COLLATE "C") FROM (
               SELECT pg_catalog.concat('OPERATOR ', o.amopstrategy, ' ', o.amopopr::regoperator, CASE WHEN o.amopsortfamily <> 0 THEN (
                   SELECT pg_catalog.concat(' FOR ORDER BY ', quote_ident(sn.nspname), '.', quote_ident(sf.opfname)) FROM pg_opfamily AS sf JOIN pg_namespace AS sn ON sn.oid = sf.opfnamespace WHERE sf.oid = o.amopsortfamily) END) AS text
               FROM pg_amop AS o WHERE o.amopfamily = f.oid AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_amop'::regclass AND d.objid = o.oid AND d.refclassid = 'pg_opclass'::regclass AND d.deptype IN ('i', 'a'))
               UNION ALL
               SELECT pg_catalog.concat('FUNCTION ', p.amprocnum, ' (', format_type(p.amproclefttype, NULL), ', ', format_type(p.amprocrighttype, NULL), ') ', p.amproc::regprocedure)
               FROM pg_amproc AS p WHERE p.amprocfamily = f.oid AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_amproc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_opclass'::regclass AND d.deptype IN ('i', 'a'))
           ) AS x))) AS attributes
FROM pg_opfamily AS f JOIN pg_namespace AS n ON n.oid = f.opfnamespace JOIN pg_am AS m ON m.oid = f.opfmethod
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_opfamily'::regclass AND e.objid = f.oid AND e.deptype = 'e');

-- operator_classes: with their operators and functions
SELECT 'pg_opclass'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, 'operator_class' AS kind,
       ARRAY[n.nspname::text, c.opcname::text, m.amname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(c.opcowner), 'type', format_type(c.opcintype, NULL),
           'default', NULLIF(c.opcdefault, false), 'storage', CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END,
           'family', quote_ident(fn.nspname) || '.' || quote_ident(f.opfname), 'members', (
           SELECT pg_catalog.jsonb_agg(x.text ORDER BY x.text COLLATE "C") FROM (
               SELECT pg_catalog.concat('OPERATOR ', o.amopstrategy, ' ', o.amopopr::regoperator, CASE WHEN o.amopsortfamily <> 0 THEN (
                   SELECT pg_catalog.concat(' FOR ORDER BY ', quote_ident(sn.nspname), '.', quote_ident(sf.opfname)) FROM pg_opfamily AS sf JOIN pg_namespace AS sn ON sn.oid = sf.opfnamespace WHERE sf.oid = o.amopsortfamily) END) AS text
               FROM pg_amop AS o JOIN pg_depend AS d ON d.classid = 'pg_amop'::regclass AND d.objid = o.oid AND d.refclassid = 'pg_opclass'::regclass AND d.refobjid = c.oid
               UNION ALL
               SELECT pg_catalog.concat('FUNCTION ', p.amprocnum, ' (', format_type(p.amproclefttype, NULL), ', ', format_type(p.amprocrighttype, NULL), ') ', p.amproc::regprocedure)
               FROM pg_amproc AS p JOIN pg_depend AS d ON d.classid = 'pg_amproc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_opclass'::regclass AND d.refobjid = c.oid
           ) AS x))) AS attributes
FROM pg_opclass AS c JOIN pg_namespace AS n ON n.oid = c.opcnamespace JOIN pg_am AS m ON m.oid = c.opcmethod
JOIN pg_opfamily AS f ON f.oid = c.opcfamily JOIN pg_namespace AS fn ON fn.oid = f.opfnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_opclass'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- collations: with their provider and locale
SELECT 'pg_collation'::regclass::oid AS classid, l.oid AS objid, 0 AS objsubid, 'collation' AS kind,
       ARRAY[n.nspname::text, l.collname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(l.collowner),
           'provider', CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' WHEN 'c' THEN 'libc' ELSE 'default' END,
           'deterministic', CASE WHEN NOT l.collisdeterministic THEN false END,
           'locale', COALESCE(pg_catalog.to_jsonb(l) ->> 'colllocale', pg_catalog.to_jsonb(l) ->> 'colliculocale'),
           'rules', pg_catalog.to_jsonb(l) ->> 'collicurules', 'lc_collate', l.collcollate, 'lc_ctype', l.collctype)) AS attributes
FROM pg_collation AS l JOIN pg_namespace AS n ON n.oid = l.collnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_collation'::regclass AND e.objid = l.oid AND e.deptype = 'e');

-- conversions: between encodings
SELECT 'pg_conversion'::regclass::oid AS classid, v.oid AS objid, 0 AS objsubid, 'conversion' AS kind,
       ARRAY[n.nspname::text, v.conname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(v.conowner), 'from', pg_encoding_to_char(v.conforencoding),
           'to', pg_encoding_to_char(v.contoencoding), 'function', v.conproc::regproc::text, 'default', NULLIF(v.condefault, false))) AS attributes
FROM pg_conversion AS v JOIN pg_namespace AS n ON n.oid = v.connamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_conversion'::regclass AND e.objid = v.oid AND e.deptype = 'e');

-- text_search_parsers: by their functions
SELECT 'pg_ts_parser'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, 'text_search_parser' AS kind,
       ARRAY[n.nspname::text, p.prsname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('start', p.prsstart::regproc::text, 'gettoken', p.prstoken::regproc::text, 'end', p.prsend::regproc::text,
           'headline', NULLIF(p.prsheadline::regproc::text, '-'), 'lextypes', p.prslextype::regproc::text)) AS attributes
FROM pg_ts_parser AS p JOIN pg_namespace AS n ON n.oid = p.prsnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_ts_parser'::regclass AND e.objid = p.oid AND e.deptype = 'e');

-- text_search_templates: by their functions
SELECT 'pg_ts_template'::regclass::oid AS classid, t.oid AS objid, 0 AS objsubid, 'text_search_template' AS kind,
       ARRAY[n.nspname::text, t.tmplname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('init', NULLIF(t.tmplinit::regproc::text, '-'), 'lexize', t.tmpllexize::regproc::text)) AS attributes
FROM pg_ts_template AS t JOIN pg_namespace AS n ON n.oid = t.tmplnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_ts_template'::regclass AND e.objid = t.oid AND e.deptype = 'e');

-- text_search_dictionaries: a template and its options
SELECT 'pg_ts_dict'::regclass::oid AS classid, d.oid AS objid, 0 AS objsubid, 'text_search_dictionary' AS kind,
       ARRAY[n.nspname::text, d.dictname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(d.dictowner),
           'template', quote_ident(tn.nspname) || '.' || quote_ident(t.tmplname), 'options', d.dictinitoption)) AS attributes
FROM pg_ts_dict AS d JOIN pg_namespace AS n ON n.oid = d.dictnamespace JOIN pg_ts_template AS t ON t.oid = d.dicttemplate
JOIN pg_namespace AS tn ON tn.oid = t.tmplnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_ts_dict'::regclass AND e.objid = d.oid AND e.deptype = 'e');

-- text_search_configurations: a parser and the dictionaries of each type of token
SELECT 'pg_ts_config'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, 'text_search_configuration' AS kind,
       ARRAY[n.nspname::text, c.cfgname::text] AS name,
       pg_catalog.jsonb_build_object('owner', pg_get_userbyid(c.cfgowner), 'parser', quote_ident(pn.nspname) || '.' || quote_ident(p.prsname),
           'mappings', COALESCE((SELECT pg_catalog.jsonb_object_agg(m.alias, m.dictionaries) FROM (
               SELECT tt.alias, pg_catalog.jsonb_agg(quote_ident(dn.nspname) || '.' || quote_ident(d.dictname) ORDER BY m.mapseqno) AS dictionaries
               FROM pg_ts_config_map AS m JOIN pg_ts_dict AS d ON d.oid = m.mapdict JOIN pg_namespace AS dn ON dn.oid = d.dictnamespace
               JOIN LATERAL ts_token_type(c.cfgparser) AS tt ON tt.tokid = m.maptokentype
               WHERE m.mapcfg = c.oid GROUP BY tt.alias) AS m), '{}')) AS attributes
FROM pg_ts_config AS c JOIN pg_namespace AS n ON n.oid = c.cfgnamespace JOIN pg_ts_parser AS p ON p.oid = c.cfgparser
JOIN pg_namespace AS pn ON pn.oid = p.prsnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_ts_config'::regclass AND e.objid = c.oid AND e.deptype = 'e');
