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
    isbn = models.CharField(max_length=20, null=True, db_default="none")
    mood = models.CharField(max_length=20)
    author = models.ForeignKey(Author, models.SET_NULL, null=True)

    class Meta:
        db_table = "book"
        indexes = [models.Index(fields=["isbn", "title"], name="book_isbn_idx")]
        constraints = [models.UniqueConstraint(fields=["isbn"], name="book_isbn_key")]


class Draft(models.Model):
    id = models.AutoField(primary_key=True)
    book = models.ForeignKey(Book, models.CASCADE)
    body = models.TextField(null=True)

    class Meta:
        db_table = "draft"
