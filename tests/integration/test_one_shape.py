"""The command line and the API print the same document of the same thing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.command import done, zanith
from tests.studios import capture_orders, run_studio, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest

NOT_ONE_NAME = {"rows", "db_role"}
"""What the engine calls a number of rows and a role; outside of it they have another name."""


def keys(value: Any, path: str = "") -> set[str]:
    """Return the path of every key; what is recorded of the user's objects is left out."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item, path)}
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        here = f"{path}.{key}".removeprefix(".")
        found.add(here)
        if key not in {"definition", "row", "fidelity", "params", "sizes", "progress"}:
            found |= keys(inner, here)
    return found


def test_the_same_thing_has_the_same_keys(database):
    ids = capture_orders(database)
    here = f"/api/artifacts/{ids['column']}"
    url = database.url
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        wait_for_seals(database)
        verified = client.post(f"{here}/verify").json()
        job = wait_for_job(client, verified["job"]["id"])
        export = client.post(f"{here}/exports").json()["job"]["id"]
        client.get(f"/api/exports/{export}/content").raise_for_status()
        match = {"match": {"id": "1"}, "dry_run": True}
        pairs = {
            "list": ("/api/artifacts", ("list",), {"next", "previous"}),
            "inspect": (here, ("inspect", ids["column"]), set()),
            "purge": (f"{here}/purge", ("recover", "purge", ids["column"], "-n"), set()),
            "job": (f"/api/jobs/{job['id']}", ("jobs", "show", job["id"]), set()),
            "export": (f"/api/exports/{export}", ("jobs", "show", export), set()),
            "jobs": ("/api/jobs", ("jobs", "list"), {"next"}),
            "error": ("/api/artifacts/none_such", ("inspect", "none_such"), set()),
        }
        for what, (path, command, only_there) in pairs.items():
            answer = client.get(path).json()
            printed = zanith(*command, "--json", url=url).json
            assert answer["format_version"] == printed["format_version"] == 1
            mine = keys(printed) - {"command", "more", "blocked"}
            assert keys(answer) - only_there == mine, what
        documents = [
            client.post(f"{here}/restore", json={"dry_run": True}).json(),
            client.post(f"{here}/erase", json=match).json(),
            client.post(f"{here}/hold").json(),
            client.post("/api/cleanup", json={"older_than": "0s", "before_expiry": True}).json(),
            client.request("DELETE", f"/api/artifacts/{ids['table']}", json={"confirm": "carts"}),
        ]
        documents[-1] = documents[-1].json()
        events = client.get(f"/api/jobs/{job['id']}/events").text
    for document in documents:
        assert document["format_version"] == 1
        assert not {key.rsplit(".")[-1] for key in keys(document)} & NOT_ONE_NAME
    assert '"row_count": 500' in events
    assert done("jobs", "list", "--json", url=url).json["jobs"][0]["actor_role"]
