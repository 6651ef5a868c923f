"""Answers: JSON in the shape that the command line prints too, and text as a download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse, Response

from app.recovery.jobs.model import Job
from app.shape import document


class Document(JSONResponse):
    """One JSON document of the API."""

    def render(self, content: Any) -> bytes:
        """Return its bytes, with the keys and the format that `docs/interfaces.md` promises."""
        return super().render(document(content) if isinstance(content, Mapping) else content)


def of_job(job: Job) -> dict[str, Any]:
    """Return what is said of one job: beside it stands the error of a request, not of the job."""
    return {"job": job.to_json()}


TEXT_FILES = {"csv": "text/csv", "sql": "application/sql"}
"""The media type of each form of a download that is text."""


def as_file(text: str, name: str, form: str) -> Response:
    """Return a text as a download."""
    return Response(
        text,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{form}"',
            "Cache-Control": "no-store",
        },
        media_type=TEXT_FILES[form],
    )
