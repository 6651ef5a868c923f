"""What mends each finding of the doctor, by its code; braces name what the finding is of."""

_BACKUP = (
    "restore it from a backup; if it is lost for good, zanith recover purge {id} removes the record"
)
_ORPHAN = (
    "it may be the only copy of the dropped object: restore its row of"
    " zanith._zanith_migration_artifacts from a backup"
)
_LOOK = "zanith recover verify {id} tells whether the rows are unchanged; "

REMEDIES = {
    # missing
    "table_dropped": _BACKUP,
    "column_dropped": _BACKUP,
    "live_table_dropped": _BACKUP,
    "schema_dropped": _BACKUP,
    "shadow_dropped": "restore the schema _zanith_shadow from a backup",
    "type_dropped": "PostgreSQL dropped the values with the type: " + _BACKUP,
    "partition_dropped": _BACKUP,
    "sequence_dropped": "create the sequence again under its parked name, then restore",
    # moved
    "renamed": "rename it back to {place}",
    "schema_changed": "move it back to {place}: ALTER TABLE … SET SCHEMA",
    "owner_changed": "give it back: ALTER TABLE … OWNER TO {owner}",
    "owner_gone": "CREATE ROLE {owner}, then ALTER TABLE … OWNER TO {owner}",
    "duplicate_id": "find the copy, and remove its comment: COMMENT ON TABLE … IS NULL",
    "live_table_renamed": "nothing to repair: a restore uses the column where it is",
    "live_table_schema_changed": "nothing to repair: a restore uses the column where it is",
    "live_table_owner_changed": "nothing to repair: the column belongs to the owner of its table",
    "live_table_owner_gone": "nothing to repair: the column belongs to the owner of its table",
    # changed
    "seal_broken": "find out who changed it; verify again after you repaired it",
    "column_renamed": "rename the column back",
    "column_added": _LOOK + "save the values of the added column, then drop that column",
    "column_retyped": "change the type back; then " + _LOOK.removesuffix("; "),
    "column_altered": "drop the default and the NOT NULL of the parked column",
    "comment_changed": "COMMENT ON TABLE {place} IS 'zanith artifact {id}'",
    "trigger_dropped": _LOOK + "create the trigger again, as other archives have it",
    "trigger_disabled": _LOOK + "ALTER TABLE {place} ENABLE ALWAYS TRIGGER …",
    "readable_by_others": "REVOKE ALL ON {place} FROM the roles that are named",
    "row_security_changed": _LOOK + "set row level security as it was recorded",
    "index_dropped": "create the index again under its parked name, from the definition",
    "statistics_dropped": "create the statistics object again under its parked name",
    "constraint_dropped": "add the constraint again, from the definition",
    "partition_detached": "attach the partition again, with the bound in the definition",
    "partition_attached": "detach the attached table: it is not part of the artifact",
    "row_edited": "compare the row with the audit log and a backup of the schema zanith",
    "script_differs": "do not run it; restore with zanith, which makes the steps again",
    # orphan
    "orphan_table": _ORPHAN,
    "orphan_column": _ORPHAN,
    "orphan_sequence": _ORPHAN,
    "orphan_object": "it does not belong in the schema of the archives: move it to another schema",
    # engine
    "function_missing": "DELETE FROM zanith._zanith_schema WHERE file = '{file}', then zanith init",
    "function_altered": "DELETE FROM zanith._zanith_schema WHERE file = '{file}', then zanith init",
    "function_unknown": "find out who made it; move it: ALTER FUNCTION {object} SET SCHEMA …",
    "function_owner_changed": "ALTER FUNCTION … OWNER TO {owner}",
    # blocked, unsealed, expired, ceiling
    "live_table_gone": "create {gone} again, then restore; an export works without it",
    "live_table_elsewhere": "give the table its old name for the length of the restore: {gone}",
    "given_to_another": "restore it for that role with zanith recover restore-table {object}"
    " --current-owner, or give it back: ALTER TABLE {place} OWNER TO {owner}",
    "schema_gone": "CREATE SCHEMA {gone}, then restore",
    "unfinished_archiving": "zanith drop column {object} --strategy archive --online resumes it; "
    "zanith recover restore-column {object} takes the column back",
    "unfinished_restoring": "zanith recover restore-column {object} --online resumes it; "
    "SELECT zanith.give_up('{id}') undoes it",
    "unsealed": "zanith recover seal {id}",
    "expired": "zanith recover cleanup --expired --dry-run",
    "ceiling": "zanith recover cleanup --expired --dry-run",
    # webhook
    "given_up": "repair the receiver, then zanith webhooks retry --receiver {receiver}",
}
