exports.up = async ({ context }) => {
  await context.removeConstraint("book", "book_author_id_fkey");
  await context.removeColumn("book", "author_id");
  await context.dropTable("author");
};
