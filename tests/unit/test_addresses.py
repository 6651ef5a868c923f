"""Addresses in templates: `url()` writes each, so that it works below the path of a proxy."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

TEMPLATES = Path(str(resources.files("app") / "templates"))
ADDRESS = re.compile(
    r"(?<![\w.-])(?:href|src|srcset|poster|action|formaction|sse-connect|data-feed"
    r'|hx-(?:get|post|put|patch|delete|push-url|replace-url))\s*=(?!=)\s*["\']?([^"\'>]*)'
    r'|content="\d+;\s*url=([^"]*)'
)
RAW = re.compile(r'=\s*["\']?(?:\d+;\s*url=)?/(?:studio|api|static)\b')
WRITTEN = re.compile(r"#|\{\{ url\(|true$|false$")


def forgotten(html: str) -> list[str]:
    """Return the attributes of a template that carry an address without `url()`."""
    found = [
        match[0]
        for match in ADDRESS.finditer(html)
        if not WRITTEN.match(match[1] or match[2] or "")
    ]
    return found + [html[match.start() :][:60] for match in RAW.finditer(html)]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="/studio">',
        '<a href="/studio/artifacts/{{ a.id }}">',
        '<a href="{{ view.next_link }}">',
        "<a href='/studio'>",
        "<a href=/studio>",
        '<form action="/studio/login">',
        '<button formaction="/studio/x">',
        '<div hx-get="/studio/x">',
        '<div hx-post="{{ here }}">',
        '<div hx-push-url="/studio/x">',
        '<div sse-connect="/api/jobs/1/events">',
        '<span data-feed="/api/events">',
        "<script src=\"{{ static('studio.js') }}\">",
        '<meta http-equiv="refresh" content="0;url=/studio">',
        '<meta http-equiv="refresh" content="0;url={{ view.next }}">',
        '<input name="back" value="/studio/jobs">',
        '<div data-else="/static/x">',
    ],
)
def test_a_forgotten_address_is_found(html: str):
    assert forgotten(html)


@pytest.mark.parametrize(
    "html",
    [
        """<a href="{{ url('/studio/artifacts', a.id) }}#seal-title">""",
        """<div hx-get="{{ url(view.here) }}" hx-push-url="true">""",
        """<meta content="0;url={{ url(view.next) }}">""",
        '<a href="#main">',
        "<p>The pages begin at /studio.</p>",
        "{% if action == wanted %}",
    ],
)
def test_a_written_address_is_fine(html: str):
    assert not forgotten(html)


def test_every_address_of_the_templates_is_written_by_url():
    pages = sorted(TEMPLATES.rglob("*.html"))
    assert len(pages) > 40
    assert [f"{page.name}: {one}" for page in pages for one in forgotten(page.read_text())] == []
