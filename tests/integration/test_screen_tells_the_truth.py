"""Promise 14: a check that did not run is shown as not run, and a mismatch is never green."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from rich.console import Console

from app.cli.console import THEME
from app.cli.render.plan import restore_plan
from app.recovery.database import Database
from app.recovery.plan import plan_restore
from tests.studios import Running, run_studio, wait_for_seals

pytestmark = pytest.mark.newest
STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
NOTHING = "Nothing stands in the way"


@pytest.fixture
def open_studio(database) -> Iterator[Running]:
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        wait_for_seals(database)
        yield running


def words(html: str) -> str:
    """Return what a page says: its text on one line."""
    text = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text))).strip()


def in_terminal(plan) -> str:
    """Return what the command line says of a plan."""
    console = Console(width=200, color_system=None, theme=THEME)
    with console.capture() as said:
        console.print(restore_plan(plan))
    return re.sub(r"\s+", " ", said.get())


# ---------------------------------------------------------------------- checks that did not run

SHOPS = """
CREATE SCHEMA keep AUTHORIZATION {keeper};
SET ROLE {keeper};
CREATE TABLE keep.shops (id integer PRIMARY KEY);
INSERT INTO keep.shops VALUES (1);
CREATE FUNCTION keep.fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
RESET ROLE;
CREATE TABLE public.bills (id integer PRIMARY KEY, shop integer REFERENCES keep.shops);
INSERT INTO public.bills VALUES (1, 1);
"""


async def test_a_check_that_did_not_run_is_shown_as_not_counted(database, open_studio, create_role):
    """Somebody has locked the table, or the rights are missing: neither is "no drift"."""
    database.psql(SHOPS.format(keeper=create_role("keeper")))
    artifact = database.psql("SELECT zanith.archive_column('public.bills', 'shop')")
    page, api = f"/studio/artifacts/{artifact}", f"/api/artifacts/{artifact}"
    db = await Database.open(database.url)
    try:
        with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:

            async def check(expected: str) -> None:
                for client, path in ((staff, page), (viewer, page), (viewer, f"{page}/restore")):
                    shown = words(client.get(path).raise_for_status().text)
                    assert NOTHING not in shown
                    assert "1 check not counted: what it asks is not known" in shown
                    assert expected in shown
                for client in (staff, viewer):
                    drift = client.get(api).json()["plan"]["drift"]
                    found = {item["kind"]: item for item in drift}
                    orphans = found["foreign_key_orphans"]
                    assert (orphans["counted"], orphans["count"]) == (False, None)
                    assert expected in orphans["reason"]
                    # what can be counted still is, and none is told from not known
                    assert (found["rows_added"]["counted"], found["rows_added"]["count"]) == (
                        True,
                        0,
                    )
                plan = await plan_restore(db, artifact)
                said = in_terminal(plan)
                assert "Not counted: these checks did not run" in said
                assert expected in said
                assert not plan.clear
                assert [(item.kind, item.blocks) for item in plan.not_counted] == [
                    ("foreign_key_orphans", False)
                ]

            for client in (staff, viewer):
                assert NOTHING in words(client.get(page).text)
                assert all(item["counted"] for item in client.get(api).json()["plan"]["drift"])
            assert "Not counted" not in in_terminal(await plan_restore(db, artifact))
            async with db.acquire() as other, other.transaction():
                await other.execute("LOCK TABLE keep.shops IN SHARE MODE")
                await check("could not obtain lock")
            database.psql("ALTER TABLE keep.shops ADD CHECK (keep.fine(id))")
            await check("would run as")
    finally:
        await db.close()
