"""SQL and shell lines as highlighted HTML: classes only, so that the page needs no inline style."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, PostgresLexer

_LEXER = PostgresLexer(stripnl=True, ensurenl=False)
_SHELL = BashLexer(stripnl=True, ensurenl=False)
_FORMATTER = HtmlFormatter(nowrap=True)
_LONGEST = 200_000


@lru_cache(maxsize=512)
def highlighted(sql: str) -> Markup:
    """Return SQL as escaped HTML with Pygments' classes; very long text stays plain."""
    if len(sql) > _LONGEST:
        return Markup.escape(sql)
    return Markup(highlight(sql, _LEXER, _FORMATTER))  # noqa: S704 - Pygments escapes all text


def highlighted_lines(sql: str) -> list[Markup]:
    """Return the same line by line, each on its own: as many as `str.split` finds line breaks."""
    lines = sql.split("\n")
    marked = str(highlighted(sql)).removesuffix("\n").split("\n")
    if len(marked) != len(lines):  # the highlighter took a line break away
        return [Markup.escape(line) for line in lines]
    return [Markup(line) for line in marked]  # noqa: S704 - Pygments escapes all text


@lru_cache(maxsize=256)
def highlighted_shell(line: str) -> Markup:
    """Return a command for a shell as escaped HTML with Pygments' classes."""
    return Markup(highlight(line, _SHELL, _FORMATTER))  # noqa: S704 - Pygments escapes all text
