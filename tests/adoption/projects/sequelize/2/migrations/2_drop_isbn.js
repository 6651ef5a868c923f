exports.up = async ({ context }) => {
  await context.removeIndex("book", ["isbn"]);
  await context.removeConstraint("book", "book_isbn_key");
  await context.removeColumn("book", "isbn");
  await context.dropTable("draft");
};
