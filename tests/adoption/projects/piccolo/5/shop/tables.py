from piccolo.columns import Integer, Serial, Text
from piccolo.table import Table


class Book(Table, tablename="book"):
    id = Serial(primary_key=True)
    title = Text()
    price = Integer(null=True, default=None)
