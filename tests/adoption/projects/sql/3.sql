ALTER TABLE book DROP CONSTRAINT book_author_id_fkey;
ALTER TABLE book DROP COLUMN author_id;
DROP TABLE author;
