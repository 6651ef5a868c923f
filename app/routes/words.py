"""Choices in the words of each surface: the engine says them as flags, or as arguments in SQL."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from app.recovery.errors import ZanithError

# What the command and SQL call it: its field on the page, and its key in the API.
_WORDS = {
    "--as NAME": ("“Restore as”", "as"),
    "--fill VALUE": ("“get this value”", "fill"),
    "--fill default": ("“get the column's default”", "fill_default"),
    "--allow-null": ("“Allow NULL”", "allow_null"),
    "--not-valid": ("“Not valid”", "not_valid"),
    "--unverified": ("“Skip the seal”", "unverified"),
    "--search-path SCHEMAS": ("“Search path of the owner's code”", "search_path"),
    "--search-path": ("“Search path of the owner's code”", "search_path"),
    "--current-owner": ("“For its owner of today”", "current_owner"),
    "--as-text": ("“As text”", "as_text"),
    "--without": ("“Leave out”", "without"),
    "--fill": ("“Rows inserted since the drop”", "fill"),
    "on_dependents => 'keep'": ("“keep it on what is parked”", "on_dependents: keep"),
    "on_dependents => 'cascade'": ("“drop it too”", "on_dependents: cascade"),
    "published_ok => true (--published-ok)": ("“Published is fine”", "published_ok: true"),
    "'keep'": ("“keep it on what is parked”", "keep"),
    "'cascade'": ("“drop it too”", "cascade"),
    "soft_drop_column": ("“Soft-drop”", "soft_drop_column"),
    "archive_column": ("“Archive”", "archive_column"),
}
_FLAG = re.compile("|".join(re.escape(flag) for flag in _WORDS))


def on_page(text: str) -> str:
    """Return a hint with the page's fields in place of flags."""
    return _FLAG.sub(lambda found: _WORDS[found[0]][0], text)


def in_api(text: str) -> str:
    """Return a hint with the request's keys in place of flags."""
    return _FLAG.sub(lambda found: f"`{_WORDS[found[0]][1]}`", text)


def error_body(error: ZanithError) -> dict[str, Any]:
    """Return an error as the API shows it, with the plan as it is now where that was refused."""
    body = error.as_dict()
    body["hint"] = in_api(error.hint) if error.hint else error.hint
    plan = getattr(error, "plan", None)
    return {"error": body} | ({"plan": plan.to_json()} if plan is not None else {})


def plan_on_page(plan: Any) -> Any:
    """Return a plan whose hints name the page's fields."""

    def said(item: Any) -> Any:
        return replace(item, hint=on_page(item.hint)) if item.hint else item

    return replace(
        plan,
        conflicts=tuple(said(item) for item in plan.conflicts),
        drift=tuple(said(item) for item in plan.drift),
    )
