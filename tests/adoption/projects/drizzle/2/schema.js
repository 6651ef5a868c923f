const { integer, numeric, pgEnum, pgTable, serial, text } = require("drizzle-orm/pg-core");

const mood = pgEnum("mood", ["calm", "dark"]);
const author = pgTable("author", { id: serial().primaryKey(), name: text().notNull() });
const book = pgTable("book", {
  id: serial().primaryKey(),
  title: text().notNull(),
  price: numeric({ precision: 10, scale: 2 }),
  mood: mood().notNull(),
  author_id: integer().references(() => author.id),
});

module.exports = { mood, author, book };
