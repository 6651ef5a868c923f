require "sequel"

Sequel.extension :migration
database = Sequel.connect(
  adapter: "postgres", host: ENV["PGHOST"], port: ENV["PGPORT"], user: ENV["PGUSER"],
  database: ENV["PGDATABASE"]
)
Sequel::Migrator.run(database, "migrations")
