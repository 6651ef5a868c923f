from piccolo.columns import Serial, Text
from piccolo.table import Table


class Book(Table, tablename="book"):
    id = Serial(primary_key=True)
    title = Text()
