"""What pages make of text from the database."""

from __future__ import annotations

import pytest

from app import text as formats
from app.routes import words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï 👩 中", "plain ünï 👩 中"),
        ("a\tb\x00", "a‹TAB›b‹U+0000›"),
        ("a\r\nb", "a‹CR›‹LF›\nb"),
        ("\x7f", "‹U+007F›"),
        ("abc\u202edef", "abc‹U+202E›def"),
        ("z\u200bw", "z‹U+200B›w"),
        ("<script>", "<script>"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str):
    assert formats.visible(text) == shown


def test_a_hint_names_the_fields_of_the_page_and_the_keys_of_the_api():
    hint = "Say published_ok => true (--published-ok), or use on_dependents => 'cascade'."
    assert words.on_page(hint) == "Say “Published is fine”, or use “drop it too”."
    assert words.in_api(hint) == "Say `published_ok: true`, or use `on_dependents: cascade`."
