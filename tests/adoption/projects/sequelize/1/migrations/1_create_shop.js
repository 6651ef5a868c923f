const { DataTypes } = require("sequelize");

const id = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true };

exports.up = async ({ context }) => {
  await context.createTable("author", { id, name: { type: DataTypes.TEXT, allowNull: false } });
  await context.createTable("book", {
    id,
    title: { type: DataTypes.TEXT, allowNull: false },
    price: { type: DataTypes.DECIMAL(10, 2) },
    isbn: { type: DataTypes.STRING(20), defaultValue: "none" },
    mood: { type: DataTypes.ENUM("calm", "dark"), allowNull: false },
    author_id: { type: DataTypes.INTEGER, references: { model: "author", key: "id" } },
  });
  await context.addIndex("book", ["isbn"]);
  await context.addConstraint("book", { type: "unique", fields: ["isbn"], name: "book_isbn_key" });
  await context.createTable("draft", {
    id,
    book_id: { type: DataTypes.INTEGER, references: { model: "book", key: "id" } },
    body: DataTypes.TEXT,
  });
};
