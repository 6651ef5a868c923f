"""Choices in the words of each surface: the engine says them as flags, or as arguments in SQL."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from app.recovery.core.errors import ZanithError
from app.recovery.core.options import options_of
from app.recovery.plan.model import Choices

# What the command and SQL call it: its field on the page, and its key in the API.
_WORDS = {
    flag: (f"“{item.label}”", item.key)
    for item in options_of(Choices)
    for flag in (item.flag, item.flag.split()[0])
    if item.label
} | {
    "--fill VALUE": ("“get this value”", "fill"),
    "--fill default": ("“get the column's default”", "fill_default"),
    "--fill": ("“Rows inserted since the capture”", "fill"),
    "on_dependents => 'keep'": ("“keep it on the parked object”", "on_dependents: keep"),
    "on_dependents => 'cascade'": ("“drop it too”", "on_dependents: cascade"),
    "published_ok => true (--published-ok)": ("“Allow a published table”", "published_ok: true"),
    "'keep'": ("“keep it on the parked object”", "keep"),
    "'cascade'": ("“drop it too”", "cascade"),
    "soft_drop_column": ("“Soft-drop”", "soft_drop_column"),
    "archive_column": ("“Archive”", "archive_column"),
}
_FLAG = re.compile("|".join(re.escape(flag) for flag in sorted(_WORDS, key=len, reverse=True)))
# What the command line calls it, and where it is on the pages.
_COMMANDS = {
    r"zanith recover release \w+": "“Release the hold” on the artifact's page",
    r"zanith recover verify \w+": "“Verify now” on the artifact's page",
    r"zanith recover seal \w+": "“Seal now” on the artifact's page",
    r"zanith recover inspect \w+": "the artifact's page",
    r"zanith (?:recover )?list\b(?: --json)?": "the list of artifacts",
    r"zanith jobs (?:list|show \w+)": "the list of jobs",
    r"zanith approvals request-\w+ \w+(?: --column NAME)?(?: --reason TEXT)?": (
        "“Ask for approval” on the page of the change"
    ),
    r"zanith approvals (?:approve|show) \w+": "the page of the request",
    r"zanith approvals list": "the list of requests",
    r"zanith webhooks list": "the page Webhooks",
    r"zanith migrate status": "the page of pending migrations",
    r"zanith migrate history": "the page of applied migrations",
    r"zanith migrate snapshot list": "the page of the schema's history",
    r"zanith migrate plan(?: --preflight)?": "the page of the pending migration",
    r"run zanith migrate up again": "apply it again",
    r"zanith migrate generate NAME --dir .+ makes the first": "add the first file to it",
    r"zanith migrate up resumes there": "Apply resumes there",
    r", or let this command wait with --wait 5min": "",
    r"or apply it all the same with --out-of-order": (
        "or apply it all the same in a terminal: zanith migrate up --out-of-order"
    ),
    r"or give --allow-vanished": "or use zanith migrate up --allow-vanished in a terminal",
    r"or give --allow-destructive": "or use zanith migrate up --allow-destructive in a terminal",
    r"give --replay live to begin with the live schema": "begin with the live schema",
    r"give --resume again to run it again, or --resume skip": (
        "use zanith migrate up --resume again in a terminal, or --resume skip"
    ),
}
# Hints begin with a word of ours, or with a list of words to choose from. Messages may begin with
# the name of an object, which stays as it is: of them only these words are not names.
_OWN_START = re.compile(r"(?!zanith )[a-z]+ ")
_FIRST_WORD = re.compile(
    r"(?:an?|the|no|not|nothing|its?|what|there|this|that|must|cannot|somebody|whether|permission"
    r"|code of|foreign keys|table(?= \S+ has)|partitions (?:of|or)|validating the|tables were"
    r"|archived values|views that|planner statistics|subscribers of|left out|restore checks"
    r"|recorded as|internal error|uncommitted work|committed batches|interrupted:|cancelled by"
    r"|another|several) "
)
_COMMAND = re.compile("|".join(f"({pattern})" for pattern in _COMMANDS))


_ASK = re.compile(r"zanith approvals request-\w+ \w+(?: --column NAME)?(?: --reason TEXT)?")
_APPROVE = re.compile(r"zanith approvals approve (\w+)")


def on_page(text: str) -> str:
    """Return a hint with the page's fields and buttons in place of flags and commands."""
    places = list(_COMMANDS.values())
    text = _COMMAND.sub(lambda found: places[(found.lastindex or 1) - 1], text)
    said = _FLAG.sub(lambda found: _WORDS[found[0]][0], text)
    return said[0].upper() + said[1:] if _OWN_START.match(said) else said


def sentence(text: str) -> str:
    """Return a message with a capital letter where it begins with a word, and not with a name."""
    return text[0].upper() + text[1:] if _FIRST_WORD.match(text) else text


def capital(text: str) -> str:
    """Return a text of ours, which begins with no name, with a capital letter."""
    return text[:1].upper() + text[1:]


def in_api(text: str) -> str:
    """Return a hint with the request's keys in place of flags."""
    text = _ASK.sub("POST /api/approvals", text)
    text = _APPROVE.sub(r"POST /api/approvals/\1/approve", text)
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
