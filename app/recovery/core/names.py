"""Identifiers: parsed and quoted as PostgreSQL does it.

The one place that puts a name into SQL text is :func:`quote`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.recovery.core.errors import WrongUsage

_PART = re.compile(
    r"""\s*(?: "(?P<quoted>(?:[^"\0]|"")+)"
             | (?P<plain>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*) )\s*""",
    re.VERBOSE,
)
_SAFE = re.compile(r"[a-z_][a-z0-9_]*")

SHORTEST_ID = 4
"""Characters that the beginning of an id needs, so that a mistyped name does not mean one."""

_PICTURES = {0x2400 + code: chr(code) for code in range(0x20)}
"""What is shown of a control character (U+2400 to U+241F), and the character."""

# Reserved and column-name keywords that quote_ident() quotes (manual, appendix C); 15 to 18 agree
# on all but a few, and quoting one too many is harmless.
_KEYWORDS_TEXT = """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
    boolean both case cast char character check coalesce collate collation column concurrently
    constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign freeze from full grant greatest group grouping
    having ilike in initially inner inout int integer intersect interval into is isnull join json
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif
    numeric offset on only or order out outer overlaps overlay placing position precision primary
    real references returning right row select session_user setof similar smallint some substring
    symmetric system_user table tablesample then time timestamp to trailing treat trim true union
    unique user using values varchar variadic verbose when where window with xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable
"""
_KEYWORDS = frozenset(_KEYWORDS_TEXT.split())


def parse_name(text: str) -> tuple[str, ...]:
    """Return the parts of a dotted name; what is not quoted is folded to lower case.

    Parts are cut to 63 bytes at a character's border, as the server does. WrongUsage where the text
    is no name.
    """
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            raise WrongUsage(
                f"{text!r} is not a name",
                hint='write schema.table or schema.table.column, and quote as in SQL: "My Table"',
            )
        quoted = match.group("quoted")
        part = quoted.replace('""', '"') if quoted is not None else _fold(match.group("plain"))
        parts.append(_cut(part))
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            raise WrongUsage(
                f"{text!r} is not a name: unexpected {text[at]!r}",
                hint='quote what is not a plain identifier: "My Table"',
            )
        at += 1


def quote(parts: str | Iterable[str]) -> str:
    """Return one identifier, or a dotted name of several, as ``quote_ident()`` would print it."""
    if isinstance(parts, str):
        return _quote_one(parts)
    return ".".join(_quote_one(part) for part in parts)


def names_object(typed: str | None, name: str, artifact_id: str | None = None) -> bool:
    """Return whether what somebody typed means the object of this dotted name.

    Every spelling that resolves to it counts: quoted or not, with or without its schema and table.
    The artifact's id counts too, or its first four characters or more. White space is folded, and
    line breaks may be left out: a field of a page takes none.
    """
    words = (typed or "").strip()
    if not words:
        return False
    if artifact_id and len(words) >= SHORTEST_ID and artifact_id.startswith(words):
        return True
    try:
        parts = parse_name(name)
    except WrongUsage:  # of a routine, or of what is on a table
        return any(fold(words) == fold(name) for fold in (_fold_space, _drop_breaks))
    endings = [parts[number:] for number in range(len(parts))]
    try:
        spelled: tuple[str, ...] | None = parse_name(words)
    except WrongUsage:
        spelled = None
    return any(
        fold(words) in {fold(".".join(ending)), ".".join(map(fold, ending)), fold(quote(ending))}
        or (spelled is not None and [*map(fold, spelled)] == [*map(fold, ending)])
        for ending in endings
        for fold in (_fold_space, _drop_breaks)
    )


def signed(name: str | None, role: str | None) -> str:
    """Return who did it: the name that the client gave, and the database role where it differs."""
    return name or "" if role in {None, name} else f"{name} as {role}"


def _quote_one(part: str) -> str:
    if not part or "\0" in part:
        raise WrongUsage("a name cannot be empty")
    if _SAFE.fullmatch(part) and part not in _KEYWORDS:
        return part
    return '"' + part.replace('"', '""') + '"'


def _fold(part: str) -> str:
    """Lower-case the ASCII letters only, as a UTF-8 server does."""
    return "".join(char.lower() if char.isascii() else char for char in part)


def _fold_space(text: str) -> str:
    """Make each run of white space one space; a terminal shows a line break as its picture."""
    return " ".join(text.translate(_PICTURES).split())


def _drop_breaks(text: str) -> str:
    return text.replace("\r", "").replace("\n", "").strip()


def _cut(part: str) -> str:
    return part.encode()[:63].decode(errors="ignore")
