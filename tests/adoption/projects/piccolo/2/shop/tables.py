from enum import Enum

from piccolo.columns import ForeignKey, Numeric, Serial, Text
from piccolo.table import Table


class Mood(str, Enum):
    CALM = "calm"
    DARK = "dark"


class Author(Table, tablename="author"):
    id = Serial(primary_key=True)
    name = Text()


class Book(Table, tablename="book"):
    id = Serial(primary_key=True)
    title = Text()
    price = Numeric((10, 2), null=True, default=None)
    mood = Text(choices=Mood)
    author_id = ForeignKey(Author, db_column_name="author_id")
