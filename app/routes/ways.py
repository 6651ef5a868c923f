"""The ways out of what stops a restore: the buttons that stand at each conflict and drift."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import WrongUsage
from app.recovery.plan.model import Choices, Conflict, Drift
from app.routes.chosen import Chosen

GAPS = ("null_gaps", "rows_added")
"""Drift that a value for rows inserted since resolves."""

# A constant as PostgreSQL prints a default: the type is the column's.
_CAST = re.compile(r"^('(?:[^']|'')*')::[\w .\"()]+$")

_ONLINE = ("not_online", "needs_value", "triggers_fire")


@dataclass(frozen=True)
class Way:
    """One way out: a link to the plan with another choice, or a field that such a choice needs.

    ``made`` says that the plan on this page has the choice already.
    """

    label: str
    link: str = ""
    key: str = ""
    text: str = ""
    press: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    plans: bool = True
    made: bool = False
    danger: bool = False


@dataclass(frozen=True)
class Asker:
    """What the ways depend on: the artifact, the choices so far, and who looks."""

    artifact: Artifact
    chosen: Chosen
    default: str | None = None
    sees_rows: bool = True
    can_change: bool = True

    def ways(self, stop: Conflict | Drift) -> tuple[Way, ...]:
        """Return the buttons of a conflict, or of drift; none where its hint says what to do."""
        return tuple(self._ways(stop))

    def _ways(self, stop: Conflict | Drift) -> Iterator[Way]:
        for artifact_id in stop.waits_for:
            there = f"/studio/artifacts/{artifact_id}/restore"
            yield Way(f"Restore artifact {artifact_id} first", there, plans=False)
        if isinstance(stop, Drift):
            yield from self._gap(stop) if stop.kind in GAPS else self._choices(stop)
            return
        if stop.code == "seal_broken":
            yield from self._seal()
        if stop.code == "other_choices":
            yield from self._same_choices(stop)
        yield from self._choices(stop)
        for part in stop.without:
            without = (*self.chosen.choices.without, part)
            yield self._plan(f"Leave out {part}", self.chosen.but(without=without))
        if stop.code in _ONLINE and self.chosen.choices.online:
            offline = self.chosen.but(online=False, fire_triggers=False)
            yield self._plan("Restore in one transaction", offline)
        for artifact_id in stop.artifacts:
            if artifact_id not in stop.waits_for:
                there = f"/studio/artifacts/{artifact_id}"
                yield Way(f"Look at artifact {artifact_id}", there, plans=False)

    def _choices(self, stop: Conflict | Drift) -> Iterator[Way]:
        """Yield a way for each option of the command line that resolves it."""
        chosen = self.chosen
        for flag in stop.choices:
            name, _, value = flag.partition(" ")
            if name == "--as":
                taken = self.artifact.source_column or self.artifact.source_table
                text = f"{taken[:50]}_restored" if value in {"", "NAME"} else value
                yield self._ask("Restore as", "as", text, press="Use this name")
            elif name == "--fill" and value == "default":
                yield self._default()
            elif name == "--fill":
                yield from self._value()
            elif name == "--search-path":
                path = chosen.choices.search_path or ""
                yield self._ask("Search path", "search_path", path, press="Use this path")
            elif name in _TICKS:
                option, label = _TICKS[name]
                yield self._plan(label, chosen.but(**{option: True}))

    def _gap(self, drift: Drift) -> Iterator[Way]:
        """Yield what rows inserted since can get: the default, NULL, or a value of one's own."""
        if "--fill default" in drift.choices and self.default is not None:
            yield self._default()
        if drift.kind == "rows_added" and drift.choices:
            yield self._plan(
                "Leave NULL", self.chosen.filling("none"), made=self.chosen.fill_with == "none"
            )
        if "--allow-null" in drift.choices:
            nulls = self.chosen.filling("none").but(allow_null=True)
            yield self._plan("Leave NULL, without NOT NULL", nulls)
        if "--fill VALUE" in drift.choices:
            yield from self._value()

    def _default(self) -> Way:
        value = _CAST.sub(r"\1", self.default or "")
        words = f"Use default {value}" if value else "Use the default"
        filled = self.chosen.filling("default").but(allow_null=False)
        return self._plan(words, filled, made=self.chosen.fill_with == "default")

    def _value(self) -> Iterator[Way]:
        if self.sees_rows:  # the plan would say how many rows have the value
            chosen = self.chosen.filling("value").but(allow_null=False)
            text = self.chosen.fill if self.chosen.fill_with == "value" else ""
            yield self._ask("Enter a value", "fill", text, chosen, press="Use this value")

    def _seal(self) -> Iterator[Way]:
        there = f"/studio/artifacts/{self.artifact.id}#seal-title"
        yield Way("Verify it again", there, plans=False)
        if self.can_change:
            link = self.chosen.skipping_the_seal(self.artifact.id)
            yield Way("Plan it without the seal", link, danger=True)

    def _same_choices(self, conflict: Conflict) -> Iterator[Way]:
        try:
            begun = Choices.from_json(json.loads(conflict.detail or ""))
        except (ValueError, TypeError, WrongUsage):
            return
        same = Chosen.from_job(begun.to_json()).but(online=self.chosen.choices.online)
        yield self._plan("Use the same choices", same)

    def _plan(self, label: str, chosen: Chosen, *, made: bool = False) -> Way:
        return Way(label, chosen.link(self.artifact.id), made=made)

    def _ask(
        self, label: str, key: str, text: str, chosen: Chosen | None = None, *, press: str
    ) -> Way:
        fields = (chosen or self.chosen).fields
        said = {name: value for name, value in fields.items() if name != key}
        return Way(label, key=key, text=text, press=press, fields=said)


_TICKS = {
    "--allow-null": ("allow_null", "Leave NULL, without NOT NULL"),
    "--not-valid": ("not_valid", "Restore as NOT VALID"),
    "--as-text": ("as_text", "Restore as text"),
    "--current-owner": ("current_owner", "Restore for its current owner"),
    "--fire-triggers": ("fire_triggers", "Let the triggers fire"),
}
