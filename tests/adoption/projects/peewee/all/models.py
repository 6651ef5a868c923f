import os

from peewee import (
    AutoField,
    CharField,
    DecimalField,
    ForeignKeyField,
    Model,
    PostgresqlDatabase,
    TextField,
)

database = PostgresqlDatabase(
    os.environ["PGDATABASE"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    user=os.environ["PGUSER"],
)


class Base(Model):
    class Meta:
        database = database


class Author(Base):
    id = AutoField()
    name = TextField()


class Book(Base):
    id = AutoField()
    title = TextField()
    price = DecimalField(10, 2, null=True)
    isbn = CharField(20, null=True, unique=True)
    mood = CharField(20, index=True)
    author = ForeignKeyField(Author, null=True)


class Draft(Base):
    id = AutoField()
    book = ForeignKeyField(Book, null=True)
    body = TextField(null=True)
