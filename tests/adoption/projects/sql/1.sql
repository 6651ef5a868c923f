CREATE TYPE mood AS ENUM ('calm', 'dark');
CREATE TABLE author (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE book (
    id serial PRIMARY KEY,
    title text NOT NULL,
    isbn varchar(20) DEFAULT 'none',
    mood mood NOT NULL DEFAULT 'calm',
    author_id integer,
    price numeric(10, 2),
    CONSTRAINT book_isbn_key UNIQUE (isbn),
    CONSTRAINT book_author_id_fkey FOREIGN KEY (author_id) REFERENCES author (id)
);
CREATE INDEX book_isbn_idx ON book (isbn);
CREATE TABLE draft (id serial PRIMARY KEY, book_id integer REFERENCES book (id), body text);
