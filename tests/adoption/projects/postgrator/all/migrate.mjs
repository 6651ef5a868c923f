import pg from "pg";
import Postgrator from "postgrator";

const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  const postgrator = new Postgrator({
    migrationPattern: "migrations/*",
    driver: "pg",
    execQuery: (query) => client.query(query),
  });
  console.log(await postgrator.migrate());
} finally {
  await client.end();
}
