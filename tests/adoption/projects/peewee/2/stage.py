from models import Draft, database
from playhouse.migrate import PostgresqlMigrator, migrate

migrator = PostgresqlMigrator(database)
with database.atomic():
    migrate(
        migrator.drop_index("book", "book_isbn"),
        migrator.drop_column("book", "isbn"),
    )
database.drop_tables([Draft])
