from django.db import models


class Book(models.Model):
    id = models.AutoField(primary_key=True)
    title = models.TextField()
    price = models.IntegerField(null=True)

    class Meta:
        db_table = "book"
