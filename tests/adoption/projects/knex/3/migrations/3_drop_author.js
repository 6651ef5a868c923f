exports.up = async (knex) => {
  await knex.schema.alterTable("book", (t) => {
    t.dropForeign("author_id");
    t.dropColumn("author_id");
  });
  await knex.schema.dropTable("author");
};
exports.down = async () => {};
