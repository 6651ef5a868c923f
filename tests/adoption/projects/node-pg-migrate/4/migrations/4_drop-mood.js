export const up = (pgm) => {
  pgm.dropColumn("book", "mood");
  pgm.dropType("mood");
};
