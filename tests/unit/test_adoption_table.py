"""The table of `make adoption`: a tool that did not run keeps the row of the day that it has."""

from __future__ import annotations

from tests.adoption.command import BEGIN, END, HEADS, Line, measured_before, table
from tests.adoption.tools import TOOLS

SQITCH = next(tool for tool in TOOLS if tool.name == "sqitch")
DOCUMENT = f"""text
{BEGIN}
PostgreSQL 18.4, on 2026-01-31:

| tool | version | dropped | captured | remarks |
| --- | --- | --- | --- | --- |
| sqitch | 1.3.1 | 5 | 5 | {{remarks}} |
| Knex | - | - | - | not run: make adoption installs it |

{END}more
"""


def test_a_row_of_before_says_of_which_day_it_is():
    rows = measured_before(DOCUMENT.format(remarks="not back: INDEX a"))
    assert set(rows) == {"sqitch"}
    assert rows["sqitch"] == [
        *("sqitch", "1.3.1", "5", "-", "5", *["-"] * 5),
        "measured on 2026-01-31; not back: INDEX a",
    ]
    assert measured_before(DOCUMENT.format(remarks=""))["sqitch"][-1] == "measured on 2026-01-31"
    kept = DOCUMENT.format(remarks="measured on 2025-12-24")
    assert measured_before(kept)["sqitch"][-1] == "measured on 2025-12-24"


def test_a_tool_that_did_not_run_keeps_its_row():
    before = measured_before(DOCUMENT.format(remarks=""))
    line = Line(SQITCH, None, "apt-get install sqitch")
    assert "| sqitch | 1.3.1 | 5 | - | 5 |" in table([line], 18, before)
    alone = table([line], 18, {})
    assert alone.splitlines()[-1].endswith("| not run: apt-get install sqitch |")
    assert alone.splitlines()[-1].count("|") == len(HEADS) + 1
