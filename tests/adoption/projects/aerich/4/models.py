from tortoise import fields
from tortoise.models import Model


class Book(Model):
    id = fields.IntField(primary_key=True)
    title = fields.TextField()
    price = fields.DecimalField(10, 2, null=True)

    class Meta:
        table = "book"
