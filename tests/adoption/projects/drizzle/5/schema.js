const { integer, pgTable, serial, text } = require("drizzle-orm/pg-core");

const book = pgTable("book", {
  id: serial().primaryKey(),
  title: text().notNull(),
  price: integer(),
});

module.exports = { book };
