"""One root error, with a class for each way that an operation can end badly.

The docstring of a class is its default message. How a class becomes an exit code or an HTTP status
is decided outside, in one place each.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class ZanithError(Exception):
    """Zanith could not do that."""

    code: ClassVar[str] = "failed"

    unconfirmed: ClassVar[str] = ""  # which confirmation or text was wrong, if only that

    stopped_at: str | None = None  # of several artifacts, the one that it is about
    by_owner = False  # somebody's code raised it: its SQLSTATE says nothing about what we did

    # What may be kept of it in the audit log, in a job and in a log file, where message or detail
    # can hold values of rows: those would outlive an erasure.
    kept_message: str | None = None
    kept_detail: str | None = None
    kept_hint: bool = True
    withheld: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        detail: str | None = None,
        hint: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.detail = detail
        self.hint = hint
        self.sqlstate = sqlstate
        super().__init__(self.message)

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object that every interface shows."""
        return {
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "hint": self.hint,
            "sqlstate": self.sqlstate,
        }

    def as_kept(self) -> dict[str, Any]:
        """Return the error as it is stored: without any value of a row."""
        if not self.withheld:
            return self.as_dict()
        return {
            **self.as_dict(),
            "message": self.kept_message or self.message,
            "detail": self.kept_detail,
            "hint": self.hint if self.kept_hint else None,
        }

    @property
    def for_log(self) -> str:
        """What a log file or a stored result says of it."""
        return str(self.as_kept()["message"])

    def withhold(
        self, detail: str | None, message: str | None = None, *, hint: bool = True
    ) -> Self:
        """Keep this detail, and this message if one is given, instead of what is shown.

        Without ``hint`` the hint is not kept either.
        """
        self.withheld = True
        self.kept_detail = detail
        self.kept_message = message
        self.kept_hint = hint
        return self

    def within(self, step: str, hint: str) -> ZanithError:
        """Return the error with the step in the course of which it happened.

        What a step does not find, or cannot read, is nothing that the person who asked got wrong.
        """
        said = f"in the step: {step}"
        kind = Refused if isinstance(self, NotFound | WrongUsage) else type(self)
        error = kind(
            self.message,
            detail="\n".join(filter(None, (said, self.detail))),
            hint=self.hint or hint,
            sqlstate=self.sqlstate,
        )
        error.by_owner = self.by_owner
        if self.withheld:
            kept = "\n".join(filter(None, (said, self.kept_detail)))
            error.withhold(kept, self.kept_message, hint=self.kept_hint or not self.hint)
        return error


class Failed(ZanithError):
    """Something broke: the server went away, the disk is full, or Zanith has a fault."""

    code = "failed"


class LeaseLost(Failed):
    """This job is no longer ours: its lease ran out."""


class WrongUsage(ZanithError):
    """That cannot be asked for in this way."""

    code = "usage"


class NotFound(ZanithError):
    """Nothing matches."""

    code = "not_found"


class Refused(ZanithError):
    """Refused: nothing was changed."""

    code = "refused"

    plan: Any = None  # the plan as it is now, where that is what was refused


class NotConfirmed(Refused):
    """Not confirmed: nothing was changed."""

    unconfirmed = "name"


class NotAccepted(NotConfirmed):
    """Not confirmed that it blocks others: nothing was changed."""

    unconfirmed = "blocking"


class WrongReason(WrongUsage):
    """The reason is missing, or too long."""

    unconfirmed = "reason"


class NotInstalled(Refused):
    """Zanith is not installed in this database."""


class Cancelled(Refused):
    """Cancelled: nothing was changed."""


class Locked(ZanithError):
    """Somebody else is at work on it."""

    code = "locked"

    blockers: tuple[Any, ...] = ()  # who holds it up, where that was seen
    job: Any = None  # the job that is under way, where that stands in the way


class Taken(Locked):
    """Another worker has this job, or is at the same work."""

    job_id: str | None = None  # the other job, where there is one


class Busy(Locked):
    """Others read it just now."""

    code = "busy"


class PoolExhausted(Busy):
    """All connections of this process are in use."""


class OutOfTime(Failed):
    """It took too long and was ended."""

    code = "out_of_time"


class NotPermitted(ZanithError):
    """That is not permitted."""

    code = "not_permitted"


class NotAuthenticated(NotPermitted):
    """Say who you are first."""

    code = "not_authenticated"
