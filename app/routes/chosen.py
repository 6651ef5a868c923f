"""The choices of a restore as the fields and the address of a page have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Form, Query

from app.recovery.core.options import option, options_to_json
from app.recovery.plan.model import Choices
from app.routes.options import read_page, reading
from app.routes.rendering import link


@dataclass(frozen=True)
class Chosen:
    """The choices, and the fields of the page that give rows inserted since a value."""

    choices: Choices = field(default_factory=Choices)
    fill_with: str = option("", default="none", words=("none", "default", "value"))
    fill: str = option("", default="")

    @classmethod
    def from_page(cls, given: dict[str, Any]) -> Chosen:
        """Return what an address or a form says."""
        fill_with, fill = given["fill_with"], given["fill"]
        said = {**given, "without": [part for part in given["without"] if part]}
        filled = {
            "fill": fill if fill_with == "value" else None,
            "fill_default": fill_with == "default",
        }
        return cls(Choices(**read_page(Choices, said) | filled), fill_with, fill)

    @classmethod
    def from_job(cls, made: Mapping[str, Any]) -> Chosen:
        """Return the choices that a job keeps."""
        choices = Choices.from_json(dict(made))
        if choices.fill is not None:
            return cls(choices, "value", choices.fill)
        return cls(choices, "default" if choices.fill_default else "none")

    @property
    def fields(self) -> dict[str, Any]:
        """What the form sends, as from_page reads it."""
        said = {**options_to_json(self.choices), "fill_with": self.fill_with, "fill": self.fill}
        return {key: value for key, value in said.items() if key != "fill_default"}

    @property
    def made(self) -> bool:
        """Whether any choice was made."""
        return self.choices != Choices()

    @property
    def said(self) -> dict[str, Any]:
        """What an address of a plan with these choices says."""
        said = self.fields
        if self.fill_with != "value":
            del said["fill"]
            said["fill_with"] = "" if self.fill_with == "none" else self.fill_with
        return said

    def link(self, artifact_id: str, part: str = "", **more: Any) -> str:
        """Return the address of the plan with these choices, or of a part of it."""
        return link(f"/studio/artifacts/{artifact_id}/restore{part}", {**self.said, **more})

    def but(self, **changes: Any) -> Chosen:
        """Return the same with other choices."""
        return replace(self, choices=replace(self.choices, **changes))

    def filling(self, fill_with: str) -> Chosen:
        """Return the same, but rows inserted since get NULL, the default, or a value to enter."""
        filled = {"fill": None, "fill_default": fill_with == "default"}
        return replace(self.but(**filled), fill_with=fill_with, fill="")

    def skipping_the_seal(self, artifact_id: str) -> str:
        """Return the address of the same plan without the check of the seal."""
        return self.but(unverified=True).link(artifact_id)


chosen_in_query = reading(Query, Chosen.from_page, Chosen, Choices)
chosen_in_form = reading(Form, Chosen.from_page, Chosen, Choices)
