"""For every route of the studio one request that would work, and who may send it.

A route without a line here fails `test_every_route`: say what its request is, and who may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from tests.hard_cases import ROWS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Valid:
    """One request: its target by a name of the hard cases, what it carries, what it changes.

    `viewer` and `anyone` say whether they may send it too; `changes` is "artifacts", "jobs",
    "approvals", or nothing. A form is sent with the token of its page.
    """

    of: str = ""
    json: Any = None
    form: dict[str, str] | None = None
    query: dict[str, str] = field(default_factory=dict)
    viewer: bool = True
    anyone: bool = False
    changes: str = ""
    endless: bool = False  # its answer has no end: only its head is read


def change(of: str = "", changes: str = "artifacts", **sent: Any) -> Valid:
    """Return a request that only staff may send."""
    return Valid(of, viewer=False, changes=changes, **sent)


ALONE = {"older_than": "0s", "before_expiry": True}
ARTIFACT = "/api/artifacts/{artifact_id}"
PAGE = "/studio/artifacts/{artifact_id}"

TABLE: dict[str, Valid] = {
    # for machines
    "GET /api/openapi.json": Valid(),
    "GET /healthz": Valid(anyone=True),
    "GET /readyz": Valid(anyone=True),
    "GET /metrics": Valid(),
    "GET /static": Valid(anyone=True),
    "HEAD /static": Valid(anyone=True),
    # the API
    "GET /api/artifacts": Valid(),
    f"GET {ARTIFACT}": Valid("cascade"),
    f"GET {ARTIFACT}/diff": Valid("rebuilt"),
    f"POST {ARTIFACT}/restore": change("published", "jobs", json={"confirm": "published"}),
    f"POST {ARTIFACT}/verify": Valid("values", changes="jobs"),
    f"POST {ARTIFACT}/seal": change("twice", "jobs"),
    f"POST {ARTIFACT}/hold": change("empty", json={"reason": "audit"}),
    f"POST {ARTIFACT}/release": change("held"),
    f"POST {ARTIFACT}/analyze": change("restored", ""),
    f"GET {ARTIFACT}/purge": Valid("cascade"),
    f"DELETE {ARTIFACT}": change("expired", json={"confirm": "expired"}),
    f"POST {ARTIFACT}/exports": Valid("values", json={"format": "json"}, changes="jobs"),
    f"GET {ARTIFACT}/export": Valid("values", changes="jobs"),
    "POST /api/cleanup": change(
        "partitions", "jobs", json={**ALONE, "only": ["{id}"], "dry_run": False, "confirm": 1}
    ),
    "POST /api/captures": change(
        "", "jobs", json={"strategy": "soft_drop_table", "table": "spare", "confirm": "spare"}
    ),
    f"POST {ARTIFACT}/erase": change(
        "values", "jobs", json={"match": {"id": "1"}, "row_count": 1, "confirm": "assorted"}
    ),
    f"GET {ARTIFACT}/rows": Valid("values", query={"where": "id = 1"}),
    f"POST {ARTIFACT}/restore-rows": change(
        "restored", "jobs", json={"where": ["id = 1"], "confirm": "public.orders.fax"}
    ),
    "GET /api/jobs/{job_id}/overwritten": Valid("rows"),
    "GET /api/approvals": Valid(),
    "GET /api/approvals/{approval_id}": Valid("pending"),
    "POST /api/approvals": change(
        "longest", "approvals", json={"kind": "purge", "artifact": "{id}", "reason": "old"}
    ),
    "POST /api/approvals/purges": change(
        "path", "approvals", json={"artifacts": ["{id}"], "reason": "old"}
    ),
    "POST /api/approvals/approve": change(
        "pending three", "approvals", json={"requests": ["{id}"], "confirm": 1}
    ),
    "POST /api/approvals/{approval_id}/approve": change(
        "pending", "approvals", json={"confirm": "code"}
    ),
    "POST /api/approvals/{approval_id}/reject": change("to reject", "approvals", json={}),
    "POST /api/approvals/{approval_id}/withdraw": change("mine", "approvals", json={}),
    "GET /api/events": Valid(endless=True),
    "GET /api/guard": Valid(),
    "GET /api/webhooks": Valid(),
    "POST /api/webhooks/test": change("", ""),
    "POST /api/webhooks/retry": change("", "", json={}),
    "GET /api/exports/{export_id}": Valid("equal"),
    "GET /api/exports/{export_id}/content": Valid("waiting", viewer=False, changes="jobs"),
    "GET /api/exports/{export_id}/events": Valid("equal"),
    "GET /api/jobs": Valid(),
    "GET /api/jobs/{job_id}": Valid("restored"),
    "GET /api/jobs/{job_id}/events": Valid("restored"),
    "POST /api/jobs/{job_id}/cancel": change("running", "jobs"),
    "GET /api/migrations": Valid(),
    "GET /api/migrations/{migration_id:anything}": Valid("small"),
    "POST /api/migrations/{migration_id:anything}/restore": change(
        "small", "jobs", json={"confirm": "small"}
    ),
    "GET /api/history": Valid(),
    "GET /api/snapshots": Valid(),
    "GET /api/snapshots/diff": Valid(query={"before": "live"}),
    "GET /api/pending": Valid(),
    "POST /api/pending/verify": change("", "jobs", json={"to": None}),
    "POST /api/pending/apply": change(
        "", "jobs", json={"to": "0002_second", "confirm": "0002_second"}
    ),
    # signing in and out, and colours
    "GET /": Valid(anyone=True),
    "GET /studio/login": Valid(anyone=True),
    "POST /studio/login": Valid(form={"token": "the-token-of-staff"}, anyone=True),
    "POST /studio/logout": Valid(form={}, anyone=True),
    "POST /studio/theme": Valid(form={"theme": "dark"}, anyone=True),
    # pages
    "GET /studio": Valid(),
    "GET /studio/summary": Valid(),
    "GET /studio/search": Valid(query={"q": "orders"}),
    "GET /studio/capture": Valid(),
    "POST /studio/capture": change(
        "",
        "jobs",
        form={
            "schema": "public",
            "table": "another",
            "strategy": "archive_table",
            "confirm": "another",
        },
    ),
    "POST /studio/bulk": change("image", form={"action": "hold", "id": "{id}"}),
    "GET /studio/bulk": Valid("values", query={"refused": "{id}"}),
    f"GET {PAGE}/erase": Valid("values"),
    f"POST {PAGE}/erase/look": Valid("values", form={"column": "id", "value": "1"}),
    f"POST {PAGE}/erase": change(
        "values", "jobs", form={"column": "id", "value": "2", "rows": "1", "confirm": "assorted"}
    ),
    f"POST {PAGE}/erase/ticked": Valid("values", form={"ref": "{ref}"}),
    f"POST {PAGE}/rows/find": Valid("values", form={"column": "id", "operator": "=", "value": "1"}),
    f"POST {PAGE}/rows/chosen": Valid("values", form={"ref": "{ref}"}),
    f"POST {PAGE}/rows/restore": change(
        "restored", "jobs", form={"ref": "{ref}", "confirm": "public.orders.fax"}
    ),
    "GET /studio/pending": Valid(),
    "POST /studio/pending/verify": change("", "jobs", form={}, query={"id": "0003_never"}),
    "POST /studio/pending": change(
        "", "jobs", form={"confirm": "0001_first"}, query={"id": "0001_first"}
    ),
    "GET /studio/history": Valid(),
    "GET /studio/history/{run}": Valid(),
    "GET /studio/schema": Valid(query={"before": "live"}),
    "GET /studio/migrations": Valid(),
    "GET /studio/migrations/{migration_id:anything}": Valid("deploy"),
    "POST /studio/migrations/{migration_id:anything}": change(
        "too", "jobs", form={"action": "restore", "confirm": "small/too"}
    ),
    "GET /studio/approvals": Valid(),
    "GET /studio/approvals/badge": Valid(),
    "POST /studio/approvals/purges": change(
        "template", "approvals", form={"id": "{id}", "reason": "old"}
    ),
    "POST /studio/approvals/approve": change(
        "pending four", "approvals", form={"id": "{id}", "confirm": "1"}
    ),
    "GET /studio/approvals/{approval_id}": Valid("pending"),
    "POST /studio/approvals/{approval_id}/approve": change(
        "pending too", "approvals", form={"confirm": "prices"}
    ),
    "POST /studio/approvals/{approval_id}/reject": change(
        "to reject too", "approvals", form={"reason": "no"}
    ),
    "POST /studio/approvals/{approval_id}/withdraw": change("mine too", "approvals", form={}),
    f"POST {PAGE}/purge/request": change("cascade", "approvals", form={"reason": "old"}),
    f"POST {PAGE}/erase/request": change(
        "values",
        "approvals",
        form={"column": "id", "value": "5", "rows": "1", "reason": "request 4711"},
    ),
    f"POST {PAGE}/restore/request": change(
        "cascade", "approvals", form={"unverified": "yes", "reason": "no seal"}
    ),
    "GET /studio/activity": Valid(),
    "GET /studio/activity/download": Valid(),
    "GET /studio/coverage": Valid(),
    "POST /studio/coverage": Valid(form={}),
    "GET /studio/guard": Valid(),
    "GET /studio/webhooks": Valid(),
    "POST /studio/webhooks/test": change("", "", form={}),
    "POST /studio/webhooks/retry": change("", "", form={}),
    "GET /studio/cleanup": Valid(),
    "POST /studio/cleanup": change("rebuilt", "jobs", form={**ALONE, "id": "{id}", "confirm": "1"}),
    "GET /studio/jobs": Valid(),
    "GET /studio/jobs/{job_id}": Valid("restored"),
    "GET /studio/jobs/{job_id}/progress": Valid("restored"),
    "GET /studio/jobs/{job_id}/report": Valid("restored"),
    "GET /api/jobs/{job_id}/report": Valid("restored"),
    "POST /studio/jobs/{job_id}/pause": change("online", "jobs", form={}),
    "POST /studio/jobs/{job_id}/resume": change("resting", "jobs", form={}),
    "POST /api/jobs/{job_id}/pause": change("also online", "jobs"),
    "POST /api/jobs/{job_id}/resume": change("also resting", "jobs"),
    "POST /studio/jobs/{job_id}/cancel": change("also running", "jobs", form={}),
    f"GET {PAGE}": Valid("cascade"),
    f"GET {PAGE}/left": Valid("drift"),
    f"GET {PAGE}/diff": Valid("rebuilt"),
    f"GET {PAGE}/diff/counts": Valid("rebuilt"),
    f"GET {PAGE}/diff/rows": Valid("rebuilt"),
    f"GET {PAGE}/definition.json": Valid("cascade"),
    f"GET {ARTIFACT}/left-over": Valid("drift"),
    f"GET {PAGE}/seal": Valid("cascade"),
    f"GET {PAGE}/rows": Valid("cascade"),
    f"POST {PAGE}/verify": Valid("damaged", form={}, changes="jobs"),
    f"POST {PAGE}/seal": change("unsealed", "jobs", form={}),
    f"POST {PAGE}/hold": change("quotes", form={"reason": "audit"}),
    f"POST {PAGE}/release": change("emoji", form={}),
    f"POST {PAGE}/analyze": change("restored", "", form={}),
    f"GET {PAGE}/restore": Valid("cascade"),
    f"GET {PAGE}/restore/counted": Valid("cascade"),
    f"GET {PAGE}/verdict": Valid("cascade"),
    f"POST {PAGE}/restore": change("cascade", "jobs", form={"confirm": "public.base"}),
    f"POST {PAGE}/restore/rehearse": change("longest", "jobs", form={}),
    f"GET {PAGE}/export": Valid("values"),
    f"POST {PAGE}/export": Valid("values", form={"format": "jsonl"}, changes="jobs"),
    "GET /studio/exports/{export_id}": Valid("equal"),
    "GET /studio/exports/{export_id}/progress": Valid("equal"),
    f"GET {PAGE}/purge": Valid("cascade"),
    f"POST {PAGE}/purge": change("taken", form={"confirm": "taken", "reason": "tidy"}),
}

# What the requests above need beside the hard cases: two without a seal, one more hold and job.
BESIDES = f"""
CREATE TABLE public.spare (id int); CREATE TABLE public.another (id int);
DELETE FROM zanith._zanith_jobs WHERE kind = 'seal' AND state = 'running';
UPDATE {ROWS} SET sealed_at = NULL, checksum = NULL, checksum_query = NULL, checksum_settings = NULL
WHERE source_table = 'twice';
UPDATE {ROWS} SET held_by = 'ana' WHERE migration_id LIKE '002%';
INSERT INTO zanith._zanith_jobs (id, kind, artifact_id, object, state, actor, started_at, lease,
    lease_expires_at)
SELECT 'feedface0000000a', 'restore', id, 'public.orders.rating', 'running', 'ana', now(), 'x',
       now() + interval '1 day' FROM {ROWS} WHERE source_column = 'rating';
INSERT INTO zanith._zanith_jobs (id, kind, object, state, params, actor, started_at, lease,
    lease_expires_at, pause_requested_by)
SELECT 'feedface0000000' || n, 'capture', 'public.spare.id', 'running', '{{"online": true}}', 'ana',
       now(), 'x', now() + interval '1 day', CASE WHEN n = 'c' THEN 'ana' END
FROM unnest(ARRAY['b', 'c']) n;
INSERT INTO zanith._zanith_jobs (id, kind, object, state, actor, started_at, ended_at, result)
VALUES ('feedface0000000d', 'restore_rows', 'public.orders.fax', 'done', 'ana', now(), now(),
        '{{"form": "update", "rows": 1, "same": 0, "left": [], "target": "public.orders"}}');
INSERT INTO zanith._zanith_overwritten
    (job_id, artifact_id, target, key_columns, key, columns, was)
VALUES ('feedface0000000d', 'x', 'public.orders', '{{id}}', '{{1}}', '{{fax}}', '{{old}}');
UPDATE public.orders SET fax = 'changed' WHERE id IN (1, 2);
INSERT INTO zanith._zanith_migrations (id, outcome, applied_by, engine)
VALUES ('9999_failed', 'failed', 'ana', '1');
"""

# The files of the directory of migrations.
PENDING = {
    "0001_first.sql": "CREATE TABLE public.of_first (id int);\n",
    "0002_second.sql": "CREATE TABLE public.of_second (id int);\n",
    "0003_never.sql": "CREATE TABLE public.of_never (id int);\n",
}

# The place of a row of a parked table, by the artifact's name, once the hard cases are there.
PLACE = f"""
SELECT physical_schema || '.' || quote_ident(physical_table) FROM {ROWS} WHERE id = '{{id}}'
"""
PLACES: dict[str, str] = {}


def note_places(database: Any, artifacts: dict[str, str]) -> None:
    """Note where a row is of each artifact that a request names a row of."""
    for name, key in (("values", 1), ("restored", 2)):
        table = database.psql(PLACE.format(id=artifacts[name]))
        found = f"SELECT concat(tableoid::oid, ':', ctid) FROM {table} WHERE id = {key}"
        PLACES[artifacts[name]] = database.psql(found)


def every_route(app: FastAPI) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the path of every route with its methods; a mount answers GET and HEAD."""

    def walk(routes: Any) -> Iterator[tuple[str, frozenset[str]]]:
        for route in routes:
            if hasattr(route, "original_router"):
                yield from walk(route.original_router.routes)
            else:
                yield route.path, frozenset(getattr(route, "methods", None) or {"GET", "HEAD"})

    found: dict[str, frozenset[str]] = {}
    for path, methods in walk(app.routes):
        found[path] = found.get(path, frozenset()) | methods
    yield from found.items()
