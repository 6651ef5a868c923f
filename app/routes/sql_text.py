"""SQL as highlighted HTML: classes only, so that the page needs no inline style."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PostgresLexer

_LEXER = PostgresLexer(stripnl=True, ensurenl=False)
_FORMATTER = HtmlFormatter(nowrap=True)
_LONGEST = 200_000


@lru_cache(maxsize=512)
def highlighted(sql: str) -> Markup:
    """Return SQL as escaped HTML with Pygments' classes; very long text stays plain."""
    if len(sql) > _LONGEST:
        return Markup.escape(sql)
    return Markup(highlight(sql, _LEXER, _FORMATTER))  # noqa: S704 - Pygments escapes all text
