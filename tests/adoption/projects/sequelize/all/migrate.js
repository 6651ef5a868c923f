const { Sequelize } = require("sequelize");
const { SequelizeStorage, Umzug } = require("umzug");

const sequelize = new Sequelize(process.env.DATABASE_URL, { logging: false });
const umzug = new Umzug({
  migrations: { glob: "migrations/*.js" },
  context: sequelize.getQueryInterface(),
  storage: new SequelizeStorage({ sequelize }),
  logger: console,
});
umzug.up().then(
  () => sequelize.close(),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
