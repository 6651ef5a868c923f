"""The statements of a text as psql would send them, without the data of COPY."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from app.recovery.db.connections import Connection
from app.recovery.queries import load
from app.text import plural

SQL = load("guard")
# What begins or ends a transaction: the trial is one.
CONTROL = frozenset(
    ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE")
)
PREPARE = "PREPARE TRANSACTION"
# Where data may follow: a line that ends in FROM STDIN …; and lines up to one with a backslash and
# a full stop.
_DATA = re.compile(
    r"""\bFROM\s+STDIN\b (?: [^;'] | '[^']*' )*? (?P<end>;) [ \t]* \r?\n
        (?P<lines> .*? ) ^ \\\. [ \t]* \r? $""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Statement:
    """One statement, or one command of psql. ``command`` is its first two words."""

    text: str
    command: str
    from_stdin: bool = False
    rows: int = 0  # lines of data after it

    @property
    def skipped(self) -> str | None:
        """Say why a trial does not run it; None where it does."""
        if self.text.startswith("\\"):
            return "it is a command of psql"
        if self.from_stdin:
            return f"the trial loads no rows ({plural(self.rows, 'line')})"
        if self.command.partition(" ")[0] in CONTROL or self.command == PREPARE:
            return "the trial is one transaction"
        return None


async def read_statements(connection: Connection, text: str) -> list[Statement]:
    """Return the statements of a text, which may be a file that pg_dump wrote."""
    found: list[Statement] = []
    begin = at = 0
    while "\n\\." in text and (data := _DATA.search(text, at)):
        part = await _read(connection, text[begin : data.end("end")])
        # the words may be in a comment or in a string: then no data follows
        if part and part[-1].from_stdin and not part[-1].text.endswith(";"):
            rows = data["lines"].count("\n")
            found += [*part[:-1], replace(part[-1], rows=rows)]
            begin = at = data.end()
        else:
            at = data.end("end")
    return found + await _read(connection, text[begin:])


async def _read(connection: Connection, text: str) -> list[Statement]:
    """Return the statements of a text without data; a command of psql ends with its line."""
    found: list[Statement] = []
    rest: str | None = text
    while rest is not None:
        text, rest = rest, None
        for row in await connection.fetch(SQL["statements"], text):
            begin = row["place"] - 1
            if text[begin] == "\\":
                line, _, rest = text[begin:].partition("\n")
                found.append(Statement(line.strip(), line.split()[0]))
                break
            statement = text[begin : begin + row["size"]]
            found.append(Statement(statement, row["command"], row["from_stdin"]))
    return found
