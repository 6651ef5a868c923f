"""One request to one receiver: bounded in time, never redirected, and nothing of it logged."""

from __future__ import annotations

import asyncio
import email.utils
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from app.recovery.webhooks.model import Receiver

SECONDS = 10.0
"""The longest that a receiver may take to answer."""

LONGEST_WAIT = 86_400.0
GONE = 410


@dataclass(frozen=True)
class Answer:
    """What a receiver answered; without a status nothing came. ``retry_after`` is in seconds."""

    status: int | None
    error: str | None
    retry_after: float | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.error is None


class Sender:
    """A client of HTTP, which connects when it first sends; close it with :meth:`close`."""

    def __init__(self) -> None:
        self._client: Any = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, receiver: Receiver, body: bytes, headers: dict[str, str]) -> Answer:
        """Send one request. Only the head of the answer is read, so it may be of any length."""
        import httpx  # slow to import

        if self._client is None:
            for name in ("httpx", "httpcore"):  # they log addresses, which have secrets
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=SECONDS)
        post = self._client.stream("POST", receiver.url, content=body, headers=headers)
        try:
            async with asyncio.timeout(SECONDS), post as response:
                return _judge(response)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(None, f"it did not answer within {SECONDS:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as exc:
            said = str(exc) or type(exc).__name__
            return Answer(None, _without_address(f"no answer came: {said}"))
        finally:
            self._client.cookies.clear()


def _judge(response: Any) -> Answer:
    status: int = response.status_code
    if 200 <= status < 300:
        return Answer(status, None)
    if 300 <= status < 400:
        with suppress(ValueError):
            host = urlsplit(response.headers.get("location", "")).hostname
            to = f" to {host}" if host else ""
            return Answer(
                status,
                f"it answered {status}, a redirect{to}. Zanith follows no redirect: put the new"
                " address into ZANITH_WEBHOOK_URL",
            )
    if status == GONE:
        return Answer(
            status, f"it answered {GONE}: it is gone, and gets nothing until you try again"
        )
    return Answer(
        status, f"it answered {status}", _retry_after(response.headers.get("retry-after"))
    )


def _retry_after(text: str | None) -> float | None:
    """Return how many seconds to wait, of a number or a date; bounded by a day."""
    if not text:
        return None
    seconds: float | None = None
    with suppress(ValueError, OverflowError):
        seconds = float(int(text)) if text.strip().isdigit() else None
        if seconds is None:
            at = email.utils.parsedate_to_datetime(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            seconds = (at - datetime.now(UTC)).total_seconds()
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)


def _without_address(text: str) -> str:
    """Return an error of the library in one line, without anything that looks like an address."""
    words = ["(address)" if "://" in word else word for word in text.split()]
    return " ".join(words)[:300]
