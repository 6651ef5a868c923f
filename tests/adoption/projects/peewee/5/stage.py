from models import database
from peewee import IntegerField
from playhouse.migrate import PostgresqlMigrator, migrate

migrate(PostgresqlMigrator(database).alter_column_type("book", "price", IntegerField(null=True)))
