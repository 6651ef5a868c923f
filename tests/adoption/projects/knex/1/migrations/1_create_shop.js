exports.up = async (knex) => {
  await knex.schema.createTable("author", (t) => {
    t.increments("id");
    t.text("name").notNullable();
  });
  await knex.schema.createTable("book", (t) => {
    t.increments("id");
    t.text("title").notNullable();
    t.decimal("price", 10, 2);
    t.string("isbn", 20).defaultTo("none").unique({ indexName: "book_isbn_key" });
    t.enu("mood", ["calm", "dark"], { useNative: true, enumName: "mood" }).notNullable();
    t.integer("author_id").references("author.id");
    t.index("isbn", "book_isbn_idx");
  });
  await knex.schema.createTable("draft", (t) => {
    t.increments("id");
    t.integer("book_id").references("book.id");
    t.text("body");
  });
};
exports.down = async () => {};
