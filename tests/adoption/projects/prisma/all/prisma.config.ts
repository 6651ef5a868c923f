import { PrismaPg } from "@prisma/adapter-pg";
import Result from "pg/lib/result.js";
import { defineConfig } from "prisma/config";

// The driver adapter does not know the type name, which the engine selects from the catalog.
const addFields = Result.prototype.addFields;
Result.prototype.addFields = function (fields) {
  const text = ({ dataTypeID, ...field }) => ({ ...field, dataTypeID: dataTypeID === 19 ? 25 : dataTypeID });
  return addFields.call(this, fields.map(text));
};

export default defineConfig({
  schema: "prisma/schema.prisma",
  experimental: { adapter: true },
  engine: "js",
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL }),
});
