INSERT INTO author (name) VALUES ('Ada'), ('Borges'), ('Čapek');
INSERT INTO book (title, isbn, mood, author_id, price)
VALUES ('One', '1-1', 'calm', 1, 9.5), ('Two "2"', '2-2', 'dark', 2, 10.49), ('Three', '3-3', 'calm', 3, 3),
    ('Four', NULL, 'dark', NULL, NULL);
INSERT INTO draft (book_id, body) VALUES (1, 'a'), (2, E'b\n''b'''), (3, NULL);
