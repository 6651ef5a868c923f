"""Tokens as the settings and the token files write them."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from app.recovery.core.errors import WrongUsage

_LARGEST = 1_000_000
SHORTEST = 16
"""Characters that a token needs, so that nobody guesses one by trying."""
_MAKE_ONE = f"use at least {SHORTEST} characters; `openssl rand -hex 32` prints a good one"


class Token:
    """A secret and the name that the audit log knows its holder by."""

    def __init__(self, name: str, secret: SecretStr, *, named: bool = True) -> None:
        self.name = name
        self.secret = secret
        self.named = named

    def __repr__(self) -> str:
        """Show the name only."""
        return f"<Token of {self.name}>"


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Return the tokens of ``name:token, name:token``; one without a name is called by its place.

    ValueError where one is empty or too short, or a name stands twice.
    """
    tokens: list[Token] = []
    for number, item in enumerate(part.strip() for part in text.split(",") if part.strip()):
        name, colon, secret = item.partition(":")
        if not colon:
            name, secret = f"token {number + 1}", item
        if not name.strip() or not secret.strip():
            raise ValueError("write token or name:token, separated by commas")
        if name.strip() in {token.name for token in tokens}:
            raise ValueError(f"the name {name.strip()} is given twice")
        if len(secret.strip()) < SHORTEST:
            raise ValueError(f"the token of {name.strip()} is too short: {_MAKE_ONE}")
        tokens.append(Token(name.strip(), SecretStr(secret.strip()), named=bool(colon)))
    return tuple(tokens)


def parse_token_lines(text: str) -> tuple[Token, ...]:
    """Return the tokens of a file: ``name:token``, one a line or by comma; # begins a comment line.

    ValueError, with the line's number and never with what it says, where one is none, is too
    short or stands twice. Each needs a name: a place in the file is not whose token it is.
    """
    tokens: list[Token] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for item in (part.strip() for part in line.split(",") if part.strip()):
            name, _, secret = (part.strip() for part in item.partition(":"))
            if not name or not secret:
                raise ValueError(f"line {number} is not name:token")
            if name in {token.name for token in tokens}:
                raise ValueError(f"line {number} repeats a name")
            if len(secret) < SHORTEST:
                raise ValueError(f"line {number} has a token that is too short: {_MAKE_ONE}")
            tokens.append(Token(name, SecretStr(secret)))
    return tuple(tokens)


def read_token_file(path: Path) -> tuple[Token, ...]:
    """Return the tokens of a file, which may hold none; WrongUsage says what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode()
    except OSError as exc:
        raise WrongUsage(f"{path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise WrongUsage(f"{path} is not UTF-8 text") from None
    if len(data) > _LARGEST:
        raise WrongUsage(f"{path} is too large to hold tokens")
    try:
        return parse_token_lines(text)
    except ValueError as exc:
        raise WrongUsage(f"{path}: {exc}") from None
