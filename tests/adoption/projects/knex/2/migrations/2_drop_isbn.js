exports.up = async (knex) => {
  await knex.schema.alterTable("book", (t) => {
    t.dropIndex("isbn", "book_isbn_idx");
    t.dropUnique("isbn", "book_isbn_key");
    t.dropColumn("isbn");
  });
  await knex.schema.dropTable("draft");
};
exports.down = async () => {};
