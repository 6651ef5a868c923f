"""Names as a terminal may show them: nothing in them steers it. Pure functions."""

from rich.cells import cell_len, set_cell_size


def printable(text: str) -> str:
    """The text with control characters made visible, so that a name cannot steer the terminal."""
    return "".join(c if c.isprintable() else _visible(c) for c in text)


def printable_block(text: str) -> str:
    """As `printable`, but line breaks and tabs stay: for SQL and other text of several lines."""
    return "".join(c if c.isprintable() or c in "\n\t" else _visible(c) for c in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shorten(text: str, width: int) -> str:
    """The text in at most so many terminal cells: the middle gives way to `…`, the end stays."""
    text = printable(text)
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    end = text[-tail:] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(text, width - 1 - cell_len(end)).rstrip() + "…" + end
