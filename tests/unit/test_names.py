"""Identifiers parse and print as PostgreSQL does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import names_object, parse_name, quote


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


name_parts = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=15
).filter(str.strip)


@given(st.lists(name_parts, min_size=1, max_size=3))
def test_every_spelling_of_an_object_is_its_name(parts):
    name = quote(parts)
    for number in range(len(parts)):
        ending = parts[number:]
        for typed in (quote(ending), ".".join(ending), f"  {quote(ending)} "):
            assert names_object(typed, name)
        one_line = ".".join(" ".join(part.split()) for part in ending)
        assert names_object(one_line, name)
        pasted = quote(ending).replace("\n", "").replace("\r", "")
        assert names_object(pasted, name)
    assert not names_object(parts[-1] + "x", name)
    assert not names_object("", name)


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        *[(x, True) for x in ("legacy_code", "orders.legacy_code", "public.orders.legacy_code")],
        *[
            (x, True)
            for x in ('"orders".legacy_code', "ORDERS.Legacy_Code", "orders . legacy_code")
        ],
        *[(x, True) for x in ("k2m9p4x7wq3d", "k2m9p4x7", "k2m9")],
        *[
            (x, False)
            for x in ("orders", "public.orders", "public.legacy_code", "shop.legacy_code")
        ],
        *[(x, False) for x in ('"Orders".legacy_code', "legacy", "legacy_code_2", "legacy code")],
        *[(x, False) for x in ("k2m", "2m9p", "k2m9p4x7wq3d0", "", " ", "y", "yes", ".", '"')],
        (None, False),
    ],
)
def test_what_names_a_column(typed, named):
    assert names_object(typed, "public.orders.legacy_code", "k2m9p4x7wq3d") is named


@pytest.mark.parametrize(
    "typed", ["new line", "newline", "new\nline", "new␊line", '"new line"', 'public."new\nline"']
)
def test_a_name_with_a_line_break_is_typed_on_one_line(typed):
    assert names_object(typed, 'public."new\nline"')
    assert not names_object(typed, 'public."new_line"')
