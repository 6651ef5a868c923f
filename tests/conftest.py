"""Fixtures that every test can use: servers of each version, and databases on them.

`server` and whatever builds on it runs once for each PostgreSQL version; mark a test or a module
`newest` where the version cannot matter. `selection` says what a run takes of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from scripts.find_chromium import find_installed
from tests import clusters, definitions, hard_cases, many_artifacts, selection
from tests.clusters import Server
from tests.hard_cases import HardCases
from tests.hostile import summary as hostile_summary
from tests.selection import versions_to_test

ROOT = Path(__file__).resolve().parent.parent
RUN_DIRECTORY = pytest.StashKey[Path]()
REAPER = pytest.StashKey[subprocess.Popen]()
serial = itertools.count(1)


# ------------------------------------------------------------------------------------------ run


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's directory, in the process that all workers share."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # so it is for what runs in the background; the programs under test would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(hostile_summary, "hostile summary")
    if hasattr(config, "workerinput"):
        config.stash[RUN_DIRECTORY] = Path(config.workerinput["clusters"])
    else:
        config.stash[RUN_DIRECTORY] = clusters.create_run_directory(in_memory=True)
        config.stash[REAPER] = clusters.start_reaper(config.stash[RUN_DIRECTORY])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tell a worker of pytest-xdist where the clusters are."""
    node.workerinput["clusters"] = str(node.config.stash[RUN_DIRECTORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop all servers."""
    if reaper := config.stash.get(REAPER, None):
        reaper.communicate(timeout=60)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare `make check` the modules that have nothing for it."""
    return selection.ignore_collect(collection_path, config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark all unit tests for `make check`, and take what this run takes."""
    for item in items:
        if item.path.is_relative_to(selection.UNIT):
            item.add_marker(pytest.mark.smoke)
    selection.select(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a case that skips itself on the one version that it has: nobody else would run it."""
    report = yield
    params = item.callspec.params if hasattr(item, "callspec") else {}
    skips = report.skipped and report.when == "call" and not hasattr(report, "wasxfail")
    if skips and "server" in params and selection.has_one_version(item):
        report.outcome = "failed"
        report.longrepr = f"mark it each_version, it skips itself on one: {report.longrepr}"
    return report


def pytest_report_header(config: pytest.Config) -> str:
    """Name the minor releases that the tests run on, and what chance starts from."""
    versions = ", ".join(clusters.release_of(version) for version in versions_to_test())
    taken = selection.describe(config)
    return f"PostgreSQL {versions}; ZANITH_ORACLE_SEED={oracle_seed()}; {taken}"


def oracle_seed() -> int:
    """Return the seed of the oracle's sample: one and the same unless somebody chooses."""
    return int(os.environ.get("ZANITH_ORACLE_SEED") or 7)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses `server` on each version, or on the newest where it is marked so."""
    if "server" in metafunc.fixturenames:
        versions = versions_to_test()
        if metafunc.definition.get_closest_marker("newest"):
            versions = versions[:1]
        names = [f"pg{version}" for version in versions]
        metafunc.parametrize("server", versions, ids=names, indirect=True, scope="session")


# -------------------------------------------------------------------------------------- servers


@pytest.fixture(scope="session")
def run_directory(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.stash[RUN_DIRECTORY]


@pytest.fixture(scope="session")
def checked_plans() -> Iterator[None]:
    """Check every plan that the engine reads in this process (see `definitions`)."""
    with pytest.MonkeyPatch.context() as patch:
        definitions.check_plans(patch)
        yield


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, run_directory: Path, checked_plans: None) -> Server:
    """A server that all tests share: take a database of your own, leave its settings alone."""
    return clusters.obtain_server(run_directory, request.param)


@pytest.fixture(scope="session")
def primary_server(run_directory: Path, checked_plans: None) -> Server:
    """The shared server of the newest version."""
    return clusters.obtain_server(run_directory, versions_to_test()[0])


@pytest.fixture
def disposable_server(run_directory: Path, checked_plans: None) -> Iterator[Server]:
    """A server of the newest version for this test alone: stop it, crash it, start it again."""
    version = versions_to_test()[0]
    directory = run_directory / f"own-{os.getpid()}-{next(serial)}"
    server = Server(version, clusters.find_versions()[version], directory)
    try:
        server.create()
        yield server
    finally:
        server.remove()


# ------------------------------------------------------------------------------------ databases


class Connecting:
    """What `connect()` returns: await it for a connection, or enter it to have it closed."""

    def __init__(self, url: str, options: dict) -> None:
        self._url, self._options = url, options

    def __await__(self) -> Generator[object, None, asyncpg.Connection]:
        return asyncpg.connect(self._url, **self._options).__await__()

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await self
        return self._connection

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.close(timeout=5)


@dataclass(frozen=True)
class Database:
    """A database that belongs to one test."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @property
    def tcp_url(self) -> str:
        return self.server.tcp_url(self.name)

    def url_of(self, user: str) -> str:
        """Return the address for another role; no password is asked."""
        return self.server.url(self.name, user)

    def connect(self, user: str = clusters.SUPERUSER, **options) -> Connecting:
        """Open an asyncpg connection: `await` it, or `async with` it to have it closed."""
        return Connecting(self.url_of(user), options)

    def psql(self, sql: str | None = None, **options) -> str:
        return self.server.psql(self.name, sql, **options)

    def pg_dump(self, *args: str) -> str:
        return self.server.pg_dump(self.name, *args)

    def schema(self) -> str:
        """Return `pg_dump --schema-only`."""
        return self.pg_dump("--schema-only")


def create_database(
    server: Server, template: str, request: pytest.FixtureRequest | None = None
) -> Iterator[Database]:
    """Clone a template; afterwards end its connections and drop the clone.

    Before that, what is recorded there is checked (see `definitions`), as the marker `recorded` of
    the test says.
    """
    name = f"t_{os.getpid()}_{next(serial)}"
    server.create_database(name, template)
    yield Database(server, name)
    marker = request.node.get_closest_marker("recorded") if request else None
    broken = marker is not None and marker.args[0] == "broken"
    drop = definitions.DROP.format(name=name)
    found = server.psql(name, drop if broken else definitions.DEFINITIONS + drop)
    definitions.check_definitions(found, of_this_version=marker is None)


@pytest.fixture
def bare_database(request: pytest.FixtureRequest, server: Server) -> Iterator[Database]:
    """An empty database, in which `zanith init` has not run."""
    yield from create_database(server, "template0", request)


@pytest.fixture
def database(
    request: pytest.FixtureRequest, server: Server, run_directory: Path
) -> Iterator[Database]:
    """A fresh database in which `zanith init` ran."""
    template = clusters.obtain_template(run_directory, server, install_zanith)
    yield from create_database(server, template, request)


@pytest.fixture(scope="session")
def hard_template(server: Server, run_directory: Path) -> Iterator[tuple[str, HardCases]]:
    """The name of a database with the hard cases, made once by each worker, and what is in it."""
    template = clusters.obtain_template(run_directory, server, install_zanith)
    for made in create_database(server, template):
        yield made.name, hard_cases.build(made.url)


@pytest.fixture
def hard_database(
    request: pytest.FixtureRequest, server: Server, hard_template: tuple[str, HardCases]
) -> Iterator[Database]:
    """A database of one's own with the hard cases in it."""
    yield from create_database(server, hard_template[0], request)


@pytest.fixture
def cases(hard_template: tuple[str, HardCases]) -> HardCases:
    """The ids of what is in `hard_database`."""
    return hard_template[1]


@pytest.fixture(scope="session")
def many_template(server: Server, run_directory: Path) -> Iterator[str]:
    """The name of a database with many artifacts, made once by each worker that wants it."""
    template = clusters.obtain_template(run_directory, server, install_zanith)
    for made in create_database(server, template):
        many_artifacts.build_many(made.url)
        yield made.name


@pytest.fixture
def many_database(
    request: pytest.FixtureRequest, server: Server, many_template: str
) -> Iterator[Database]:
    """A database of one's own with many artifacts in it, sealed."""
    yield from create_database(server, many_template, request)


@pytest.fixture
def twin_database(
    request: pytest.FixtureRequest, server: Server, run_directory: Path
) -> Iterator[Database]:
    """Another one like `database`, to do PostgreSQL's own DROP on and compare."""
    template = clusters.obtain_template(run_directory, server, install_zanith)
    yield from create_database(server, template, request)


@dataclass(frozen=True)
class OperatorDatabase(Database):
    """A database whose Zanith belongs to a role that is no superuser; `url` is that role's."""

    operator: str
    owner: str

    @property
    def url(self) -> str:
        return self.server.url(self.name, self.operator)


@pytest.fixture
def operator_database(database: Database, create_role: Callable[..., str]) -> OperatorDatabase:
    """Return `database` after `zanith init --operator`, with an owner that it is a member of."""
    operator, owner = create_role("operator"), create_role("owner")
    give_to_operator(database.url, operator)
    allow_capture(database.url, owner)
    inherits = " WITH INHERIT TRUE, SET TRUE" if database.server.version >= 16 else ""
    database.psql(
        f"GRANT {owner} TO {operator}{inherits};"
        f"GRANT CREATE ON SCHEMA public TO {operator}, {owner};"
    )
    return OperatorDatabase(database.server, database.name, operator, owner)


@pytest.fixture(params=["superuser", "operator"])
def database_of_either(request: pytest.FixtureRequest, database: Database) -> Database:
    """A database to use as a superuser, and one to use as the operator, who owns the tables."""
    if request.param == "superuser":
        return database
    found: OperatorDatabase = request.getfixturevalue("operator_database")
    return found


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to `database`."""
    async with database.connect() as opened:
        yield opened


@pytest.fixture
def create_role(server: Server) -> Iterator[Callable[..., str]]:
    """Return a function that makes a role and returns its name; roles are the cluster's."""
    made: list[str] = []

    def create(stem: str = "role", options: str = "LOGIN") -> str:
        made.append(f"{stem}_{os.getpid()}_{next(serial)}")
        server.psql("postgres", f"CREATE ROLE {made[-1]} {options}")
        return made[-1]

    yield create
    for name in made:
        for dbname in server.psql("postgres", LIVE_DATABASES).splitlines():
            server.psql(dbname, f"SET zanith.guard = off; DROP OWNED BY {name} CASCADE")
        server.psql("postgres", f"DROP ROLE {name}")


LIVE_DATABASES = f"""
SELECT datname FROM pg_database WHERE datname = 'postgres' OR datname LIKE 't\\_{os.getpid()}\\_%'
"""


def install_zanith(url: str) -> None:
    """Do what `zanith init` does, in a thread: a test's own event loop may be running here."""
    from app.recovery.db import installer

    _run_on(url, installer.install)
    if os.environ.get("ZANITH_GUARD"):
        from tests.guard.twin import turn_guard_on_at

        turn_guard_on_at(url)


def give_to_operator(url: str, role: str) -> None:
    """Do what `zanith init --operator` does."""
    from app.recovery.db import operator_role

    _run_on(url, lambda connection: operator_role.set_operator(connection, role))


def allow_capture(url: str, role: str) -> None:
    """Do what `zanith init --grant` does."""
    from app.recovery.db import grants

    _run_on(url, lambda connection: grants.grant_capture(connection, role))


def _run_on(url: str, work: Callable[[asyncpg.Connection], Awaitable[object]]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await work(connection)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


# -------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="session")
def chromium_options() -> dict:
    """How to launch the browser: `playwright.chromium.launch(**chromium_options)`."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses to sandbox itself as root
    return {"executable_path": find_installed(), "args": sandbox}


@pytest.fixture(scope="session")
def axe_script() -> str:
    """The source of axe-core, to add to a page and call `axe.run()`."""
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
