const { index, integer, numeric, pgEnum, pgTable, serial, text, unique, varchar } = require("drizzle-orm/pg-core");

const mood = pgEnum("mood", ["calm", "dark"]);
const author = pgTable("author", { id: serial().primaryKey(), name: text().notNull() });
const book = pgTable(
  "book",
  {
    id: serial().primaryKey(),
    title: text().notNull(),
    price: numeric({ precision: 10, scale: 2 }),
    isbn: varchar({ length: 20 }).default("none"),
    mood: mood().notNull(),
    author_id: integer().references(() => author.id),
  },
  (t) => [index("book_isbn_idx").on(t.isbn), unique("book_isbn_key").on(t.isbn)],
);
const draft = pgTable("draft", {
  id: serial().primaryKey(),
  book_id: integer().references(() => book.id),
  body: text(),
});

module.exports = { mood, author, book, draft };
