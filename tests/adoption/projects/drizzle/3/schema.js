const { pgEnum, pgTable, serial, text } = require("drizzle-orm/pg-core");

const mood = pgEnum("mood", ["calm", "dark"]);
const author = pgTable("author", { id: serial().primaryKey(), name: text().notNull() });
const book = pgTable("book", {
  id: serial().primaryKey(),
  title: text().notNull(),
  mood: mood().notNull(),
});

module.exports = { mood, author, book };
