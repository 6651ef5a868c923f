const { EntitySchema } = require("typeorm");

const id = { type: "int", primary: true, generated: true };
const author = new EntitySchema({
  name: "author",
  columns: { id, name: { type: "text" } },
});
const book = new EntitySchema({
  name: "book",
  columns: {
    id,
    title: { type: "text" },
    price: { type: "numeric", precision: 10, scale: 2, nullable: true },
    isbn: { type: "varchar", length: 20, nullable: true, default: "none" },
    mood: { type: "enum", enum: ["calm", "dark"], enumName: "mood" },
    author_id: {
      type: "int",
      nullable: true,
      foreignKey: { target: "author" },
    },
  },
  indices: [{ name: "book_isbn_idx", columns: ["isbn"] }],
  uniques: [{ name: "book_isbn_key", columns: ["isbn"] }],
});
const draft = new EntitySchema({
  name: "draft",
  columns: {
    id,
    book_id: { type: "int", nullable: true, foreignKey: { target: "book" } },
    body: { type: "text", nullable: true },
  },
});

module.exports = [author, book, draft];
