from models import Author, database
from playhouse.migrate import PostgresqlMigrator, migrate

migrate(PostgresqlMigrator(database).drop_column("book", "author_id"))
database.drop_tables([Author])
