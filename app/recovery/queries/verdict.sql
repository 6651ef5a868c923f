-- default: the default of a column that was parked, as it was recorded; NULL where it had none
SELECT definition #>> '{column,default}' FROM zanith._zanith_migration_artifacts WHERE id = $1;
