"""Connection strings as libpq takes them: a URL, keywords and values, or the name of a database."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from app.recovery.core.errors import WrongUsage

_URL = re.compile(r"postgres(?:ql)?://")
_OTHER_URL = re.compile(r"[^=\s']*://")  # of another scheme: in keywords and values = comes first
_PAIR = re.compile(
    r"\s*(?P<key>[^\s=]+)\s*=\s*"
    r"(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<plain>(?:[^\s'\\]|\\.)*))(?=\s|$)",
    re.DOTALL,
)
_PLACE = re.compile(r"(\[.*\]|[^:]*)(?::(\d*))?")
_ALIASES = {"database": "dbname"}


def is_url(text: str) -> bool:
    """Return whether the text is a URL: what libpq takes for one."""
    return _URL.match(text) is not None


def is_name(text: str) -> bool:
    """Return whether the text is the bare name of a database."""
    return not is_url(text) and "=" not in text


def parameters(text: str) -> dict[str, str]:
    """Return what a connection string says, by libpq's keywords; empty values say nothing.

    WrongUsage where keywords and values cannot be read; the error repeats no value. ValueError for
    a URL that is none.
    """
    if is_url(text):
        found = _of_url(text)
    elif _OTHER_URL.match(text):
        raise WrongUsage(
            "the database URL cannot be read",
            hint="write it as postgresql://user@host:5432/database",
        )
    elif is_name(text):
        found = {"dbname": text}
    else:
        found = _of_pairs(text)
    return {_ALIASES.get(key, key): value for key, value in found.items() if value}


def to_url(found: dict[str, str]) -> str:
    """Return the URL that says the same as the keywords."""
    hosts = found.get("host", "").split(",")
    if any(":" in host and host[0] not in "[/" for host in hosts):  # an address of IPv6
        bare = [f"[{host}]" if ":" in host and host[0] not in "[/" else host for host in hosts]
        found = {**found, "host": ",".join(bare)}
    return "postgresql://" + ("?" + urlencode(found, quote_via=quote) if found else "")


def _of_pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        pair = _PAIR.match(text, at)
        if pair is None:
            raise WrongUsage(
                "the connection string cannot be read",
                detail=f"near character {at + 1}: each part is keyword=value",
                hint="write it as host=db.example dbname=shop; quote a value with spaces: 'a b'",
            )
        value = pair["plain"] if pair["quoted"] is None else pair["quoted"]
        found[pair["key"]] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        at = pair.end()
    return found


def _of_url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        login, place = "", parts.netloc
    user, _, password = login.partition(":")
    hosts, ports = [], []
    for one in place.split(",") if place else ():
        found = _PLACE.fullmatch(one)
        if found is None:
            raise ValueError
        hosts.append(unquote(found[1]))
        ports.append(found[2] or "")
    return {
        "user": unquote(user),
        "password": unquote(password),
        "host": ",".join(hosts),
        "port": ",".join(ports) if any(ports) else "",
        "dbname": unquote(parts.path.removeprefix("/")),
        **dict(parse_qsl(parts.query, keep_blank_values=True)),
    }
