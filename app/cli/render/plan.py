"""A plan: what will run, under which locks, what stands against it, and what one may choose."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from app.cli.humanize import printable, printable_block
from app.cli.render.layout import aside, facts, heading, listing, marked, safe
from app.cli.render.steps import BESIDE_TRAFFIC, steps
from app.cli.words import on_command
from app.recovery.artifacts.companions import Companion
from app.recovery.capture.planning import CapturePlan
from app.recovery.plan.model import Conflict, Drift, Plan
from app.text import about, count, size


def restore_plan(plan: Plan) -> RenderableType:
    """The plan of a restore, as `inspect`, --dry-run and the question before it show it."""
    parts: list[RenderableType] = [
        steps(plan.steps, plan.estimates, BESIDE_TRAFFIC if _is_online(plan) else None)
    ]
    if plan.steps:
        parts.append(aside(Text(_cost(plan), style="quiet")))
    if plan.search_path:
        words = f"Code of the owner runs with the search path {printable(plan.search_path)}"
        parts.append(aside(Text(words, style="quiet")))
    if plan.waits_for:
        first = ", ".join(plan.waits_for)
        parts.append(marked(Text("•", style="warn"), f"planned in full once {first} is back"))
    parts += conflicts(plan.conflicts)
    parts += _drift(plan.drift)
    parts += listing("Will not come back exactly", "~", "warn", [x.message for x in plan.losses])
    parts += to_restore_next(plan.companions)
    if plan.choices:
        flags = [(Text(choice.flag, style="flag"), choice.help) for choice in plan.choices]
        parts += [heading("Your choices"), aside(facts(flags))]
    return Group(*parts)


def _is_online(plan: Plan) -> bool:
    return any(step.batches for step in plan.steps)


def _cost(plan: Plan) -> str:
    """What all of it takes: an estimate, and said as one."""
    words = f"Estimated: {about(plan.estimate.seconds)}"
    if plan.verification is not None:
        words += f", including {about(plan.verification)} to check the archive"
    if plan.estimate.disk_bytes:
        words += f". Additional disk: {size(plan.estimate.disk_bytes)}"
    return words


def capture_plan(plan: CapturePlan) -> RenderableType:
    """The plan of a capture: the object, its dependents, and the steps."""
    extent = [x for x in (_rows(plan.row_estimate), _bytes(plan.size_bytes)) if x]
    about = f" ({', '.join(extent)})" if extent else ""
    parts: list[RenderableType] = [
        Text.assemble((printable(plan.object), "name"), f"  {plan.strategy}{about}"),
        steps(plan.steps, between=BESIDE_TRAFFIC if plan.online else None),
    ]
    dependents = [f"{item['kind']} {item['name']}" for item in plan.dependents]
    also = [f"{item['kind']} {item['name']}" for item in plan.goes_with]
    parts += listing("Goes with the column, and comes back with it", "•", "quiet", also)
    companions = [f"{item['object']}  {item['strategy']}" for item in plan.companions]
    parts += listing("Also captured, as a separate artifact", "•", "warn", companions)
    parts += listing("Dependents", "•", "warn", dependents)
    parts += listing("Published by", "•", "warn", plan.publications)
    parts += listing("Note", "!", "warn", map(on_command, plan.warnings))
    return Group(*parts)


def to_restore_next(companions: Sequence[Companion]) -> list[RenderableType]:
    """What came with it and is parked still, with the command of each, in order."""
    commands = [f"zanith recover restore {item.id}  {item.object}" for item in companions]
    return listing("Captured with it: restore next, in this order", "→", "flag", commands)


def capture_plans(plans: Sequence[CapturePlan]) -> RenderableType:
    """The plan of several captures that are one transaction."""
    head = Text(f"{len(plans)} columns in one transaction; steps that they share run once", "head")
    return Group(head, *(Padding(capture_plan(plan), (1, 0, 0, 0), expand=False) for plan in plans))


def conflicts(items: Iterable[Conflict]) -> Iterator[RenderableType]:
    """What stops the plan, each with what resolves it."""
    for index, item in enumerate(items):
        if index == 0:
            yield heading("This stops it")
        yield marked(Text("✗", style="bad"), item.message)
        yield from _way_out(item.detail, item.hint, item.ways_out)
        for number in item.to_look_at:
            yield aside(Text(f"zanith recover inspect {number}", style="flag"))


def _drift(items: Iterable[Drift]) -> Iterator[RenderableType]:
    """What live traffic changed since: how many, three examples, whether that stops the plan.

    A check that did not run is said apart: what it asks is not known.
    """
    items = tuple(items)
    for index, item in enumerate(drifted for drifted in items if drifted.count):
        if index == 0:
            yield heading("Changed since the capture")
        yield marked(
            Text("✗", style="bad") if item.blocks else Text("•", style="warn"), item.message
        )
        if item.examples:
            shown = "; ".join(map(printable, item.examples))
            more = "; …" if (item.count or 0) > len(item.examples) else ""
            yield aside(f"for example {shown}{more}")
        yield from _way_out(None, item.hint, item.choices if item.blocks else ())
    for index, item in enumerate(drifted for drifted in items if not drifted.counted):
        if index == 0:
            yield heading("Not counted: these checks did not run")
        yield marked(
            Text("✗", style="bad") if item.blocks else Text("?", style="warn"), item.message
        )
        if item.reason and item.reason not in item.message:
            yield aside(f"not counted: {item.reason}")
        yield from _way_out(None, item.hint, item.choices if item.blocks else ())


def _way_out(
    detail: str | None, hint: str | None, flags: Iterable[str] | None
) -> Iterator[RenderableType]:
    if detail:
        yield aside(detail)
    if hint:
        yield aside(Text.assemble(("hint: ", "flag"), printable_block(hint)))
    words = Text("resolve with ")
    for index, flag in enumerate(flags or ()):
        words.append(" or " if index else "").append_text(safe(flag, "flag"))
    if flags:
        yield aside(words)


def _rows(estimate: int | None) -> str:
    return f"about {count(estimate)} rows" if estimate and estimate > 0 else ""


def _bytes(value: int | None) -> str:
    return "" if value is None else size(value)
