"""Identifiers parse and print as PostgreSQL does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recovery.errors import WrongUsage
from app.recovery.names import parse_name, quote


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("orders", ("orders",)),
        ("Public.Orders", ("public", "orders")),
        ('"Weird.Name"."Col"', ("Weird.Name", "Col")),
        ('"a""b".c', ('a"b', "c")),
        (" a . b ", ("a", "b")),
        ("a$1._b", ("a$1", "_b")),
        ("été.ÉTÉ", ("été", "ÉtÉ")),
        ("x" * 70, ("x" * 63,)),
        ("é" * 40, ("é" * 31,)),
    ],
)
def test_parse(text, parts):
    assert parse_name(text) == parts


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", '"a', '""', "a b", "1a", "a-b", "a..b", "a;b"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(WrongUsage):
        parse_name(text)


def test_quote_only_where_needed():
    assert quote(("public", "orders")) == "public.orders"
    assert quote(("Weird.Name", "select", 'a"b')) == '"Weird.Name"."select"."a""b"'
    assert quote("été") == '"été"'


parts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15
)


@given(st.lists(parts, min_size=1, max_size=3))
def test_what_is_quoted_parses_back(names):
    assert parse_name(quote(names)) == tuple(names)


@pytest.mark.newest
async def test_the_server_agrees(bare_database):
    names = [
        "orders",
        "Weird",
        "select",
        "a b",
        'q"q',
        "été",
        "user",
        "values",
        "name",
        "1st",
        "$a",
    ]
    async with bare_database.connect() as connection:
        for name in names:
            assert quote(name) == await connection.fetchval("SELECT quote_ident($1)", name)
            text = quote(("S", name))
            assert list(parse_name(text)) == await connection.fetchval(
                "SELECT parse_ident($1)", text
            )
        keywords = await connection.fetch(
            "SELECT word, quote_ident(word) AS quoted FROM pg_get_keywords()"
        )
        for row in keywords:
            if row["quoted"] != row["word"]:
                assert quote(row["word"]) == row["quoted"]
