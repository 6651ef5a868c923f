"""PGSERVICE and service= name where to connect, as they do for psql."""

from __future__ import annotations

import pytest

from app.recovery.core.errors import WrongUsage
from app.recovery.db.database import Database

pytestmark = pytest.mark.newest


@pytest.fixture
def service(database, tmp_path, monkeypatch):
    """Write a service file with one service, and return its path."""
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "services"
    file.write_text(
        "# ours\n[other]\nhost=/nowhere\n\n[mine]\n"
        f"host={database.server.directory}\nport={database.server.port}\n"
        f"dbname={database.name}\nuser=postgres\nconnect_timeout=3\n"
        "options=-c search_path=from_service\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    return file


@pytest.mark.parametrize("url", [None, "postgresql://?service=mine", "postgresql://"])
async def test_a_service_says_where(database, service, monkeypatch, url):
    if "service=" not in (url or ""):
        monkeypatch.setenv("PGSERVICE", "mine")
    db = await Database.open(url)
    try:
        assert db.server.database == database.name
        assert await db.configured_path() == "from_service"
    finally:
        await db.close()


async def test_the_url_stands_before_the_service(database, service):
    db = await Database.open("postgresql:///postgres?service=mine")
    try:
        assert db.server.database == "postgres"
    finally:
        await db.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("[other]\nhost=x\n", "no connection service mine"),
        ("[mine]\nhost\n", "syntax error in the service file .*, line 2"),
        ("[mine]\nservice=other\n", "syntax error"),
        ("[mine]\nchannel_binding=require\n", "channel_binding, which Zanith does not support"),
    ],
)
async def test_a_service_that_cannot_be_followed_is_told(service, monkeypatch, lines, message):
    service.write_text(lines)
    monkeypatch.setenv("PGSERVICE", "mine")
    with pytest.raises(WrongUsage, match=message):
        await Database.open()


async def test_a_file_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PGSERVICE", "mine")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "nothing"))
    with pytest.raises(WrongUsage, match="PGSERVICEFILE names"):
        await Database.open()
