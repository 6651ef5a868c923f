from enum import Enum

from piccolo.columns import Serial, Text
from piccolo.table import Table


class Mood(str, Enum):
    CALM = "calm"
    DARK = "dark"


class Book(Table, tablename="book"):
    id = Serial(primary_key=True)
    title = Text()
    mood = Text(choices=Mood)
