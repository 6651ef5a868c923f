export const up = (pgm) => {
  pgm.alterColumn("book", "price", { type: "integer" });
};
