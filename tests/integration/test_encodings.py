"""Databases that are not UTF8: names and values go and come back, or the error says why not."""

from __future__ import annotations

import os

import asyncpg
import pytest

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db import installer
from app.recovery.db.database import Database
from app.recovery.db.schema_files import files
from app.recovery.inspection.inspect import inspect, preview_rows
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal

DBA = Actor("dba", None, "staff")


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])
def encoded(request, server):
    """The name of a database of that encoding."""
    name = f"encoded_{request.param.lower()}_{os.getpid()}"
    server.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    server.psql(
        "postgres",
        f"CREATE DATABASE {name} ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C'"
        " TEMPLATE template0",
    )
    yield name
    server.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("strategy", ["archive_column", "archive_table"])
async def test_names_and_values_go_and_come_back(server, encoded, tmp_path, strategy):
    connection = await asyncpg.connect(server.url(encoded))
    await installer.install(connection)
    await connection.execute(
        'CREATE TABLE public."café" (id int PRIMARY KEY, "été" text);'
        "INSERT INTO public.\"café\" VALUES (1, 'üß')"
    )
    db = await Database.open(server.url(encoded))
    try:
        column = "été" if strategy == "archive_column" else None
        artifact = await capture(db, CaptureRequest(strategy, 'public."café"', column), DBA)
        assert artifact.sealed_at is not None
        assert (await list_artifacts(db)).items[0].source_table == "café"
        await inspect(db, artifact.id)
        await preview_rows(db, artifact.id, DBA)
        file = tmp_path / "rows.csv"
        await export_to_file(db, ExportRequest(artifact.id, "csv"), file, DBA)
        assert "üß" in file.read_text("utf-8")
        await restore(db, artifact.id, Choices(), DBA)
        assert await connection.fetchval('SELECT "été" FROM public."café"') == "üß"
    finally:
        await db.close()
        await connection.close()


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
async def test_bytes_that_are_no_text_are_told_and_still_come_back(server, encoded):
    connection = await asyncpg.connect(server.url(encoded))
    await installer.install(connection)
    await connection.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, c text);"
        "INSERT INTO public.t VALUES (1, E'\\xfc')"
    )
    db = await Database.open(server.url(encoded))
    try:
        artifact = await capture(db, CaptureRequest("archive_column", "public.t", "c"), DBA)
        assert artifact.sealed_at is None
        with pytest.raises(Refused) as refused:
            await seal(db, artifact.id, DBA)
        assert "SQL_ASCII" in (refused.value.hint or "")
        await restore(db, artifact.id, Choices(unverified=True), DBA)
        assert await connection.fetchval("SELECT c::bytea FROM public.t") == b"\xfc"
    finally:
        await db.close()
        await connection.close()


def test_what_is_installed_is_ascii():
    assert [file.path for file in files() if not file.text.isascii()] == []
