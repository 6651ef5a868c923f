ALTER TABLE book ALTER COLUMN price TYPE integer;
