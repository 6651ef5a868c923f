"""The buttons that stand at a conflict or at drift, by what resolves it."""

from __future__ import annotations

import httpx
import pytest

from app.recovery.plan.model import Choices, Conflict, Drift
from app.routes.chosen import Chosen
from app.routes.ways import Asker
from tests.ways import _ARTIFACT, CODES, check_conflicts, codes_in_sql


def test_every_code_of_a_conflict_has_its_ways():
    assert codes_in_sql() == CODES.keys()


def conflict(code: str, **words) -> Conflict:
    return Conflict(code, "stopped", words.pop("detail", None), "do it by hand", (), **words)


@pytest.mark.parametrize(
    ("flag", "key", "value"),
    [
        ("--as NAME", "as", "t_restored"),
        ("--as t_old", "as", "t_old"),
        ("--fill VALUE", "fill_with", "value"),
        ("--fill default", "fill_with", "default"),
        ("--allow-null", "allow_null", "yes"),
        ("--not-valid", "not_valid", "yes"),
        ("--as-text", "as_text", "yes"),
        ("--current-owner", "current_owner", "yes"),
        ("--fire-triggers", "fire_triggers", "yes"),
        ("--search-path SCHEMAS", "search_path", ""),
    ],
)
def test_each_option_of_the_command_line_is_a_button(flag, key, value):
    stop = Drift("kind", None, "said", 1, (), True, (flag,), None)
    made = Chosen(Choices(without=("grants to a",)))
    (way,) = Asker(_ARTIFACT, made).ways(stop)
    if way.key:
        assert way.press
        assert way.label
        said = {**way.fields, way.key: way.text}
        assert said["without"] == ["grants to a"]  # what was chosen before stays
    else:
        query = httpx.QueryParams(way.link.partition("?")[2])
        assert query.get_list("without") == ["grants to a"]
        said = dict(query)
    assert said[key] == value


def test_no_conflict_leaves_a_person_alone():
    with pytest.raises(AssertionError, match="nothing says what to do"):
        check_conflicts([{"code": "held", "message": "held"}])
    with pytest.raises(AssertionError, match="offers"):
        check_conflicts([{"code": "held", "message": "held", "choices": ["--as NAME"]}])
    with pytest.raises(KeyError):
        check_conflicts([{"code": "new_one", "message": "?", "hint": "wait"}])


def test_a_viewer_without_rows_tries_no_value():
    gap = Drift("null_gaps", "t.a", "3 rows", 3, (), True, ("--fill VALUE", "--allow-null"), None)
    shown = Asker(_ARTIFACT, Chosen(), sees_rows=False).ways(gap)
    assert [way.label for way in shown] == ["Leave NULL, without NOT NULL"]


def test_the_default_is_named_without_its_type():
    gap = Drift("rows_added", "t", "3 rows", 3, (), False, ("--fill default",), None)
    labels = [way.label for way in Asker(_ARTIFACT, Chosen(), "'it''s'::text").ways(gap)]
    assert labels == ["Use default 'it''s'", "Leave NULL"]
    labels = [way.label for way in Asker(_ARTIFACT, Chosen(), "now() + '1 day'").ways(gap)]
    assert labels[0] == "Use default now() + '1 day'"


def test_work_that_was_begun_online_goes_on_with_its_choices():
    made = Chosen(Choices(online=True))
    stop = conflict("other_choices", detail='{"fill": "x"}')
    (way,) = Asker(_ARTIFACT, made).ways(stop)
    assert dict(httpx.QueryParams(way.link.partition("?")[2])) == {
        "online": "yes",
        "fill_with": "value",
        "fill": "x",
    }
    assert Asker(_ARTIFACT, made).ways(conflict("other_choices", detail="by hand")) == ()
