"""The same hooks under the other ways in: the studio's pages and API, the command, psql, `zanith init`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from tests.acceptance.command import zanith
from tests.clusters import CommandFailed
from tests.conftest import install_zanith
from tests.hostile.journeys import DBA, opened
from tests.hostile.tables import TABLES
from tests.hostile.trap import Trap, describe
from tests.studios import form_token, run_studio, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one

REFUSED = (ZanithError, asyncpg.PostgresError)  # is as good
SHOWN = ("valued", "viewed", "literal", "domains", "keyed")


async def parked(ground, url: str, *names: str) -> dict[str, str]:
    """Archive a column of some tables and the table of others; return the ids of what could be."""
    ids = {}
    async with opened(url) as db:
        for name in names:
            for copy, strategy in (
                ("harm1", "archive_column"),
                ("harm2", "archive_table"),
                ("harm3", "soft_drop_column"),
            ):
                column = None if strategy == "archive_table" else "c"
                request = CaptureRequest(
                    strategy, f"{copy}.{name}", column, on_dependents="cascade"
                )
                try:
                    artifact = await capture(db, request, DBA)
                except REFUSED:
                    continue
                ids[f"{strategy} {name}"] = artifact.id
    return ids


PAGES = (
    "/studio/artifacts/{id}", "/studio/artifacts/{id}/seal", "/studio/artifacts/{id}/rows", "/studio/artifacts/{id}/restore",
    "/studio/artifacts/{id}/export", "/studio/artifacts/{id}/erase", "/studio/artifacts/{id}/purge",
    "/api/artifacts/{id}", "/api/artifacts/{id}/export?format=csv",
)  # fmt: skip
EVERYWHERE = (
    "/studio", "/studio/summary", "/studio/capture", "/studio/capture?schema=harm4&table=valued", "/studio/activity",
    "/studio/jobs", "/studio/cleanup", "/studio/cleanup?older_than=0s", "/api/artifacts", "/api/jobs", "/metrics", "/readyz",
    *(f"/studio/capture?schema=harm4&table=valued&strategy={strategy}&column=c&on_dependents=cascade"
      for strategy in ("archive_column", "soft_drop_column", "archive_table", "soft_drop_table", "rebuild_table")),
)  # fmt: skip


async def test_the_studio(ground, cast, trap, operator, record_property):
    url = ground.url_of(cast.user(operator))
    ids = await parked(ground, url, *SHOWN)
    assert ids
    escapes = {"capture": trap.escapes()}
    with run_studio(url) as studio, studio.client() as client:
        client.headers["Origin"] = studio.url
        for address in EVERYWHERE:
            answer = client.get(address)
            assert answer.status_code < 500, (address, answer.text)
            escapes[address] = trap.escapes()
        for name, id_ in ids.items():
            for page in PAGES:
                answer = client.get(page.format(id=id_))
                assert answer.status_code < 500, (page, answer.text)
                escapes[f"{page} of {name}"] = trap.escapes()
            token = form_token(client.get(f"/studio/artifacts/{id_}").text)
            for post in ("restore/rehearse", "verify", "erase/look"):
                sent = {"form_token": token, "column": "id", "value": "1"}
                answer = client.post(f"/studio/artifacts/{id_}/{post}", data=sent)
                assert answer.status_code < 500, (post, answer.text)
                if post == "restore/rehearse" and answer.status_code == 303:
                    wait_for_job(client, answer.headers["location"].rsplit("/", 1)[1])
                escapes[f"{post} of {name}"] = trap.escapes()
        for name, id_ in ids.items():
            last = name.split()[-1] if "table" in name else "c"
            for work in ("verify", "restore"):
                answer = client.post(f"/api/artifacts/{id_}/{work}", json={"confirm": last})
                assert answer.status_code < 500, (work, answer.text)
                job = answer.json()["job"]["id"] if answer.status_code in {200, 202} else None
                if job:
                    wait_for_job(client, job)
                escapes[f"api {work} of {name}"] = trap.escapes()
            client.request("DELETE", f"/api/artifacts/{id_}", json={"confirm": last})
            escapes[f"api purge of {name}"] = trap.escapes()
        wanted = {
            "strategy": "archive_column",
            "table": "harm5.valued",
            "column": "c",
            "on_dependents": "cascade",
            "confirm": "c",
        }
        answer = client.post("/api/captures", json=wanted)
        if answer.status_code == 202:
            wait_for_job(client, answer.json()["job"]["id"])
        escapes["api capture"] = trap.escapes()
    escapes["the end"] = trap.escapes()
    record_property("hostile operations", len(escapes))
    wrong = {where: seen for where, seen in escapes.items() if seen}
    record_property("hostile escapes", sum(map(len, wrong.values())))
    assert not wrong, "\n".join(f"{where}\n{describe(seen)}" for where, seen in wrong.items())


async def test_a_studio_seals_what_owners_captured(superusers_ground, cast):
    """Nobody gives a command: the studio's sweep reads what a migration of the owner's has parked."""
    trap = Trap(superusers_ground, cast.owner)
    for name in ("valued", "domains", "keyed"):
        superusers_ground.psql(
            f"SELECT zanith.archive_table('harm1.{name}', on_dependents => 'cascade')",
            user=cast.owner,
        )
    assert not trap.escapes()
    # one that is refused stays without a seal
    with run_studio(superusers_ground.url), suppress(AssertionError):
        wait_for_seals(superusers_ground)
    assert not (found := trap.escapes()), describe(found)


OF_ONE = (
    ("recover", "inspect", "{id}"), ("recover", "inspect", "{id}", "--json"), ("recover", "verify", "{id}"),
    ("recover", "export", "{id}", "--format", "csv", "--output", "-"), ("recover", "seal", "{id}"),
    ("recover", "hold", "{id}"), ("recover", "release", "{id}"), ("recover", "restore", "{id}", "--dry-run"),
)  # fmt: skip
OF_ALL = (
    ("recover", "list"), ("recover", "list", "--json"), ("recover", "doctor"), ("status",), ("coverage",),
    ("recover", "cleanup", "--older-than", "0s", "--dry-run"), ("recover", "seal", "--all"), ("recover", "verify", "--all"),
    ("recover", "restore", "--last", "--rehearse", "--yes"), ("recover", "restore", "--last", "--yes"),
)  # fmt: skip


async def test_the_command(ground, cast, trap, operator):
    url = ground.url_of(cast.user(operator))
    ids = await parked(ground, url, "valued")
    wrong = {"capture": trap.escapes()}
    one = [[word.format(id=id_) for word in command] for id_ in ids.values() for command in OF_ONE]
    for command in (*one, *OF_ALL):
        result = zanith(*command, url=url)
        assert result.code != 2, result  # it was no command
        wrong[" ".join(command)] = trap.escapes()
    wrong = {where: seen for where, seen in wrong.items() if seen}
    assert not wrong, "\n".join(f"{where}\n{describe(seen)}" for where, seen in wrong.items())


@pytest.mark.parametrize("table", TABLES, ids=str)
async def test_recovery_sql_with_psql(superusers_ground, cast, table):
    """The script of an artifact, run by a superuser: what it says is data, what it evaluates runs as the owner."""
    async with opened(superusers_ground.url) as db:
        scripts = []
        for copy, strategy in (
            ("harm1", "archive_column"),
            ("harm2", "archive_table"),
            ("harm3", "soft_drop_column"),
        ):
            column = None if strategy == "archive_table" else "c"
            try:
                request = CaptureRequest(
                    strategy,
                    f"{copy}.{table.name}",
                    column,
                    on_dependents="cascade",
                    published_ok=True,
                )
                artifact = await capture(db, request, DBA)
            except REFUSED:
                continue
            async with db.acquire() as connection:
                scripts.append(
                    await connection.fetchval(
                        "SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = $1",
                        artifact.id,
                    )
                )
    assert scripts
    trap = Trap(superusers_ground, cast.owner)
    for script in scripts:
        with suppress(CommandFailed):  # refused is as good
            superusers_ground.psql(script)
    assert not (found := trap.escapes()), describe(found)


HOSTILE_NAMES = (
    "t\n\\! touch FILE",
    "t'\n\\! touch FILE\n'",
    "t\\'\n\\! touch FILE\n--",
    "t :USER :'USER'",
    "t`touch FILE`",
)


@pytest.mark.parametrize("quoting", ["on", "off"])
async def test_names_are_no_commands_of_psql(superusers_ground, cast, quoting):
    file = Path(f"/tmp/zh{os.getpid()}")  # short: a name has 63 bytes
    for number, name in enumerate(HOSTILE_NAMES):
        quoted = '"' + name.replace("FILE", str(file)).replace('"', '""') + '"'
        superusers_ground.psql(
            f"CREATE TABLE harm.{quoted} (id int PRIMARY KEY, c{number} int);"
            f"SET standard_conforming_strings = {quoting}; SET escape_string_warning = off;"
            "SELECT zanith.archive_table(c.oid::regclass) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            f" WHERE c.relkind = 'r' AND a.attname = 'c{number}'",
            user=cast.owner,
        )
    async with superusers_ground.connect() as connection:
        scripts = [
            row[0]
            for row in await connection.fetch(
                "SELECT recovery_sql FROM zanith._zanith_migration_artifacts"
            )
        ]
    assert len(scripts) == len(HOSTILE_NAMES)
    for script in scripts:
        # what a script refuses is as good
        with suppress(CommandFailed):
            superusers_ground.psql(script)
        ran = file.exists()
        file.unlink(missing_ok=True)
        assert not ran, script[:600]
    if quoting == "on":
        restored = (
            "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE status = 'restored'"
        )
        assert superusers_ground.psql(restored) == str(len(HOSTILE_NAMES))


async def test_init_again_over_hooks(superusers_ground, cast):
    """An upgrade replaces every function while the owner's things are there."""
    trap = Trap(superusers_ground, cast.owner)
    superusers_ground.psql(
        "UPDATE zanith._zanith_schema SET hash = repeat('0', 64) WHERE file NOT LIKE '0%'"
    )
    install_zanith(superusers_ground.url)
    assert not (found := trap.escapes()), describe(found)
