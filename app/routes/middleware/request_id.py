"""Which request is under way: known to every log record that is made while it, or its job, runs."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""A task inherits it from its starter, so a job's records name the request behind it."""
