from models import Author, Book, Draft, database

database.create_tables([Author, Book, Draft])
