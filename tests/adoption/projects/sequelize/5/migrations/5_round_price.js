const { DataTypes } = require("sequelize");

exports.up = async ({ context }) => {
  await context.changeColumn("book", "price", { type: DataTypes.INTEGER });
};
