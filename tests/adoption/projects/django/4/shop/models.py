from django.db import models


class Book(models.Model):
    id = models.AutoField(primary_key=True)
    title = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)

    class Meta:
        db_table = "book"
