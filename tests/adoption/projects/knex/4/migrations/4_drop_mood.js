exports.up = async (knex) => {
  await knex.schema.alterTable("book", (t) => t.dropColumn("mood"));
  await knex.schema.raw("DROP TYPE mood");
};
exports.down = async () => {};
