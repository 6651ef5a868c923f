"""Pending migrations in a real browser: looked at, verified, applied, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.acceptance.command import zanith
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest

SHOP = """CREATE TABLE public.people (id int PRIMARY KEY, email text, nick text);
INSERT INTO public.people SELECT n, 'p' || n, 'n' || n FROM generate_series(1, 20) AS n;
"""
FILES = {
    "0000_people.sql": SHOP,
    "0001_phone.sql": "ALTER TABLE people ADD COLUMN phone text;\n"
    "CREATE INDEX by_phone ON people (phone);\n",
    "0002_drop_nick.sql": "ALTER TABLE people DROP COLUMN nick;\n",
}
LAST = "0002_drop_nick"
MOST = 60_000
"""Milliseconds for a shadow to start."""


@pytest.fixture
def studio(database, tmp_path: Path) -> Iterator[Running]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    zanith("migrate", "up", "--dir", str(tmp_path), "--steps", "1", url=database.url)
    with run_studio(database.tcp_url, migrations=tmp_path) as running:
        yield running


def columns(database) -> str:
    return database.psql(
        "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped"
    )


async def test_verifies_applies_and_undoes(page: Page, database):
    before = database.psql("SELECT id, nick FROM people ORDER BY id")
    await page.goto("/studio/migrations")
    await page.get_by_role("link", name="Pending migrations").click()
    await expect(page.get_by_text("2 migrations pending")).to_be_visible()
    await page.get_by_role("link", name=LAST).click()
    await expect(page.get_by_text("drops_column_with_data")).to_be_visible()

    await page.get_by_role("button", name="Verify on a shadow").click()
    await expect(page.get_by_text("Verdict: ok")).to_be_visible(timeout=MOST)
    await page.get_by_role("link", name="Look at it again").click()
    await expect(page.locator("#verify .badge.good")).to_have_text("ok")

    await page.get_by_label(f"Type {LAST}").fill("0001_phone")
    await page.get_by_role("button", name="Apply", exact=True).click()
    await expect(page.get_by_text("Not confirmed: nothing was changed")).to_be_visible()
    assert columns(database) == "id email nick"
    await page.get_by_label(f"Type {LAST}").fill(LAST)
    await page.get_by_role("button", name="Apply", exact=True).click()
    await expect(page.get_by_text("Applied. 2 migrations.")).to_be_visible(timeout=MOST)
    assert columns(database) == "id email phone"
    assert database.psql("SELECT string_agg(id, ' ') FROM zanith._zanith_migrations") == (
        f"0000_people 0001_phone {LAST}"
    )

    await page.get_by_role("link", name=LAST).click()
    await expect(page.get_by_text("ACCESS EXCLUSIVE on public.people")).to_be_visible()
    await expect(page.get_by_text("DROP COLUMN nick").first).to_be_visible()
    await expect(page.get_by_role("heading", name="As SQL")).to_be_visible()  # arrives by itself
    await page.get_by_role("link", name="Undo this deploy").click()
    await expect(page.get_by_text("All of it can be restored")).to_be_visible(timeout=MOST)
    await page.get_by_label(f"Type {LAST}").fill(LAST)
    await page.get_by_role("button", name="Restore all").click()
    await expect(page.get_by_text("1 object is live again")).to_be_visible(timeout=MOST)
    assert columns(database) == "id email phone nick"
    assert database.psql("SELECT id, nick FROM people ORDER BY id") == before
