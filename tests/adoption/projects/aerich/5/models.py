from tortoise import fields
from tortoise.models import Model


class Book(Model):
    id = fields.IntField(primary_key=True)
    title = fields.TextField()
    price = fields.IntField(null=True)

    class Meta:
        table = "book"
