"""The tokens of the settings and of their files, read again whenever a file changes."""

from __future__ import annotations

import logging
from pathlib import Path

from app.recovery.core.errors import WrongUsage
from app.routes.auth.access import Credential
from app.settings import Settings
from app.tokens import Token, read_token_file

log = logging.getLogger("zanith.studio")

_ROLES = (("staff", "auth_token"), ("viewer", "read_only_auth_token"))


class TokenSource:
    """What the settings say of tokens, with what their files say now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen = self._look()

    def read(self) -> tuple[Credential, ...]:
        """Return every token with whose it is.

        WrongUsage that names the setting where a file is missing, empty or broken.
        """
        for _, name in _ROLES:
            path = self._file(name)
            if path is None:
                continue
            try:
                found = read_token_file(path)
            except WrongUsage as exc:
                raise WrongUsage(f"{_setting(name)}_FILE is wrong: {exc.message}") from None
            if not found:
                raise WrongUsage(f"{_setting(name)}_FILE is wrong: there is no token in {path}")
        return self._combine()

    def changed(self) -> tuple[Credential, ...] | None:
        """Return the tokens as they are now where a file changed, else None.

        A file that cannot be read, or means nothing, is logged once and changes nothing.
        """
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            credentials = self._combine()
        except WrongUsage as exc:
            log.error("the tokens stay as they were: %s", exc.message)  # noqa: TRY400
            return None
        names = ", ".join(credential.name for credential in credentials)
        log.info("the tokens were read again: %s", names or "no token is left: nobody can sign in")
        return credentials

    def again(self) -> None:
        """Let the next look read the files whether they changed or not."""
        self._seen = ()

    def _file(self, name: str) -> Path | None:
        path: Path | None = getattr(self._settings, f"{name}_file")
        return path

    def _combine(self) -> tuple[Credential, ...]:
        credentials: list[Credential] = []
        for role, name in _ROLES:
            path = self._file(name)
            said: tuple[Token, ...] = getattr(self._settings, name)
            filed = read_token_file(path) if path else ()
            for token in said + filed:
                secret = token.secret.get_secret_value()
                if (token.name, role) in {(known.name, known.role) for known in credentials}:
                    variable = _setting(name)
                    raise WrongUsage(
                        f"{variable}_FILE is wrong: {path} has a name that {variable} has"
                    )
                credentials.append(Credential(token.name, role, secret, token.named))
        return tuple(credentials)

    def _look(self) -> tuple[object, ...]:
        """Return what changes when a file does; a file that is gone looks like none."""
        found: list[object] = []
        for _, name in _ROLES:
            path = self._file(name)
            if path is None:
                continue
            try:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError as exc:
                found.append(exc.errno)
        return tuple(found)


def _setting(name: str) -> str:
    return f"ZANITH_{name.upper()}"
