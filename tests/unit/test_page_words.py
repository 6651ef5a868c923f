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
    hint = "Choose published_ok => true (--published-ok), or use on_dependents => 'cascade'."
    assert words.on_page(hint) == "Choose “Allow a published table”, or use “drop it too”."
    assert words.in_api(hint) == "Choose `published_ok: true`, or use `on_dependents: cascade`."


def test_a_hint_names_the_buttons_of_the_page_and_no_command():
    hint = "release it first: zanith recover release 7k2m4n8p"
    assert words.on_page(hint) == "Release it first: “Release the hold” on the artifact's page"
    assert words.on_page("see zanith recover list") == "See the list of artifacts"
    assert words.on_page("allow_null, as, fill") == "allow_null, as, fill"
    waits = "wait until it has ended, or let this command wait with --wait 5min"
    assert words.on_page(waits) == "Wait until it has ended"
    assert words.on_page("zanith guard on captures it") == "zanith guard on captures it"
    first = "zanith migrate generate NAME --dir /srv/my files makes the first"
    assert words.on_page(first) == "Add the first file to it"


def test_a_sentence_has_a_capital_letter_and_a_name_stays_as_it_is():
    assert words.sentence("the table x does not exist") == "The table x does not exist"
    assert words.sentence("orders exists already") == "orders exists already"
    assert words.sentence("code of ann would run as bob") == "Code of ann would run as bob"
    assert words.sentence("code is parked") == "code is parked"
    assert words.sentence("theatre exists already") == "theatre exists already"
    assert words.sentence("") == ""
