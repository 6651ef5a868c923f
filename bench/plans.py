"""The plan of 1,000 statements, without a database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.plan import plan_migrations
from bench.place import Place
from bench.rows import Bar, Row
from tests.migrate.forms import forms

TOPIC = "plan"
STATEMENTS = 1_000
ROUNDS = 5


def measure(_: Place) -> Iterator[Row]:
    """Plan one file with a mixture of all forms of statements."""
    known = list(forms())
    text = ";\n".join(known[n % len(known)] for n in range(STATEMENTS))
    migration = Migration("0001", Script(Path("0001.sql"), text.encode()))
    plan = plan_migrations(Layout.FILE, [migration])
    taken = []
    for _round in range(ROUNDS):
        began = time.perf_counter()
        plan_migrations(Layout.FILE, [migration])
        taken.append(time.perf_counter() - began)
    note = f"{len(plan.operations):,} operations"
    yield Row(
        TOPIC, f"plan of {STATEMENTS:,} statements", "s", statistics.median(taken), "", bar=Bar(2.0, of="ours"),
        spread=(min(taken), max(taken)), note=note,
    )  # fmt: skip
