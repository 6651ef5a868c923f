"""The reader of a download: takes the bytes as fast as a program can, and keeps none.

As `python -m bench.download URL PATH` it downloads again and again until it is killed, and writes
one byte when the first bytes came.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Callable
from urllib.parse import urlsplit


def download(url: str, path: str, begun: Callable[[], None] | None = None) -> int:
    """Return how many bytes came; an answer that was cut off raises."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=600)
    buffer = bytearray(256 * 1024)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {answer.read(500)!r}")
        total = 0
        while taken := answer.readinto(buffer):
            if not total and begun:
                begun()
            total += taken
        return total
    finally:
        connection.close()


def main() -> None:
    """Download for ever."""
    tell: Callable[[], None] | None = lambda: print(end="!", flush=True)  # noqa: E731
    while True:
        download(sys.argv[1], sys.argv[2], tell)
        tell = None


if __name__ == "__main__":
    main()
