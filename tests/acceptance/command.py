"""The real `zanith` command as a user runs it: a process of its own, without or with a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

from tests import prefork

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ESCAPES_IN = re.compile(ESCAPES.pattern.encode())
QUESTION = re.compile(rb"(?:Type .*|The exact value of .*): ")
Answer = str | Signals | Callable[[], str]
PROGRAM = Path(sys.executable).parent / "zanith"


@dataclass(frozen=True)
class Result:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a --json command."""
        error: dict[str, Any] = self.json["error"]
        return error


def environment(url: str | None, **more: str) -> dict[str, str]:
    """Return a user's environment: none of ours, and the database where one is given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "ZANITH_", "COLUMNS", "FORCE_COLOR"))
    }
    return kept | ({"ZANITH_DATABASE_URL": url} if url else {}) | more


def zanith(*args: str, url: str | None = None, stdin: str = "", **env: str) -> Result:
    """Run the command without a terminal; whatever happens, it shows no traceback."""
    has = environment(url, **env)
    if prefork.can_run(has):
        result = Result(*prefork.run(list(args), stdin=stdin, env=has, timeout=120))
    else:
        ended = subprocess.run(
            [PROGRAM, *args],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=has,
            timeout=120,
            check=False,
        )
        result = Result(ended.returncode, ended.stdout, ended.stderr)
    assert "Traceback" not in result.out + result.err, result
    return result


def done(*args: str, url: str | None = None, **env: str) -> Result:
    """Run the command, which must succeed."""
    result = zanith(*args, url=url, **env)
    assert result.code == 0, result
    return result


def typed(
    *args: str, url: str, answer: str | Sequence[Answer], columns: int = 100, **env: str
) -> Result:
    """Run the command in a terminal where somebody answers; what the terminal shows is `err`.

    Several answers are to as many questions; a signal is one too, and a function, called then, may
    return one. Then the input ends.
    """
    answers: list[Answer] = [answer] if isinstance(answer, str) else list(answer)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    process = subprocess.Popen(
        [PROGRAM, *args],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(url, TERM="xterm-256color", **env),
    )
    os.close(theirs)
    shown, asked, deadline = b"", 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end was closed: it ended
                break
        elif process.poll() is not None:
            break
        if asked < len(QUESTION.findall(ESCAPES_IN.sub(b"", shown))):
            said = answers[asked] if asked < len(answers) else None
            asked += 1
            if callable(said):
                said = said()
            if said is None:
                os.write(ours, b"\x04")  # Ctrl-D
            elif isinstance(said, Signals):
                process.send_signal(said)
            else:
                os.write(ours, str(said).encode() + b"\n")
    out, _ = process.communicate(timeout=10)
    screen = ESCAPES.sub("", shown.decode())
    result = Result(process.returncode, out.decode(), screen)
    os.close(ours)
    assert "Traceback" not in result.out + result.err, result
    return result
