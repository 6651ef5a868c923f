"""A deploy that dropped several objects, undone in a real browser and checked in the database."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.guard.twin import turn_guard_on_at

pytestmark = pytest.mark.newest

SHOP = """
CREATE TABLE public.people (id int PRIMARY KEY, email text, nick text);
INSERT INTO public.people SELECT n, 'p' || n, 'n' || n FROM generate_series(1, 20) AS n;
CREATE TABLE public.visits (id int PRIMARY KEY, person int REFERENCES public.people, at date);
INSERT INTO public.visits SELECT n, n, date '2024-01-01' + n FROM generate_series(1, 9) AS n;
CREATE VIEW public.seen AS SELECT id, at FROM public.visits;
CREATE SEQUENCE public.tickets START 42; SELECT nextval('public.tickets');
"""
DEPLOY = """
BEGIN; DROP VIEW public.seen; DROP TABLE public.visits; DROP SEQUENCE public.tickets;
ALTER TABLE public.people DROP COLUMN nick; COMMIT
"""


def look(database) -> str:
    return database.psql(
        "SELECT * FROM public.visits ORDER BY id; SELECT * FROM public.seen ORDER BY id;"
        "SELECT id, nick FROM public.people ORDER BY id; SELECT last_value FROM public.tickets"
    )


async def test_undoes_a_deploy(page: Page, database):
    database.psql(SHOP)
    turn_guard_on_at(database.url)
    before = look(database)
    database.psql(DEPLOY)
    [name] = database.psql(
        "SELECT DISTINCT migration_id FROM zanith._zanith_migration_artifacts"
        " WHERE reason LIKE 'guard: %'"
    ).splitlines()

    await page.goto("/studio")
    await page.get_by_role("link", name="Migrations").click()
    await page.get_by_role("link", name=name).click()
    await expect(page.get_by_text("All of it can be restored")).to_be_visible(timeout=30_000)
    await expect(page.get_by_text("4 objects left to restore")).to_be_visible()
    await expect(page.get_by_text("which it needs")).to_be_visible()  # the view needs its table
    await page.get_by_label("to restore 4 objects").fill("another")
    await page.get_by_role("button", name="Restore all").click()
    await expect(page.get_by_text("Not confirmed: nothing was changed")).to_be_visible()
    await expect(page.get_by_label("to restore 4 objects")).to_have_value("another")

    await page.get_by_role("button", name="Rehearse all").click()
    await expect(page.get_by_text("Rehearsed, and rolled back")).to_be_visible(timeout=30_000)
    await page.get_by_role("link", name="The migration").click()
    await expect(page.get_by_text("All of it can be restored")).to_be_visible(timeout=30_000)
    await page.get_by_label("to restore 4 objects").fill(name)
    await page.get_by_role("button", name="Restore all").click()
    await expect(page.get_by_text("4 objects are live again")).to_be_visible(timeout=30_000)
    assert look(database) == before

    await page.get_by_role("link", name="Report to print or send").click()
    await expect(page.get_by_text("matches", exact=True)).to_be_visible()
    await expect(page.get_by_text("Longest lock").first).to_be_visible()
    await page.emulate_media(media="print")
    await expect(page.get_by_role("navigation", name="Studio")).not_to_be_visible()
    await page.emulate_media(media="screen")
    await page.goto("/studio/activity")
    told = page.get_by_role("row", name="Restore migration")  # refused once, then done
    await expect(told).to_have_count(2)
