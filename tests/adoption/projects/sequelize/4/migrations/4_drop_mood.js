exports.up = async ({ context }) => {
  await context.removeColumn("book", "mood");
  await context.sequelize.query('DROP TYPE "enum_book_mood"');
};
