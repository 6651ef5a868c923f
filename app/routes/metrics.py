"""Figures for Prometheus: what this process counted, and what the database holds now.

Names of tables, people and addresses are in none of them.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

from app.recovery.artifacts.listing import States, Summary
from app.recovery.core.version import VERSION
from app.recovery.jobs.model import Job


class Counters:
    """What this process did since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        built = Gauge(
            "zanith_build_info", "Which version this is", ["version"], registry=self.registry
        )
        built.labels(VERSION).set(1)
        self._requests = Counter(
            "zanith_http_requests", "Answers by class of status", ["status"], registry=self.registry
        )
        self._refusals = Counter(
            "zanith_refusals",
            "Errors that were answered, by code",
            ["code"],
            registry=self.registry,
        )
        self._exports = Counter(
            "zanith_exports",
            "Exports that this process streamed, by how they ended",
            ["format", "outcome"],
            registry=self.registry,
        )
        self._bytes = Counter(
            "zanith_exported_bytes", "Bytes of exports that were sent", registry=self.registry
        )

    def answered(self, status: int) -> None:
        """Count an answer; 0 is one that never began."""
        self._requests.labels(f"{status // 100}xx" if status else "none").inc()

    def refused(self, code: str) -> None:
        """Count an error that was answered."""
        self._refusals.labels(code).inc()

    def exported(self, form: str, outcome: str, sent: int) -> None:
        """Count an export that ended as done, mismatch, failed or cancelled, and its bytes."""
        self._exports.labels(form, outcome).inc()
        self._bytes.inc(sent)

    def exposition(
        self,
        summary: Summary,
        states: States,
        live: Iterable[Job],
        tasks: int,
        unsent: tuple[int, int, float] = (0, 0, 0.0),
    ) -> bytes:
        """Return all figures as Prometheus reads them.

        ``unsent`` are the deliveries of webhooks that wait, those given up, and the seconds that
        the oldest one waits.
        """
        stock = _stock(summary, states, list(live), tasks)
        _add_unsent(stock, unsent)
        return generate_latest(self.registry) + generate_latest(stock)


def _stock(summary: Summary, states: States, live: list[Job], tasks: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    for name, text, value in (
        ("zanith_artifacts", "Artifacts that can be restored or were", summary.total),
        ("zanith_artifacts_recoverable", "Artifacts that can be restored", summary.recoverable),
        ("zanith_artifacts_damaged", "Changed, missing or moved", summary.damaged),
        ("zanith_artifacts_unsealed", "Without a recorded checksum yet", summary.unsealed),
        ("zanith_artifacts_held", "Kept from purge and cleanup", summary.held),
        ("zanith_artifacts_expiring_soon", "Expire within a week", summary.expiring_soon),
        ("zanith_parked_bytes", "Bytes that parked objects take", summary.parked_bytes),
        (
            "zanith_oldest_unsealed_seconds",
            "Age of the oldest capture that waits for its seal; 0 where none does",
            states.oldest_unsealed,
        ),
        ("zanith_jobs_live", "Jobs queued or running, of any process", len(live)),
        ("zanith_studio_tasks", "Jobs that this process runs", tasks),
    ):
        Gauge(name, text, registry=registry).set(value)
    by_state = Gauge(
        "zanith_artifacts_by_state", "Artifacts", ["type", "status"], registry=registry
    )
    for kind, status, number in states.counts:
        by_state.labels(kind, status).set(number)
    by_health = Gauge(
        "zanith_artifacts_by_health",
        "Artifacts, as far as their health is told without a look at each object",
        ["health"],
        registry=registry,
    )
    known = {
        "damaged": summary.damaged,
        "unsealed": summary.unsealed,
        "expired": summary.expired,
    }
    for health, number in {**known, "ok": summary.total - sum(known.values())}.items():
        by_health.labels(health).set(number)
    by_kind = Gauge("zanith_jobs", "Live jobs of any process", ["kind", "state"], registry=registry)
    for (kind, state), number in Tally((job.kind, job.state) for job in live).items():
        by_kind.labels(kind, state).set(number)
    return registry


def _add_unsent(registry: CollectorRegistry, unsent: tuple[int, int, float]) -> None:
    for name, text, value in zip(
        (
            "zanith_webhooks_waiting",
            "zanith_webhooks_given_up",
            "zanith_webhooks_oldest_waiting_seconds",
        ),
        (
            "Messages of webhooks that wait for a receiver",
            "Messages of webhooks that did not arrive",
            "Age of the oldest message that waits; 0 where none does",
        ),
        unsent,
        strict=True,
    ):
        Gauge(name, text, registry=registry).set(value)
