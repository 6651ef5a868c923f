export const up = (pgm) => {
  pgm.dropConstraint("book", "book_author_id_fkey");
  pgm.dropColumns("book", ["author_id"]);
  pgm.dropTable("author");
};
