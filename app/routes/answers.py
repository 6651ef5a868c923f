"""JSON answers, in the shape that the command line prints too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

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
