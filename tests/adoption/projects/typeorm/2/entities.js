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
    mood: { type: "enum", enum: ["calm", "dark"], enumName: "mood" },
    author_id: {
      type: "int",
      nullable: true,
      foreignKey: { target: "author" },
    },
  },
});

module.exports = [author, book];
