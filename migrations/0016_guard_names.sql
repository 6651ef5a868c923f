-- Noted parts name tables and columns, which a later statement of the transaction can rename.

ALTER TABLE zanith._zanith_guard_parts
    ADD COLUMN names jsonb NOT NULL DEFAULT '[]';  -- {relation, number, schema, table, column} of each that it refers to, as they were named then
