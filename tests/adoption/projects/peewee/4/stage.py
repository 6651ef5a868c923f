from models import database
from playhouse.migrate import PostgresqlMigrator, migrate

migrate(PostgresqlMigrator(database).drop_column("book", "mood"))
