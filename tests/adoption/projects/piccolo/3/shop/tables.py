from enum import Enum

from piccolo.columns import Numeric, Serial, Text
from piccolo.table import Table


class Mood(str, Enum):
    CALM = "calm"
    DARK = "dark"


class Book(Table, tablename="book"):
    id = Serial(primary_key=True)
    title = Text()
    price = Numeric((10, 2), null=True, default=None)
    mood = Text(choices=Mood)
