"""Every template is one that Jinja takes: a fault in the macros would break each page."""

from pathlib import Path

import pytest
from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parents[2] / "app" / "templates"


@pytest.mark.parametrize(
    "name", sorted(str(p.relative_to(TEMPLATES)) for p in TEMPLATES.rglob("*.html"))
)
def test_jinja_takes_it(name: str) -> None:
    assert Environment(autoescape=True).parse((TEMPLATES / name).read_text("utf-8")).body
