"""Addresses of migrations: an id holds any character, slashes and line breaks too."""

from __future__ import annotations

from starlette.convertors import PathConvertor, register_url_convertor  # codespell:ignore


class _AnythingConvertor(PathConvertor):
    """A part of a path that goes to its end; of Starlette's own, a line break is no part."""

    regex = "(?s:.*)"


register_url_convertor("anything", _AnythingConvertor())


def id_of(path: str, query: str | None) -> str:
    """Return the id that an address says."""
    return path or query or ""
