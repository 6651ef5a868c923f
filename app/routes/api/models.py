"""What the API takes and gives, as it is documented in /api/openapi.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.recovery.capture.request import CaptureRequest
from app.recovery.core.names import parse_name, quote
from app.recovery.core.options import LONGEST, read_options
from app.recovery.core.strategies import Strategy
from app.recovery.plan.model import Choices
from app.routes.options import NO_NUL, declaring
from app.shape import FORMAT_VERSION

Text = Annotated[str, Field(pattern=NO_NUL, max_length=LONGEST)]


class ErrorBody(BaseModel):
    """What went wrong, and what to do about it."""

    code: str = Field(description="a stable word: refused, not_found, locked, …")
    message: str
    detail: str | None
    hint: str | None
    sqlstate: str | None = Field(description="PostgreSQL's code, where there was one")


class _Answer(BaseModel):
    """What every document of the API has, as every document of the command line."""

    format_version: int = Field(FORMAT_VERSION, description="grows when a key changes or goes")


class ErrorAnswer(_Answer):
    """The one shape of every error."""

    error: ErrorBody
    plan: dict[str, Any] | None = Field(
        None, description="of a restore that was refused: its plan as it is now"
    )


class AnalyzedOut(_Answer):
    """A table whose planner statistics were collected."""

    table: str


class ArtifactOut(BaseModel):
    """One artifact."""

    model_config = ConfigDict(extra="allow")

    id: str
    migration_id: str | None
    artifact_type: str
    status: str
    health: str
    source_schema: str
    source_table: str
    source_column: str | None
    physical_schema: str | None
    physical_name: str | None
    row_count: int | None
    size_bytes: int | None
    checksum: str | None
    checksum_algorithm: str | None
    sealed_at: str | None
    verified_at: str | None
    reason: str | None
    created_at: str
    created_by: str
    created_by_role: str | None = Field(description="the database role that captured")
    expires_at: str | None
    held: bool
    held_by: str | None
    held_by_role: str | None
    held_reason: str | None
    restored_at: str | None
    restored_by: str | None
    restored_by_role: str | None
    kept_kind: str | None = Field(description="what a kept definition is of, such as view")
    kept_name: str | None = Field(description="the name of such an object")
    cascade_of: str | None = Field(description="the artifact whose cascade captured it")


class ArtifactDocument(ArtifactOut, _Answer):
    """One artifact by itself."""


class ArtifactsOut(_Answer):
    """One page of artifacts; `next` and `previous` go into `after`."""

    artifacts: list[ArtifactOut]
    total: int
    next: str | None
    previous: str | None


class DriftOut(BaseModel):
    """What one check of a plan found."""

    model_config = ConfigDict(extra="allow")

    kind: str
    message: str
    counted: bool = Field(description="false: the check did not run, or got no answer")
    count: int | None = Field(description="null if it was not counted; 0 means none")
    reason: str | None = Field(description="why it was not counted, or PostgreSQL's error")
    blocks: bool


class PlanOut(BaseModel):
    """What a restore would do, and what is known of the data; `drift` has every check."""

    model_config = ConfigDict(extra="allow")

    steps: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    drift: list[DriftOut]
    losses: list[dict[str, Any]]
    companions: list[dict[str, Any]] = Field(
        description="artifacts that came with it and are parked still, in the order to restore"
    )
    blocked: list[str]
    digest: str


class InspectionOut(ArtifactOut, _Answer):
    """One artifact with all that is known of it."""

    recovery_sql: str | None
    plan: PlanOut | None
    definition: dict[str, Any]
    dependents: list[dict[str, Any]]
    companions: list[dict[str, Any]] = Field(description="the artifacts that its cascade made")
    exports: list[dict[str, Any]]
    activity: list[dict[str, Any]]


class JobOut(BaseModel):
    """One job; follow it at `/api/jobs/{id}/events`."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str
    artifact_id: str | None
    object: str | None
    state: Literal[
        "queued", "running", "done", "mismatch", "refused", "failed", "cancelled", "interrupted"
    ] = Field(description="mismatch: it ended, and the parked object does not match its seal")
    params: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    actor: str
    actor_role: str | None = Field(description="the database role that it was put in by")
    pause_requested_by: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    elapsed: float = Field(description="seconds that it ran")


class JobDocument(_Answer):
    """One job by itself; `error` in it is how the job ended, not the request."""

    job: JobOut


class LeftOverOut(_Answer):
    """Keys of archived values that have no row now; the values themselves are in an export."""

    keys: list[str]
    offset: int
    more: bool


class DiffOut(_Answer):
    """An artifact beside what has its name now."""

    artifact: ArtifactOut
    definition: dict[str, Any] = Field(description="SQL: recorded, now, and whether they differ")
    values: dict[str, Any] = Field(description="counts; null if not counted, and why")
    sample: dict[str, Any] | None = Field(description="rows of the class that `show` names")


class JobsOut(_Answer):
    """One page of jobs; `next` goes into `after`."""

    jobs: list[JobOut]
    next: str | None


_CONFIRM = (
    "the object's name, with or without its schema, table or quotes, or the artifact's id; else 409"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


@declaring(Choices)
class RestoreIn(_Strict):
    """How to restore, and the object's name as confirmation."""

    confirm: Text | None = Field(None, description=_CONFIRM)
    dry_run: bool = Field(False, description="200 with the plan of these choices; nothing runs")
    rehearse: bool = Field(
        False,
        description="run it and roll it back, under a job whose result has each step's time and "
        "the report that would come; takes the locks of the restore, needs no `confirm`",
    )
    blocking_ok: bool = Field(
        False,
        description="of rehearse: others may wait for as long as `blocks` of a dry run says; "
        "needed above one second, else 409",
    )
    digest: Text | None = Field(
        None, description="the digest of the plan that was looked at; another plan is refused"
    )

    def to_choices(self) -> Choices:
        """Return the choices as the engine takes them."""
        return Choices(**read_options(Choices, vars(self)))


@declaring(CaptureRequest)
class CaptureIn(_Strict):
    """What to drop, how, and its name as confirmation."""

    strategy: Strategy
    table: Text = Field(description='schema.table, quoted as in SQL: `"Weird.Name".t`')
    column: Text | None = Field(None, description="the column's exact name, unquoted")
    dry_run: bool = Field(False, description="200 with the plan; nothing runs")
    digest: Text | None = Field(
        None, description="the digest of the plan that was looked at; another plan is refused"
    )
    confirm: Text | None = Field(None, description=_CONFIRM)

    def to_request(self) -> CaptureRequest:
        """Return it as the engine takes it; WrongUsage for a name or duration that is none."""
        return CaptureRequest(
            strategy=self.strategy,
            table=quote(parse_name(self.table)),
            column=self.column,
            **read_options(CaptureRequest, vars(self)),
        )


class StandingOut(BaseModel):
    """Whether a change needs an approval, and the request that is about just this change."""

    needed: bool
    approved: bool
    request: dict[str, Any] | None


class CapturePlanOut(_Answer):
    """What a capture would do; sizes in bytes."""

    strategy: str
    object: str
    steps: list[dict[str, Any]]
    warnings: list[str]
    dependents: list[dict[str, Any]]
    companions: list[dict[str, Any]] = Field(
        description="objects that become artifacts of their own: strategy and object"
    )
    goes_with: list[dict[str, Any]] = Field(description="parts of the column: kind and name")
    publications: list[str]
    size_bytes: int | None
    row_estimate: int | None
    digest: str


class PlannedOut(_Answer):
    """What a restore would do."""

    plan: PlanOut
    blocks: dict[str, Any] = Field(
        description="what `restore` and `rehearsal` block, and for how many seconds"
    )
    approval: StandingOut


class ReasonIn(_Strict):
    """Reason, for the audit log."""

    reason: Text | None = None


class PurgeIn(ReasonIn):
    """The object's name as confirmation, and why."""

    confirm: Text | None = Field(None, description=_CONFIRM)
    digest: Text | None = Field(
        None, description="the digest of the plan that was looked at; another plan is refused"
    )


class EraseIn(PurgeIn):
    """Which rows, how many they are, and the object's name as confirmation."""

    match: dict[Text, Text] = Field(
        description="column and value, as PostgreSQL prints it, of each that identifies the rows; "
        "kept nowhere"
    )
    row_count: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="how many match, as a dry run says; else 409"
    )
    dry_run: bool = Field(False, description="200 with the plan and the count; nothing runs")


class ErasurePlanOut(_Answer):
    """What an erasure would do; `$1`, `$2` in the steps stand for the values."""

    artifact_id: str
    object: str
    target: str
    columns: list[str]
    steps: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    row_count: int | None = Field(
        description="null where they were not counted: a conflict stops it"
    )
    digest: str
    approval: StandingOut


class CleanupIn(_Strict):
    """What to clean up. Without `dry_run` the count is the confirmation."""

    older_than: Text | None = Field(
        None, description="30d, 12h; captured longer ago than that, and expired"
    )
    expired: bool = Field(False, description="past expires_at")
    before_expiry: bool = Field(
        False, description="of older_than: also what has an expiry date still to come"
    )
    only: list[Text] | None = Field(None, description="of those, only these ids; alone, just these")
    dry_run: bool = Field(True, description="list the artifacts to purge; nothing is deleted")
    digests: dict[Text, Text] = Field(
        {},
        description="by id, the `digest` of a dry run; an artifact that changed since is skipped",
    )
    reason: Text | None = Field(None, description="why, for the log and the tombstones")
    confirm: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="how many artifacts go, as a dry run with the same values says; else 409"
    )


class CandidateOut(BaseModel):
    """What cleanup would do with one artifact; `skip` says why it stays."""

    artifact: ArtifactOut
    skip: str | None
    digest: str | None = Field(
        description="of the plan to purge it, and of its seal; null where it stays"
    )
    last_export: dict[str, Any] | None = Field(
        description="when, by whom, and whether it equals the seal; null where there was none"
    )


class CleanupOut(_Answer):
    """What a cleanup would take; `count` is what confirms it."""

    count: int
    size_bytes: int
    candidates: list[CandidateOut]


class ExportIn(_Strict):
    """How to write the export."""

    format: Annotated[
        Literal["csv", "jsonl", "json", "spreadsheet"],
        Field(description="spreadsheet: csv in which nothing runs as a formula, not as sealed"),
    ] = "csv"
    compress: Literal["none", "gzip", "zstd"] = "none"


class GuardOut(_Answer):
    """The guard as `zanith guard status --json` shows it, and the newest plain drops."""

    state: Literal["on", "off", "damaged"] = Field(
        description="damaged: an event trigger is missing, or not ENABLE ALWAYS"
    )
    available: bool = Field(description="false: Zanith belongs to a role that is no superuser")
    triggers: dict[str, str] = Field(description="event triggers, as pg_event_trigger.evtenabled")
    rules: list[dict[str, Any]]
    may_not_capture: dict[str, int] = Field(
        description="roles whose drops are refused, and how many tables each owns"
    )
    captured: int
    deleted: int
    database_kept: bool = Field(description="whether DROP DATABASE is refused")
    truncate: list[dict[str, Any]] = Field(
        description="tables whose rows TRUNCATE leaves in an artifact, and their parts without it"
    )
    protection: list[Literal["event triggers", "pins", "TRUNCATE triggers"]] = Field(
        description="what keeps data from a plain statement; empty: nothing does"
    )
    pins: list[dict[str, Any]] = Field(
        description="tables whose plain DROP fails, with the columns and parts that have no pin"
    )
    looked_at: str
    captures: list[dict[str, Any]] = Field(
        description="the newest artifacts of plain drops; refusals are in PostgreSQL's log only"
    )
    deletions: list[dict[str, Any]] = Field(
        description="the newest objects that a warning or the setting zanith.guard let go"
    )


class VersionedOut(BaseModel):
    """Whether the studio works, and against what."""

    status: str
    version: str


class ReadyOut(VersionedOut):
    """Whether the studio is ready, and how many messages of webhooks have not arrived."""

    webhooks_waiting: int
    webhooks_given_up: int


_ERRORS = {
    400: "the request is not valid",
    401: "no token, or a wrong one",
    403: "not permitted in this role",
    404: "nothing matches",
    405: "method not allowed",
    408: "the body did not arrive in time",
    409: "refused: a conflict, a broken seal, a hold, or no confirmation",
    413: "the body is larger than 1 MiB, or a form has too many fields",
    414: "the query is longer than 8 KiB",
    415: "unsupported content type of the body",
    422: "the request does not have the documented form",
    423: "no lock in time, or a job is under way",
    429: "too many wrong tokens, or too many event streams",
    500: "a fault",
    503: "the database does not answer, the studio shuts down, too many ask at once, or a read "
    "took too long",
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text} for status, text in _ERRORS.items()
}
