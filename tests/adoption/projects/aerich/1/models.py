from enum import Enum

from tortoise import fields
from tortoise.models import Model


class Mood(str, Enum):
    CALM = "calm"
    DARK = "dark"


class Author(Model):
    id = fields.IntField(primary_key=True)
    name = fields.TextField()

    class Meta:
        table = "author"


class Book(Model):
    id = fields.IntField(primary_key=True)
    title = fields.TextField()
    price = fields.DecimalField(10, 2, null=True)
    isbn = fields.CharField(20, null=True, unique=True)
    mood = fields.CharEnumField(Mood)
    author = fields.ForeignKeyField("shop.Author", null=True)

    class Meta:
        table = "book"
        indexes = (("isbn", "title"),)


class Draft(Model):
    id = fields.IntField(primary_key=True)
    book = fields.ForeignKeyField("shop.Book")
    body = fields.TextField(null=True)

    class Meta:
        table = "draft"
