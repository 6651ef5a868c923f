"""The report of a restore in a real browser: read, acted on, printed and saved."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.newest

SLOW = 30_000  # a busy machine
STATISTICS = """
SELECT count(*) FROM pg_stats
WHERE schemaname = 'public' AND tablename = 'orders' AND attname = 'code'
"""


async def test_analyzes_the_table_from_its_report(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore", exact=True).click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible(timeout=SLOW)
    await expect(page.get_by_role("button", name="Analyze now")).to_be_visible()
    await page.get_by_role("link", name="Report to print or send").click()
    await expect(page.get_by_text("matches", exact=True)).to_be_visible()
    database.psql("DELETE FROM pg_statistic WHERE starelid = 'public.orders'::regclass")
    await page.get_by_role("button", name="Analyze now").click()
    await expect(page.get_by_text("analyzed", exact=True)).to_be_visible(timeout=SLOW)
    await expect(page.get_by_role("button", name="Analyze again")).to_be_visible()
    assert database.psql(STATISTICS) == "1"

    await page.emulate_media(media="print")
    await expect(page.get_by_text("Longest lock")).to_be_visible()
    await expect(page.get_by_role("button", name="Analyze again")).not_to_be_visible()
    await expect(page.get_by_role("link", name="Download as HTML")).not_to_be_visible()
    await page.emulate_media(media="screen")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download as HTML").click()
    alone = (await (await download.value).path()).read_text()
    assert "Longest lock" in alone
    assert not any(part in alone for part in ("<form", "<script", "form_token", 'href="/'))


async def test_a_refusal_is_said_on_the_page(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore", exact=True).click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible(timeout=SLOW)
    database.psql("ALTER TABLE public.orders RENAME TO orders_2")
    await page.get_by_role("button", name="Analyze now").click()
    said = page.get_by_role("alert")
    await expect(said).to_contain_text("No table has the name public.orders now", timeout=SLOW)
    await expect(page.get_by_role("button", name="Analyze now")).to_be_enabled()
    analyzed = "SELECT count(*) FROM zanith._zanith_audit_log WHERE action = 'analyze'"
    assert database.psql(f"{analyzed} AND outcome = 'refused'") == "1"
