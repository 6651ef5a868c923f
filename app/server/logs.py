"""What libraries log: nothing for a command that ends, one line each for a server. No traceback."""

import json
import logging
from datetime import UTC, datetime

from app.routes.middleware.request_id import request_id


class _Traced(logging.Filter):
    """Puts the id of the request that is under way on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        record.request_id = request_id.get()
        return True


def _said(record: logging.LogRecord) -> str:
    """The message, of a traceback its last line: the rest helps nobody who runs a server."""
    text = record.getMessage().rstrip()
    return text.splitlines()[-1] if "Traceback (most recent call last)" in text else text


class _OneLine(logging.Formatter):
    """Says what went wrong, not where, and in which request."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, the last line of an exception that came with it, and the request."""
        cause = record.exc_info[1] if record.exc_info else None
        request = getattr(record, "request_id", None)
        text = f"{record.levelname.lower()}: {_said(record)}" + (f": {cause}" if cause else "")
        return " ".join(text.splitlines()) + (f" (request {request})" if request else "")


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, logger, message, request; for an answered request its facts too."""
        cause = record.exc_info[1] if record.exc_info else None
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _said(record),
            "request_id": getattr(record, "request_id", None),
            **({"error": f"{type(cause).__name__}: {cause}"} if cause else {}),
            **getattr(record, "facts", {}),
        }
        return json.dumps(facts, default=str)


def be_quiet() -> None:
    """Let the error of a command say what is to be said."""
    logging.getLogger().addHandler(logging.NullHandler())


def speak_in_lines(form: str = "text") -> None:
    """Write what a server's parts report to stderr, one line each.

    "text" is for people: warnings and errors. "json" is for machines: each answered request too.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_Traced())
    handler.setFormatter(_Json() if form == "json" else _OneLine())
    handler.setLevel(logging.INFO if form == "json" else logging.WARNING)
    logging.getLogger().addHandler(handler)
    if form == "json":
        logging.getLogger().setLevel(logging.INFO)
