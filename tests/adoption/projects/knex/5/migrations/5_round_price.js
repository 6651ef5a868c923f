exports.up = async (knex) => {
  await knex.schema.alterTable("book", (t) => t.integer("price").alter());
};
exports.down = async () => {};
