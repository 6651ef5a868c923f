"""What somebody types after --where becomes columns, operators and values."""

from __future__ import annotations

import pytest

from app.recovery.core.errors import WrongUsage
from app.recovery.rows.conditions import Condition, parse_conditions

READ = {
    "order_id = 4711": [("order_id", "=", "4711")],
    "Order_ID=-4711.5": [("order_id", "=", "-4711.5")],
    "\"Order ID\" <> 'it''s'": [("Order ID", "<>", "it's")],
    "a >= 1 and b<2 AND c != x": [("a", ">=", "1"), ("b", "<", "2"), ("c", "<>", "x")],
    "a is  not null AND b IS NULL": [("a", "IS NOT NULL", None), ("b", "IS NULL", None)],
    "note LIKE 'gift AND more%'": [("note", "LIKE", "gift AND more%")],
    "at < '2026-01-31 13:45:00+00'": [("at", "<", "2026-01-31 13:45:00+00")],
    "a = ''": [("a", "=", "")],
    "a = '''; DROP TABLE x; --'": [("a", "=", "'; DROP TABLE x; --")],
}


@pytest.mark.parametrize("text", READ)
def test_conditions_are_read(text):
    assert parse_conditions([text]) == tuple(Condition(*one) for one in READ[text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at its end"),
        ("order_id", "at its end"),
        ("= 4711", "at character 1"),
        ("order_id = ", "at its end"),
        ("order_id = 1; DROP TABLE x", "at character 13"),
        ("order_id = 1 OR 1 = 1", "at character 14"),
        ("order_id = 1 AND", "at its end"),
        ("order_id = (SELECT 1)", "at character 12"),
        ("lower(note) = 'x'", "at character 6"),
        ("note = 'open", "at character 8"),
        ("note = NULL", "nothing is equal to NULL"),
    ],
)
def test_what_is_no_condition_says_where(text, said):
    with pytest.raises(WrongUsage) as caught:
        parse_conditions([text])
    assert said in caught.value.message
    assert caught.value.hint
    assert "DROP" not in caught.value.message


def test_several_texts_are_joined_and_bounded():
    assert len(parse_conditions(["a = 1", "b = 2 AND c = 3"])) == 3
    with pytest.raises(WrongUsage, match="say which rows"):
        parse_conditions(["a = 1"] * 9)
