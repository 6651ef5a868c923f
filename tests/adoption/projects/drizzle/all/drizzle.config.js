module.exports = {
  dialect: "postgresql",
  schema: "./schema.js",
  out: "./drizzle",
  schemaFilter: ["public"],
  dbCredentials: { url: process.env.DATABASE_URL },
};
