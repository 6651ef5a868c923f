const { numeric, pgTable, serial, text } = require("drizzle-orm/pg-core");

const book = pgTable("book", {
  id: serial().primaryKey(),
  title: text().notNull(),
  price: numeric({ precision: 10, scale: 2 }),
});

module.exports = { book };
