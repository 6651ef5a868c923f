"""The settings: typed, checked once at start, and passed in.

Nothing else reads ZANITH_*, but app.profiles, which finds settings under a name, and the pager.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change, parse_changes
from app.recovery.core.sizes import parse_size
from app.recovery.db.database import Database
from app.recovery.webhooks.model import Receiver, Webhooks
from app.tokens import Token, parse_tokens

LOCAL: Literal["local"] = "local"
"""How a peer on a unix socket is called."""
Proxy: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network | Literal["local"]

_PREFIX = "ZANITH_"
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_OWN_PATHS = frozenset({"studio", "api", "static", "healthz", "readyz", "metrics"})
_PUBLIC = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[A-Za-z0-9._~-]+)*")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_OTHER_HEADERS = frozenset({"authorization", "cookie", "host", "origin", "x-forwarded-for"})
_PLAIN = {
    "int_parsing": "it must be a whole number",
    "bool_parsing": "it must be on or off",
}
"""What is said of a value in place of the library's words."""


class Settings(BaseSettings):
    """Every setting, with what it means; the environment names are ZANITH_ and the field's name."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, extra="ignore", frozen=True, arbitrary_types_allowed=True
    )

    database_url: SecretStr | None = Field(
        None, description="postgresql://… or host=… dbname=…; else the PG* variables as in libpq"
    )
    listen_url: SecretStr | None = Field(
        None, description="a direct connection for LISTEN, if the other goes through a pooler"
    )
    host: str = Field("127.0.0.1", min_length=1, description="the address that the studio binds")
    allowed_hosts: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="other names of the studio, separated by commas"
    )
    port: int = Field(4321, ge=0, le=65535, description="its port; 0 takes a free one")
    root_path: str = Field("", description="the path prefix at which a proxy serves it, as /zanith")
    trusted_proxies: Annotated[tuple[Proxy, ...], NoDecode] = Field(
        (), description="addresses or networks whose X-Forwarded-… is trusted, separated by commas"
    )
    user_header: str | None = Field(
        None, description="the header in which a trusted proxy names the person"
    )
    auth_token: Annotated[tuple[Token, ...], NoDecode] = Field(
        (), description="staff: token or name:token, separated by commas"
    )
    read_only_auth_token: Annotated[tuple[Token, ...], NoDecode] = Field(
        (), description="viewers: the same form"
    )
    auth_token_file: Path | None = Field(
        None, description="a file of staff tokens: name:token, one a line or separated by commas"
    )
    read_only_auth_token_file: Path | None = Field(
        None, description="a file of viewers' tokens, the same form"
    )
    audit_log: Path | None = Field(
        None, description="a file for the audit log as NDJSON, in addition to the table"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="how the studio logs: text for people, json for machines"
    )
    retention: Annotated[timedelta | None, NoDecode] = Field(
        timedelta(days=30), description="when captures expire: 30d, 12h, never"
    )
    viewer_export: bool = Field(
        True, description="whether viewers see rows and may export: on or off"
    )
    lock_timeout: Annotated[timedelta, NoDecode] = Field(
        timedelta(seconds=2), description="how long one try for a lock waits: 2s, 500ms"
    )
    shutdown_grace: Annotated[timedelta, NoDecode] = Field(
        timedelta(seconds=10),
        description="how long running jobs may go on after SIGTERM: 10s, 1min",
    )
    read_timeout: Annotated[timedelta, NoDecode] = Field(
        timedelta(minutes=1),
        description="how long a page or API call may read objects of other owners: 1min, 30s",
    )
    lock_retries: int = Field(5, ge=0, le=1000, description="how often a lock is tried again")
    export_dir: Path | None = Field(None, description="where exports to files go by default")
    verify_every: Annotated[timedelta | None, NoDecode] = Field(
        None, description="how often the studio or worker verifies each artifact: 7d, never"
    )
    verify_rate: Annotated[int, NoDecode] = Field(
        50 * 1024**2, description="how much such a verification reads in a second: 50MB"
    )
    public_url: str | None = Field(
        None, description="the address at which people open the studio, for links in messages"
    )
    webhook_url: Annotated[tuple[Receiver, ...], NoDecode] = Field(
        (), description="addresses that get webhooks, separated by commas", repr=False
    )
    webhook_secret: Annotated[tuple[bytes, ...], NoDecode] = Field(
        (), description="what signs webhooks: whsec_…, separated by commas", repr=False
    )
    approvals: Annotated[frozenset[Change], NoDecode] = Field(
        frozenset(),
        description="changes that a second person must approve: purge, erase, unverified",
    )
    migrations: Path | None = Field(None, description="the directory of SQL migrations")
    shadow: Literal["embedded", "same-server", "url"] | None = Field(
        None, description="where migrations are verified: embedded, same-server or url"
    )
    shadow_url: SecretStr | None = Field(
        None, description="the empty database of the shadow url; else SHADOW_DATABASE_URL"
    )

    @field_validator(
        "database_url",
        "listen_url",
        "audit_log",
        "export_dir",
        "migrations",
        "shadow",
        "shadow_url",
        "auth_token_file",
        "read_only_auth_token_file",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("verify_every", mode="before")
    @classmethod
    def _parse_verify_every(cls, value: Any) -> Any:
        parsed = _duration(value or "never") if isinstance(value, str) else value
        if parsed is not None and not timedelta(minutes=1) <= parsed:
            raise ValueError("it must be 1min or more, such as 7d, or never")
        return parsed

    @field_validator("verify_rate", mode="before")
    @classmethod
    def _parse_verify_rate(cls, value: Any) -> Any:
        try:
            return parse_size(value) if isinstance(value, str) else value
        except WrongUsage as exc:
            raise ValueError(f"{exc.message}: {exc.hint}") from None

    @field_validator("public_url", mode="before")
    @classmethod
    def _check_public_url(cls, value: Any) -> Any:
        text = str(value or "").strip().rstrip("/")
        if text and not _PUBLIC.fullmatch(text):
            raise ValueError("write it as https://zanith.example.com, with the path prefix if any")
        return text or None

    @field_validator("webhook_url", mode="before")
    @classmethod
    def _read_receivers(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            found = [Receiver.read(part.strip()) for part in value.split(",") if part.strip()]
        except WrongUsage as exc:
            raise ValueError(exc.message) from None
        return tuple(dict.fromkeys(found))

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _read_secrets(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(_webhook_secret(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return frozenset(name.strip().lower() for name in value.split(",") if name.strip())

    @field_validator("approvals", mode="before")
    @classmethod
    def _parse_approvals(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_changes(value)
        except WrongUsage as exc:
            raise ValueError(f"{exc.message}: {exc.hint}") from None

    @field_validator("auth_token", "read_only_auth_token", mode="before")
    @classmethod
    def _parse_tokens(cls, value: Any) -> Any:
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        return parse_tokens(value) if isinstance(value, str) else value or ()

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse_proxies(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(_proxy(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not _PATH.fullmatch(path):
            raise ValueError("write it as /zanith: letters, digits and ._~- between slashes")
        if path.split("/")[1:2] and path.split("/")[1] in _OWN_PATHS:
            raise ValueError(f"it must not begin like the studio's own paths: {path}")
        return path

    @field_validator("user_header")
    @classmethod
    def _check_user_header(cls, value: str | None) -> str | None:
        if value and not _HEADER.fullmatch(value):
            raise ValueError("it must be the name of a header, such as X-Remote-User")
        if value and value.lower() in _OTHER_HEADERS:
            raise ValueError(f"{value} already has another meaning")
        return value or None

    @field_validator("retention", mode="before")
    @classmethod
    def _parse_retention(cls, value: Any) -> Any:
        return _duration(value) if isinstance(value, str) else value

    @field_validator("lock_timeout", mode="before")
    @classmethod
    def _parse_lock_timeout(cls, value: Any) -> Any:
        parsed = _duration(value) if isinstance(value, str) else value
        if parsed is None or not timedelta(milliseconds=1) <= parsed <= timedelta(minutes=10):
            raise ValueError("it must be between 1ms and 10min, such as 2s")
        return parsed

    @field_validator("read_timeout", mode="before")
    @classmethod
    def _parse_read_timeout(cls, value: Any) -> Any:
        parsed = _duration(value) if isinstance(value, str) else value
        if parsed is None or not timedelta(seconds=1) <= parsed <= timedelta(hours=1):
            raise ValueError("it must be between 1s and 1h, such as 1min")
        return parsed

    @field_validator("shutdown_grace", mode="before")
    @classmethod
    def _parse_grace(cls, value: Any) -> Any:
        parsed = _duration(value) if isinstance(value, str) else value
        if parsed is None or not timedelta() <= parsed <= timedelta(minutes=10):
            raise ValueError("it must be at most 10min, such as 10s")
        return parsed

    @model_validator(mode="after")
    def _refuse_open_bind(self) -> Self:
        if not self.tokens_needed or self.guarded:
            return self
        raise ValueError(
            f"{_PREFIX}HOST {self.host} can be reached by others: set {_PREFIX}AUTH_TOKEN too"
        )

    @model_validator(mode="after")
    def _refuse_half_a_proxy(self) -> Self:
        if self.trusted_proxies and not self.guarded:
            raise ValueError(
                f"{_PREFIX}TRUSTED_PROXIES lets others in: set {_PREFIX}AUTH_TOKEN too"
            )
        if self.user_header and not self.trusted_proxies:
            raise ValueError(f"{_PREFIX}USER_HEADER needs {_PREFIX}TRUSTED_PROXIES")
        return self

    @property
    def retention_given(self) -> bool:
        """Whether somebody set it here; otherwise the database's zanith.retention decides."""
        return "retention" in self.model_fields_set

    @property
    def shadow_address(self) -> str | None:
        """The address of the shadow for the pattern url."""
        if self.shadow_url is not None:
            return self.shadow_url.get_secret_value()
        return os.environ.get("SHADOW_DATABASE_URL") or None

    @property
    def webhooks(self) -> Webhooks:
        """Who gets webhooks, and what is in them."""
        return Webhooks(self.webhook_url, self.webhook_secret, self.public_url)

    @property
    def guarded(self) -> bool:
        """Whether a client needs a token."""
        return bool(self.auth_token or self.auth_token_file) or self.viewers

    @property
    def viewers(self) -> bool:
        """Whether there are tokens that only let one look, or a file that may come to hold some."""
        return bool(self.read_only_auth_token or self.read_only_auth_token_file)

    @property
    def tokens_needed(self) -> bool:
        """Whether others than this machine's users can reach the address."""
        return not is_loopback(self.host)


def env_name(field: str) -> str:
    """Return the environment variable of a setting."""
    return _PREFIX + field.upper()


def load_settings(**given: Any) -> Settings:
    """Return the environment's settings with ``given`` on top.

    WrongUsage names the setting and says what is wrong with it; a secret is never repeated.
    """
    try:
        return Settings(**given)
    except ValidationError as exc:
        problems = [_explain(error) for error in exc.errors(include_input=False)]
        raise WrongUsage(
            problems[0],
            detail="; ".join(problems[1:]) or None,
            hint="see the settings in the operations guide",
        ) from None


async def open_database(
    settings: Settings,
    application_name: str,
    *,
    read_only: bool = False,
    bounded: bool = False,
    max_size: int = 10,
) -> Database:
    """Open the database as the settings say; raises what `Database.open` raises.

    The command line, the studio and the worker all come through here, so that none of them leaves
    a setting out. ``bounded`` is for pages and the API, whose reads ZANITH_READ_TIMEOUT limits.
    """
    return await Database.open(
        settings.database_url,
        lock_timeout=settings.lock_timeout,
        lock_retries=settings.lock_retries,
        max_size=max_size,
        application_name=application_name,
        read_only=read_only,
        listen_url=settings.listen_url,
        retention=settings.retention if settings.retention_given else "default",
        read_timeout=settings.read_timeout if bounded else None,
        approvals=settings.approvals,
    )


def require_audit_log(settings: Settings) -> None:
    """WrongUsage where the audit file cannot be appended to; it is made where there is none."""
    if settings.audit_log is None:
        return
    try:
        with settings.audit_log.open("a", encoding="utf-8"):
            pass
    except OSError as exc:
        raise WrongUsage(
            f"{_PREFIX}AUDIT_LOG is wrong: {settings.audit_log} cannot be written: {exc.strerror}",
            hint="name a file in a folder that is there and that this user may write to",
        ) from None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the address; an unknown name counts as open."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _proxy(text: str) -> Proxy:
    """Return a network, of one address where it is one, or LOCAL for peers on a unix socket."""
    if text == "local":
        return "local"
    try:
        return ipaddress.ip_network(text)
    except ValueError as exc:
        raise ValueError(f"{text} is no address or network: {exc}") from None


def _webhook_secret(text: str) -> bytes:
    """Return the key of a secret as the Standard Webhooks specification writes it."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "write whsec_ and the base64 of 24 to 64 random bytes;"
            ' echo "whsec_$(openssl rand -base64 32)" prints one'
        )
    return key


def _duration(text: str) -> timedelta | None:
    try:
        return parse_duration(text)
    except ZanithError as exc:
        raise ValueError(f"{exc.message}: {exc.hint}") from None


def _explain(error: Any) -> str:
    message = _PLAIN.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "literal_error":
        message = "it must be " + str(error["ctx"]["expected"]).replace("'", "")
    if not error["loc"]:
        return message
    name = env_name(str(error["loc"][0]))
    return f"{name} is wrong: {message}"
