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
    mood = fields.CharEnumField(Mood)
    author = fields.ForeignKeyField("shop.Author", null=True)

    class Meta:
        table = "book"
