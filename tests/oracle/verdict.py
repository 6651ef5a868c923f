"""What a batch of cases came to, and the smallest case that goes wrong in the same way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from tests.oracle.generate import Case
from tests.oracle.judges import capture_call


@dataclass
class Verdict:
    """What came of the cases of a batch, by schema."""

    cases: dict[str, Case] = field(default_factory=dict)
    invalid: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def judged(self) -> list[str]:
        """Return the schemas that went through to the end, rightly refused ones included."""
        return [name for name in self.cases if name not in self.faults | self.refused]


def tally(verdict: Verdict) -> Counter[tuple[str, str]]:
    """Return how many judged cases had each feature, with each strategy."""
    counted: Counter[tuple[str, str]] = Counter()
    for schema in verdict.judged():
        case = verdict.cases[schema]
        counted.update((word, case.strategy) for word in case.words)
    return counted


def describe(case: Case, fault: str) -> str:
    """Return a case as SQL that a person can paste, and what went wrong with it."""
    call = capture_call(
        case.strategy,
        f"s.{case.quoted(case.target)}",
        case.raw("c") if case.column else None,
        f"on_dependents => '{case.on_dependents}'",
    )
    features = json.dumps([feature.name for feature in case.features], ensure_ascii=False)
    return (
        f"-- {case.strategy} {case.kind} {case.form.name} {features}\n"
        f"CREATE SCHEMA s; SET search_path = s;\n{case.sql('s')};\n{call};\n-- {fault}"
    )


class Shrinkable(Protocol):
    """What can be made smaller: a case, a journey."""

    def smaller(self) -> list[Self]: ...


T = TypeVar("T", bound=Shrinkable)


async def reduce(
    item: T, fault: str, judge: Callable[[list[T]], Awaitable[Verdict]], tries: int = 40
) -> tuple[T, str]:
    """Return the smallest found that still goes wrong in the same step, and how."""
    step = fault.partition(":")[0]
    found = True
    while found and tries > 0:
        found, tries = False, tries - 1
        smaller = item.smaller()
        verdict = await judge(smaller) if smaller else Verdict()
        for schema, text in verdict.faults.items():
            if text.partition(":")[0] == step:
                item, fault = smaller[int(schema.removeprefix("case"))], text
                found = True
                break
    return item, fault
