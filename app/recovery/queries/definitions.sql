-- definition: as it is recorded
SELECT definition FROM zanith._zanith_migration_artifacts WHERE id = $1;

-- recorded: its SQL
SELECT zanith.definition_ddl(definition) FROM zanith._artifact($1);

-- now: the SQL of what is there now by that name
SELECT zanith.ddl_now($1);

-- render: the SQL of a definition that is at hand
SELECT zanith.definition_ddl($1::jsonb);
