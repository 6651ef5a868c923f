"""Compression inline with the stream: gzip by isal, zstd, or none; both at their quickest level."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

EXTENSIONS: dict[str | None, str] = {None: "", "gzip": ".gz", "zstd": ".zst"}


class Compressor(Protocol):
    """Takes plain chunks and gives what is to be sent; counts and hashes what it gave."""

    sent: int

    @property
    def checksum(self) -> str | None:
        """SHA-256 of what was sent, or None where that is the plain stream itself."""
        ...

    def add(self, chunk: bytes) -> bytes:
        """Return what is to be sent now, perhaps nothing."""
        ...

    def end(self) -> bytes:
        """Return what is left."""
        ...


class _Plain:
    checksum = None

    def __init__(self) -> None:
        self.sent = 0

    def add(self, chunk: bytes) -> bytes:
        self.sent += len(chunk)
        return chunk

    def end(self) -> bytes:
        return b""


class _Packed:
    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._hash = hashlib.sha256()
        self.sent = 0

    @property
    def checksum(self) -> str:
        return self._hash.hexdigest()

    def add(self, chunk: bytes) -> bytes:
        return self._note(self._engine.compress(chunk))

    def end(self) -> bytes:
        return self._note(self._engine.flush())

    def _note(self, data: bytes) -> bytes:
        self.sent += len(data)
        self._hash.update(data)
        return data


def compressor(kind: str | None) -> Compressor:
    """Return a compressor of a kind: None, gzip or zstd."""
    if kind is None:
        return _Plain()
    if kind == "gzip":
        from isal import isal_zlib

        gzip_window = 16 + 15  # a gzip header and the largest window (zlib manual, deflateInit2)
        return _Packed(isal_zlib.compressobj(1, isal_zlib.DEFLATED, gzip_window))
    if kind == "zstd":
        import zstandard

        return _Packed(zstandard.ZstdCompressor(level=1).compressobj())
    raise ValueError(kind)
