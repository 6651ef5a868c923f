export const up = (pgm) => {
  pgm.createType("mood", ["calm", "dark"]);
  pgm.createTable("author", { id: "id", name: { type: "text", notNull: true } });
  pgm.createTable("book", {
    id: "id",
    title: { type: "text", notNull: true },
    price: { type: "numeric(10,2)" },
    isbn: { type: "varchar(20)", default: "none", unique: true },
    mood: { type: "mood", notNull: true },
    author_id: { type: "integer", references: "author" },
  });
  pgm.createIndex("book", "isbn");
  pgm.createTable("draft", {
    id: "id",
    book_id: { type: "integer", references: "book" },
    body: { type: "text" },
  });
};
