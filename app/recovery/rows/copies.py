"""Some rows as text to take along: CSV as COPY writes it, or SQL that puts them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.recovery.core.names import quote
from app.recovery.queries import fill, load

SQL = load("some_rows")

Texts = Sequence[str | None]


def as_csv(columns: Sequence[str], rows: Iterable[Texts]) -> str:
    """Return rows as CSV with a header; NULL is empty, and the empty text is in quotes."""
    lines = [",".join(map(_field, columns))]
    lines += [",".join(map(_field, row)) for row in rows]
    return "".join(line + "\n" for line in lines)


def _field(value: str | None) -> str:
    if value is None:
        return ""
    if not value or value == "\\." or any(char in value for char in '",\n\r'):
        return '"' + value.replace('"', '""') + '"'
    return value


def literal(value: str | None) -> str:
    """Return a text as a literal of SQL, which PostgreSQL reads as the type that is wanted."""
    if value is None:
        return "NULL"
    quoted = value.replace("'", "''")
    return f"'{quoted}'" if "\\" not in value else "E'" + quoted.replace("\\", "\\\\") + "'"


def updates(table: str, key: Sequence[str], column: str, rows: Iterable[Texts]) -> str:
    """Return one UPDATE for each row, which has the values of the key and then the column's."""
    named = {"target": table, "column": quote(column)}
    return _lines(
        fill(SQL["copy_update"], **named, value=literal(row[-1]), rows=_where(key, row))
        for row in rows
    )


def inserts(table: str, columns: Sequence[str], rows: Iterable[Texts]) -> str:
    """Return one INSERT for each row."""
    named = {"target": table, "columns": ", ".join(map(quote, columns))}
    return _lines(
        fill(SQL["copy_insert"], **named, values=", ".join(map(literal, row))) for row in rows
    )


def deletes(table: str, key: Sequence[str], rows: Iterable[Texts]) -> str:
    """Return one DELETE for each row, by its key; a comment where the key has a NULL.

    A unique index lets several rows have NULL in their keys: a DELETE could take others too.
    """
    lines = [
        fill(SQL["copy_delete"], target=table, rows=_where(key, row)) + ";\n"
        if None not in row
        else f"-- row {number} has NULL in its key: find it and delete it yourself\n"
        for number, row in enumerate(rows, 1)
    ]
    return "".join(lines)


def _lines(statements: Iterable[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


def _where(key: Sequence[str], row: Texts) -> str:
    return " AND ".join(
        f"{quote(name)} IS NULL" if value is None else f"{quote(name)} = {literal(value)}"
        for name, value in zip(key, row, strict=False)
    )
