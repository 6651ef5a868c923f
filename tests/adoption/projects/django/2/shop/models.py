from django.db import models


class Author(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField()

    class Meta:
        db_table = "author"


class Book(models.Model):
    id = models.AutoField(primary_key=True)
    title = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    mood = models.CharField(max_length=20)
    author = models.ForeignKey(Author, models.SET_NULL, null=True)

    class Meta:
        db_table = "book"
