"""`zanith demo`: an embedded server, and a shop on it that has dropped things.

The data directory outlives the demo, so that a second run shows what the first one left.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.demo.story import prepare
from app.embedded import EmbeddedServer
from app.recovery.core.errors import Failed

__all__ = ["MIGRATIONS", "data_directory", "running"]

MIGRATIONS = Path(__file__).parent / "migrations"
"""Pending migrations of the shop: one is safe, one is dangerous, and one would fail."""


@contextmanager
def running(data_dir: Path | None, *, fresh: bool, tell: Callable[[str], None]) -> Iterator[str]:
    """Run the embedded server with the shop while the block runs; gives the database's URL.

    The first run makes the shop, later ones find it as it was left; `fresh` makes it anew.
    """
    directory = data_dir or data_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise Failed(
            f"{directory} cannot be created: {exc.strerror}", hint="choose another --data-dir"
        ) from exc
    with EmbeddedServer(directory) as server:
        tell(f"starting PostgreSQL in {directory}")
        url = server.start()
        yield asyncio.run(prepare(url, fresh=fresh, tell=tell))


def data_directory() -> Path:
    """Where the demo keeps its server by default: the user's data directory."""
    from platformdirs import user_data_path

    return user_data_path("zanith") / "demo"
