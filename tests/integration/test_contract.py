"""The API keeps what /api/openapi.json says, for requests that chance makes of that document."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import checks as _registered  # noqa: F401 - registers the checks below
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import app.server.composition
from tests.hard_cases import HardCases
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest

# Left out: what asks that wrong input is refused (negative_data_rejection and its like). An unknown
# query parameter is ignored here, as everywhere on the web, and so is a body where none is asked.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("ZANITH_CONTRACT_EXAMPLES") or 6)
SEED = int(os.environ.get("ZANITH_CONTRACT_SEED") or 11)
# They end with their job; of one that never ends they would be read for ever.
ENDLESS = ("/events",)


@pytest.fixture
def studio(hard_database, monkeypatch) -> Iterator[Running]:
    async def idle(*_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app.server.composition, "keep_up", idle)
    # No live job, so that a stream of events ends.
    hard_database.psql(
        "UPDATE zanith._zanith_jobs SET state = 'interrupted', ended_at = now()"
        " WHERE state IN ('queued', 'running')"
    )
    tokens = {
        "auth_token": "ana:the-token-of-staff",
        "read_only_auth_token": "vic:the-token-of-viewer",
    }
    with run_studio(hard_database.tcp_url, **tokens) as running:
        yield running


@pytest.mark.timeout(1800)  # as many requests as ZANITH_CONTRACT_EXAMPLES says
@pytest.mark.parametrize("role", ["staff", "viewer"])
def test_answers_as_documented(role: str, studio: Running, cases: HardCases):
    bearer = {"Authorization": f"Bearer the-token-of-{role}"}
    schema = schemathesis.openapi.from_url(f"{studio.url}/api/openapi.json", headers=bearer)
    known = {
        "artifact_id": list(cases.artifacts.values()),
        "job_id": list(cases.jobs.values()),
        "export_id": list(cases.exports.values()),
    }
    faults: list[str] = []
    called = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(ENDLESS):
            continue

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def call(case) -> None:
            nonlocal called
            called += 1
            for name, ids in known.items():
                if name in (case.path_parameters or {}) and called % 3:
                    case.path_parameters[name] = ids[called % len(ids)]
            try:
                case.call_and_validate(checks=CHECKS, headers=bearer)
            except FailureGroup as fault:
                faults.extend(
                    f"{case.operation.label}: {str(one)[:1500]}" for one in fault.exceptions
                )

        call()
    assert called > 20
    assert not faults, f"ZANITH_CONTRACT_SEED={SEED}\n" + "\n\n".join(faults[:8])
