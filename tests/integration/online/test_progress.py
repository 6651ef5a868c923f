"""Online work tells its total, rate and time left, and which planned step is under way."""

from __future__ import annotations

import json
import re

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import COUNTED, PLANNED
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.studios import run_studio

DBA = Actor("dba", None, "staff")
TABLE = """
CREATE TABLE public.large (id bigint PRIMARY KEY, c text);
INSERT INTO public.large SELECT n, 'c' || n FROM generate_series(1, 6000) n;
ANALYZE public.large;
"""
RUNNING = """
INSERT INTO zanith._zanith_jobs (id, kind, object, state, params, progress, actor, started_at,
    lease, lease_expires_at)
VALUES ('feedface000000aa', 'capture', 'public.large.c', '{state}', $params${params}$params$,
    '{progress}', 'ana', now(), 'x', now() + interval '1 hour')
ON CONFLICT (id) DO UPDATE SET progress = EXCLUDED.progress
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def of_plan(steps) -> set[str]:
    """Return which parts of the work tick a step of this plan."""
    purposes = [step.purpose for step in steps]
    return {part for part in PLANNED.values() if any(p.startswith(part) for p in purposes)}


async def test_each_part_of_the_work_ticks_a_step_of_the_plan(db, database):
    database.psql(TABLE)
    request = CaptureRequest("archive_column", "public.large", "c", online=True)
    plan = await plan_capture(db, request)
    told: list[dict] = []

    async def follow(values: dict) -> None:
        told.append(dict(values))

    artifact = await capture(db, request, DBA, on_progress=follow)
    copied = [values for values in told if values.get("step") == "copy key and value"]
    assert copied[-1]["rows"] == 6000
    assert copied[-1]["rows_expected"] == 6000
    assert copied[-1]["rows_rate"] > 0
    (job,) = await jobs.list_jobs(db, kinds=["capture"])
    assert {"rows": 6000, "rows_expected": 6000}.items() <= job.progress.items()
    assert job.progress["part"] == PLANNED["drop the column"]
    ticked = {values["part"] for values in told if "part" in values}
    assert ticked == of_plan(plan.steps)

    told.clear()
    choices = Choices(online=True, fill_default=True)
    plan = await plan_restore(db, artifact.id, choices)
    await restore(db, artifact.id, choices, DBA, on_progress=follow)
    ticked = {values["part"] for values in told if "part" in values}
    assert ticked == of_plan(plan.steps)


@pytest.mark.newest
async def test_the_page_shows_the_total_the_rate_and_the_steps(db, database):
    database.psql(TABLE)
    request = CaptureRequest("archive_column", "public.large", "c", online=True)
    planned = [step.purpose for step in (await plan_capture(db, request)).steps]
    params = json.dumps({"online": True, "strategy": "archive_column", "steps": planned})
    copying = {
        "step": "copy key and value: paused by vic",
        "part": COUNTED[0],
        "rows": 1200345,
        "rows_expected": 4000000,
        "rows_rate": 81200.0,
        "left": 34.0,
    }
    comparing = {
        **copying,
        "step": "waiting for pid 7",
        "part": PLANNED["compare every value with its copy"],
    }
    with run_studio(database.tcp_url) as studio, studio.client() as client:

        def show(progress: dict) -> str:
            row = RUNNING.format(state="running", params=params, progress=json.dumps(progress))
            database.psql(row)
            return client.get("/studio/jobs/feedface000000aa").raise_for_status().text

        page = show(copying)
        text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
        assert "Rows 1.2 M of about 4.0 M Rate 81.2 k rows/s Left 34 s" in text
        assert 'value="30.0"' in page
        here = next(n for n, purpose in enumerate(planned) if purpose.startswith(COUNTED[0]))
        assert page.count('<li class="done">') == here
        assert page.count('<li class="now">') == 1
        listed = " ".join(re.sub(r"<[^>]+>", " ", client.get("/studio/jobs").text).split())
        assert "1.2 M of 4.0 M rows" in listed
        page = show(comparing)
        there = next(n for n, purpose in enumerate(planned) if purpose.startswith("Compare every"))
        assert page.count('<li class="done">') == there > here
        assert "rows/s" not in page  # what was copied says nothing of a comparison
        assert not re.search(r"<progress[^>]* value=", page)
