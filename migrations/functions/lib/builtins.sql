-- PostgreSQL's own functions: which compute a value from values, and which may run code that no dependency names.
--
-- No dependency on a function of pg_catalog is recorded. Some of these functions execute a text as SQL, read a value of a type that an argument names,
-- cast to JSON, or look up the partition key of any table. A function counts as one of these until somebody looked at it and listed it here.

-- The harmless ones that take text, an oid or any type. Each of them computes from its arguments, calls functions in C, operators of default operator
-- classes (which superusers create), or asks for a privilege or a setting. The volatile ones are numbers, times and identifiers.
CREATE OR REPLACE FUNCTION zanith._harmless_builtins() RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN string_to_array(concat_ws(' ',
    -- of text
    'array_to_tsvector ascii bit_length bool bpchar bpchariclike bpcharicnlike bpcharicregexeq bpcharicregexne bpcharlike bpcharnlike bpcharregexeq bpcharregexne '
    'btrim casefold char char_length character_length convert convert_from convert_to decode encode float4 float8 initcap int2 int4 int8 is_normalized left length '
    'like like_escape lower lpad ltrim md5 name nameiclike nameicnlike nameicregexeq nameicregexne namelike namenlike nameregexeq nameregexne normalize notlike '
    'numeric octet_length overlay parse_ident position quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches '
    'regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim similar_escape similar_to_escape split_part '
    'starts_with string_to_array string_to_table strpos substr substring text textcat texticlike texticnlike texticregexeq texticregexne textlen textlike textnlike '
    'textregexeq textregexne to_ascii translate unicode_assigned unistr upper varchar',
    -- of numbers and times, with the name of a field, a zone, a format or bounds
    'date_add date_part date_subtract date_trunc daterange extract generate_series int4range int8range make_timestamptz numrange timezone to_char to_date to_number '
    'to_timestamp tsrange tstzrange width_bucket',
    -- of arrays, enums, ranges and rows
    'anytextcat array_append array_cat array_dims array_fill array_larger array_length array_lower array_ndims array_position array_positions array_prepend array_remove '
    'array_replace array_reverse array_smaller array_sort array_to_string array_upper cardinality concat concat_ws enum_first enum_larger enum_last enum_range '
    'enum_smaller format generate_subscripts isempty lower_inc lower_inf multirange multirange_intersect multirange_minus multirange_union num_nonnulls num_nulls '
    'range_intersect range_merge range_minus range_union record_larger record_smaller textanycat trim_array unnest upper_inc upper_inf',
    -- of JSON, but for those that make it or read another type from it
    'json_array_element json_array_element_text json_array_elements json_array_elements_text json_array_length json_each json_each_text json_extract_path '
    'json_extract_path_text json_object json_object_field json_object_field_text json_object_keys json_strip_nulls json_typeof jsonb_array_element '
    'jsonb_array_element_text jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_concat jsonb_delete jsonb_delete_path jsonb_each jsonb_each_text '
    'jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_field jsonb_object_field_text jsonb_object_keys jsonb_path_exists '
    'jsonb_path_exists_opr jsonb_path_exists_tz jsonb_path_match jsonb_path_match_opr jsonb_path_match_tz jsonb_path_query jsonb_path_query_array '
    'jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_typeof',
    -- of text search and XML; dictionaries and parsers are C
    'json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight to_tsquery to_tsvector ts_delete ts_headline ts_match_qv ts_match_tq '
    'ts_match_tt ts_match_vq ts_rank ts_rank_cd tsquery_and tsquery_not tsquery_or tsquery_phrase websearch_to_tsquery xml xml_is_well_formed xml_is_well_formed_content '
    'xml_is_well_formed_document xmlcomment xmlconcat2 xmlexists xmltext xpath xpath_exists',
    -- aggregates and windows
    'any_value array_agg count cume_dist dense_rank first_value lag last_value lead max min mode nth_value percent_rank percentile_disc range_agg range_intersect_agg rank '
    'string_agg xmlagg',
    -- what they ask is a privilege, a setting, a name or a size
    'current_setting format_type has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege '
    'has_language_privilege has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege '
    'pg_collation_for pg_column_size pg_get_userbyid pg_has_role pg_size_bytes pg_typeof row_security_active',
    -- numbers, times and identifiers
    'clock_timestamp currval gen_random_uuid lastval nextval pg_current_xact_id random random_normal setval timeofday txid_current uuidv4 uuidv7'), ' ');
END $$;

-- Whether p, a row of pg_proc, is a function of PostgreSQL's own that may do more than compute: a condition, for scripts too. Harmless is
--   * what takes nothing but values of types which name nothing (numbers, times, geometry, bits, addresses), and is not volatile;
--   * an operator, or a support function, of an operator class of PostgreSQL's own, and the negator and commutator of such an operator;
--   * what is listed above;
--   * what makes JSON, where nobody but superusers made a cast to JSON.
CREATE OR REPLACE FUNCTION zanith._acting_condition() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN format($sql$p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND NOT (
    p.proname = ANY (%L::pg_catalog.name[])
    OR p.provolatile <> 'v' AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) a(o) JOIN pg_catalog.pg_type t ON t.oid = a.o
            JOIN pg_catalog.pg_type y ON y.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END
        WHERE y.typtype IN ('p', 'c', 'd') OR y.typcategory = 'S' OR y.typname ~ '^(oid|reg.*|json.*|xml|tsquery|aclitem|pg_(node_tree|ndistinct|dependencies|mcv_list|ddl_command|brin.*))$')
    OR p.provolatile <> 'v' AND EXISTS (
        SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_amop m ON m.amopopr IN (o.oid, o.oprnegate, o.oprcom) AND m.amopfamily < 16384 WHERE o.oprcode = p.oid
        UNION ALL SELECT FROM pg_catalog.pg_amproc m WHERE m.amproc = p.oid AND m.amprocfamily < 16384)
    OR p.proname ~ '^(row_to_json|to_jsonb?|array_to_json|jsonb?_build_|jsonb?_(object_)?agg)' AND NOT %s)$sql$, zanith._harmless_builtins(), zanith._json_casts());
END $$;

-- Whether reading or writing a row of a table reads a value of a type that no dependency names: that of a column, as a row that JSON fills.
CREATE OR REPLACE FUNCTION zanith._reads_types(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._read_parts(relation) r, LATERAL zanith._trees(r.class, r.object) t, LATERAL regexp_matches(t.tree, ':funcid (\d+)', 'g') m(called)
    JOIN pg_proc p ON p.oid = m.called[1]::oid WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^jsonb?_(populate_record|to_record)'
); END $$;

-- Whether somebody other than a superuser made a cast to JSON: a function that makes JSON looks it up by itself.
CREATE OR REPLACE FUNCTION zanith._json_casts() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $sql$EXISTS (
    SELECT FROM pg_catalog.pg_cast y JOIN pg_catalog.pg_proc f ON f.oid = y.castfunc JOIN pg_catalog.pg_roles w ON w.oid = f.proowner AND NOT w.rolsuper
    WHERE y.casttarget IN ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype) AND y.castsource >= 16384)$sql$;
END $$;

CREATE OR REPLACE FUNCTION zanith._has_json_casts() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found boolean;
BEGIN
    EXECUTE 'SELECT ' || zanith._json_casts() INTO found;
    RETURN found;
END $$;

-- The first of these functions that may do more than compute, as its name with arguments; NULL where there is none.
CREATE OR REPLACE FUNCTION zanith._first_acting(functions oid[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found text;
BEGIN
    IF cardinality(functions) > 0 THEN
        EXECUTE 'SELECT min(p.oid::regprocedure::text) FROM pg_catalog.pg_proc p WHERE p.oid = ANY ($1) AND ' || zanith._acting_condition() INTO found USING functions;
    END IF;
    RETURN found;
END $$;

-- The first of them that an object calls; NULL where there is none.
CREATE OR REPLACE FUNCTION zanith._find_acting_builtin(class oid, object oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    tree text;
    found text;
BEGIN
    FOR tree IN SELECT t.tree FROM zanith._trees(class, object) t LOOP
        found := LEAST(found, COALESCE(
            zanith._first_acting(ARRAY(SELECT m.called[1]::oid FROM regexp_matches(tree, ':(?:(?:op)?funcid|(?:agg|win)fnoid) (\d+)', 'g') m(called))),
            CASE WHEN position('{JSONCONSTRUCTOREXPR ' IN tree) > 0 AND zanith._has_json_casts() THEN 'casts to JSON' END));
    END LOOP;
    RETURN found;
END $$;

-- The same of an expression as PostgreSQL prints it: any function of such a name counts.
CREATE OR REPLACE FUNCTION zanith._find_acting_call(expression text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE(
    zanith._first_acting(ARRAY(SELECT p.oid FROM regexp_matches(expression, '"?([a-z_][a-z0-9_]*)"?\(', 'g') m(called) JOIN pg_proc p ON p.proname = m.called[1])),
    CASE WHEN expression ~ '\mJSON(_OBJECT|_ARRAY|_OBJECTAGG|_ARRAYAGG|_SCALAR)?\(' AND zanith._has_json_casts() THEN 'casts to JSON' END
); END $$;
