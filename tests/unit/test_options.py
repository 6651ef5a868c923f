"""Options are declared once: each interface has all of them, and what they say survives the way."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from typer.main import get_command

from app.cli.commands.drop import app as drop
from app.cli.commands.restore import app as restore
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.options import Option, options_of
from app.recovery.plan.model import Choices
from app.routes.api.models import CaptureIn, RestoreIn
from app.routes.pages import capture as capture_page
from app.routes.pages import restore as restore_page

VALUES = {
    "fill_default": False,  # the other way to fill
    "without": ("foreign key a, b", "grants to c"),
    "on_dependents": "cascade",
    "expires_in": timedelta(hours=36),
    "search_path": "app, public",
}


def value_of(item: Option) -> object:
    return VALUES.get(item.name, True if item.is_flag else f"some {item.name}")


def on_page(item: Option) -> object:
    """Return what a form sends for the value."""
    value = value_of(item)
    if item.write is not None:
        return item.write(value)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("request_type", "commands", "model", "page"),
    [
        (Choices, restore, RestoreIn, restore_page.chosen_in_form),
        (Choices, restore, RestoreIn, restore_page.chosen_in_query),
        (CaptureRequest, drop, CaptureIn, capture_page.picked_in_form),
        (CaptureRequest, drop, CaptureIn, capture_page.picked_in_query),
    ],
)
def test_every_interface_has_every_option(request_type, commands, model, page):
    group = get_command(commands)
    told = {}
    for command in group.commands.values():
        told |= {name: option for option in command.params for name in option.opts}
    fields = model.model_fields
    taken = {
        p.annotation.__metadata__[0].alias for p in inspect.signature(page).parameters.values()
    }
    for item in options_of(request_type):
        assert item.key in taken
        assert fields[item.name].description == item.help
        if item.name == "fill_default":  # a word of --fill
            continue
        assert told[item.flag.split()[0]].help.startswith(item.help)


def test_what_a_page_sends_is_what_its_job_leads_back_to():
    choices = Choices(**{item.name: value_of(item) for item in options_of(Choices)})
    chosen = restore_page.Chosen.from_job(choices.to_json())
    assert chosen.choices == choices
    given = {"fill_with": chosen.fill_with, "fill": chosen.fill}
    given |= {item.name: on_page(item) for item in options_of(Choices) if item.name != "fill"}
    assert restore_page.Chosen.from_page(given) == chosen
    sent = chosen.fields
    for item in options_of(Choices):
        if item.name != "fill_default":
            assert sent[item.key] == on_page(item)

    request = CaptureRequest(
        "archive_column",
        '"S".t',
        "c",
        **{item.name: value_of(item) for item in options_of(CaptureRequest)} | {"keep_rows": False},
    )
    picked = capture_page.Picked.from_job(request.to_json())
    assert picked.to_request("archive_column") == request
    assert picked.fields["expires_in"] == "36h"


def test_a_value_to_fill_in_is_taken_as_it_is():
    given = {"fill_with": "value", "fill": " ", "without": []}
    assert restore_page.Chosen.from_page(given).choices == Choices(fill=" ")
    assert restore_page.Chosen.from_page({**given, "fill": ""}).choices == Choices(fill="")
    assert restore_page.Chosen.from_page({**given, "fill_with": "none"}).choices == Choices()
