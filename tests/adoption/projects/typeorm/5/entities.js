const { EntitySchema } = require("typeorm");

const id = { type: "int", primary: true, generated: true };
const book = new EntitySchema({
  name: "book",
  columns: {
    id,
    title: { type: "text" },
    price: { type: "int", nullable: true },
  },
});

module.exports = [book];
