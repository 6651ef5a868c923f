"""`python -m bench` measures every row that it promises, and says nothing of what it did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bench.__main__ import TOPICS, cells, line
from bench.rows import Bar, Row, alternate, levels, times
from tests.conftest import ROOT

pytestmark = pytest.mark.newest

PAGES = (
    *("list", "search", "artifact", "restored artifact", "restore", "purge", "rows", "diff"),
    *("erase", "export", "migrations", "one migration", "drop", "drop of one table", "guard"),
    *("coverage", "cleanup", "cleanup of all", "jobs", "one job", "report", "activity"),
    *("approvals", "webhooks"),
)

# Each of the figures that docs/performance.md promises, by the beginning of its row.
PROMISED = {
    "streams": [
        "CSV over HTTP",
        "JSONL over HTTP",
        "zstd 1 over HTTP",
        "gzip over HTTP",
        "client gone until COPY ended",
        "memory grown by an export of 200 rows",
        "memory grown by an export of 2,000 rows",
        "seal",
        "verify",
    ],
    "captures": [
        "soft-drop of a column, 2,000 rows",
        "soft-drop of a column, a writer's longest wait",
        "its restore, 2,000 rows",
        "its restore, a writer's longest wait",
        "archive a column, one transaction",
    ],
    "guard": [
        "ALTER TABLE without a drop",
        "DROP TABLE, 1,000 rows",
        "DROP COLUMN, 1,000 rows",
        "1,000 ALTER TABLE in one string",
        "DROP TABLE, 10 partitions",
    ],
    "restores": [
        "restore an archived column, one transaction",
        "restore an archived column, one transaction, unverified",
    ],
    "online": [
        "archive a column, online",
        "archive online, a writer's longest wait",
        "restore an archived column, online",
        "restore online, a writer's longest wait",
        "one UPDATE … FROM, the longest wait of a writer of another table",
    ],
    "readers": ["a writer's longest wait, capture under lock_timeout 50 ms", "the reader is named"],
    "listing": ["list page, 60 artifacts", "API list, 60 artifacts", "API list, queries"],
    "cleanup": ["cleanup of 5 artifacts"],
    "pages": [
        *(f"first byte, {page} page, median" for page in PAGES),
        *(f"first byte, {page} page, p99" for page in PAGES),
        "small pages during 3 downloads, p50",
        "small pages during 3 downloads, p99",
    ],
    "plan": ["plan of 1,000 statements"],
    "snapshots": [
        "snapshot of 20 tables, 443 objects",
        "difference of two, a few changes",
        "difference of two, each table changed",
        "difference of two, each table renamed",
    ],
    "demo": ["zanith demo to its first page"],
}


def test_every_promise_has_a_topic():
    assert {topic.TOPIC for topic in TOPICS} >= PROMISED.keys()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("topic", [topic.TOPIC for topic in TOPICS])
def test_every_row_is_measured(tmp_path, topic):
    file = tmp_path / "rows.json"
    sizes = ["--rows", "2000", "--rounds", "1", "--artifacts", "60", "--purges", "5"]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *sizes, "--only", topic, "--json", str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in {0, 1}, ended.stderr
    found = json.loads(file.read_text())
    rows = {row["what"]: row for row in found["rows"]}
    assert {row["topic"] for row in rows.values()} == {topic}
    assert not set(PROMISED.get(topic, ())) - rows.keys()
    for row in rows.values():
        assert row["ours"] > 0 or row["unit"] == "MiB" or row["what"].startswith("waits"), row
        assert f"| {row['what']} |" in ended.stdout


def test_rounds_alternate_and_their_medians_are_compared():
    asked = []
    found = alternate(3, a=lambda: asked.append("a") or 2.0, b=lambda: asked.append("b") or 1.0)
    assert "".join(asked) == "abbaab"
    row = times("t", "what", "by hand", found["a"], found["b"], Bar(1.5))
    assert (row.ours, row.baseline, row.ratio, row.met) == (2.0, 1.0, 2.0, False)


def test_a_bar_is_on_the_ratio_or_on_ours():
    assert levels("t", "wait", "ms", [1, 2, 90], Bar(20, of="ours")).met
    assert not levels("t", "wait", "ms", [1, 80, 90], Bar(20, of="ours")).met
    assert Row("t", "w", "s", 1.0, "–").met is None


def test_a_line_is_markdown_whatever_stands_in_it():
    row = times("t", "seal", "psql COPY | sha256sum", [1.0], [1.0], None)
    assert line(cells(row)).count(" | ") == 6
