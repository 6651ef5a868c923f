"""Jobs of a standby, which may be read and cannot hold their rows: this process keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.recovery.jobs.model import Job

_KEPT = 200


class LocalJobs:
    """The newest of them, by their ids."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def __contains__(self, job_id: str) -> bool:
        """Whether the job is one of them."""
        return job_id in self._jobs

    def get(self, job_id: str) -> Job | None:
        """Return the job as it is now; None where it is none of them."""
        return self._jobs.get(job_id)

    def keep(self, job: Job) -> Job:
        """Keep a job as it is now, and return it; the oldest is forgotten."""
        self._jobs[job.id] = job
        for old in list(self._jobs)[:-_KEPT]:
            del self._jobs[old]
        return job

    def change(self, job_id: str, **values: Any) -> Job:
        """Change what is said of a job that is kept, and return it."""
        return self.keep(replace(self._jobs[job_id], **values))
