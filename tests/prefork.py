"""Runs `zanith` in a process of its own that need not import it: forked from one that did.

Half of the time of most tests of the command would be spent on imports. What runs is
`app.cli.main`, as in the installed program, with its own environment, streams, signals and end.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 256 * 1024
# What the interpreter reads when it starts: a process that runs already would not obey it.
READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ")


def can_run(env: dict[str, str]) -> bool:
    """Whether an environment has for the interpreter what this process has."""
    return _for_interpreter(env) == _for_interpreter(dict(os.environ))


def _for_interpreter(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_START)}


def run(
    args: list[str], *, stdin: str, env: dict[str, str], timeout: float
) -> tuple[int, str, str]:
    """Return the exit code, as subprocess has it, and what went to stdout and stderr.

    subprocess.TimeoutExpired after so many seconds, with the command killed.
    """
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write(stdin.encode())
        given.seek(0)
        ended, reply = os.pipe()
        request = json.dumps({"args": args, "env": env, "cwd": str(Path.cwd())}).encode()
        assert len(request) < LARGEST
        fds = [given.fileno(), out.fileno(), err.fileno(), reply]
        socket.send_fds(_server(), [request], fds)
        os.close(reply)
        code = _wait(ended, args, timeout)
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def _wait(ended: int, args: list[str], timeout: float) -> int:
    """Read the id of the process, then its exit code."""
    with os.fdopen(ended) as replies:
        process = int(replies.readline())
        if not select.select([replies], [], [], timeout)[0]:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(args, timeout)
        return int(replies.readline())


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.prefork", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def serve(requests: socket.socket) -> None:
    """Fork for each request until the client is gone; a child returns, and ends as a program."""
    from app.cli import main
    from app.cli.tree import command

    command()
    gc.freeze()  # a child would copy what it counts references in
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, fds, _, _ = socket.recv_fds(requests, LARGEST, 4)
        if not request:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            _watch(fds)
            _become(json.loads(request), fds)
            main()
        for fd in fds:
            os.close(fd)


def _watch(fds: list[int]) -> None:
    """Go on as a child whose end this process waits for and reports."""
    child = os.fork()
    if child == 0:
        return
    os.write(fds[3], f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(fds[3], f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: dict, fds: list[int]) -> None:
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)
    sys.argv = ["zanith", *request["args"]]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
