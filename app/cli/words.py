"""The words of the command line for what the engine says as arguments of its SQL functions."""

import re
from collections.abc import Mapping
from typing import Any

_WORDS = [
    (r"published_ok => true \(--published-ok\)", "--published-ok"),
    (r"on_dependents => '(\w+)'", r"--on-dependents \1"),
    (r"on_dependents does not", "--on-dependents does not"),
    (r"expires_in (?=is )", "--expires-in "),
    (r"NULL for never", "never"),
    (r"soft_drop_(?:column|table)\b", "--strategy soft"),
    (r"archive_(?:column|table)\b", "--strategy archive"),
    (r"'(keep|cascade)'", r"--on-dependents \1"),
]
# Not within a name.
_PATTERN = re.compile(
    "|".join(rf"(?<![\w.\"])(?P<w{n}>{pattern})" for n, (pattern, _) in enumerate(_WORDS))
)


def on_command(text: str) -> str:
    """Return the text with options in place of arguments: `--on-dependents cascade`."""

    def said(found: re.Match[str]) -> str:
        number = int(str(found.lastgroup)[1:])
        pattern, word = _WORDS[number]
        return re.sub(pattern, word, found[0])

    return _PATTERN.sub(said, text)


def error_document(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of an error in these words."""
    said = {key: on_command(error[key]) for key in ("message", "detail", "hint") if error.get(key)}
    return {**error, **said}
