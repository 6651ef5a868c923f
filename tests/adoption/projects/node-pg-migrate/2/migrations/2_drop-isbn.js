export const up = (pgm) => {
  pgm.dropIndex("book", "isbn");
  pgm.dropConstraint("book", "book_isbn_key");
  pgm.alterColumn("book", "isbn", { default: null });
  pgm.dropColumn("book", "isbn");
  pgm.dropTable("draft");
};
