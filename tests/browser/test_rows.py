"""Some rows found, ticked and put back in a real browser, and checked in the database."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.newest


async def test_puts_two_rows_back(page: Page, database, artifacts):
    database.psql("ALTER TABLE public.orders ADD code text DEFAULT 'lost'")
    await page.goto(f"/studio/artifacts/{artifacts['column']}/rows")
    await page.get_by_label("Column", exact=True).select_option("id")
    await page.get_by_label("Value").first.fill("seven")
    await page.get_by_role("button", name="Search").click()
    # beside the field, which keeps what was typed
    await expect(page.get_by_text("Write a whole number, such as 4711.")).to_be_visible()
    await expect(page.get_by_label("Value").first).to_have_value("seven")
    await page.get_by_label("Value").first.fill("7")
    await page.get_by_label("Comparison").first.select_option("<=")
    await page.get_by_label("And column").first.select_option("id")
    await page.get_by_label("Comparison").nth(1).select_option(">=")
    await page.get_by_label("Value").nth(1).fill("5")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("heading", name="3 rows found")).to_be_visible()
    await expect(page.get_by_text("C-7", exact=True)).to_be_visible()
    await page.get_by_role("checkbox", name="1").uncheck()
    await page.get_by_role("button", name="Put the ticked rows back").click()
    await expect(page.get_by_role("heading", name="2 of 2 rows would be written")).to_be_visible()
    await page.get_by_label("to put them back").fill("code")
    await page.get_by_role("button", name="Put back").click()
    await expect(page.get_by_text("2 rows put back into public.orders.")).to_be_visible()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Overwritten values as CSV").click()
    assert (await (await download.value).path()).read_text() == "id,code\n6,lost\n7,lost\n"
    values = (
        "SELECT string_agg(id || code, ' ' ORDER BY id) FROM public.orders WHERE id IN (5, 6, 7)"
    )
    assert database.psql(values) == "5lost 6C-6 7C-7"


async def test_erases_ticked_rows(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/rows")
    await page.get_by_label("Column", exact=True).select_option("code")
    await page.get_by_label("Comparison").first.select_option("LIKE")
    await page.get_by_label("Value").first.fill("C-1_")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("heading", name="10 rows found")).to_be_visible()
    for number in ("1", "2"):
        await page.get_by_role("checkbox", name=number, exact=True).check()
    await page.get_by_role("button", name="Erase the ticked rows").click()
    await expect(page.get_by_role("heading", name="2 rows match")).to_be_visible()
    await expect(page.get_by_text("C-11", exact=True)).to_be_visible()
    await page.get_by_label("to erase them for good").fill("code")
    await page.get_by_role("button", name="Erase").click()
    await expect(page.get_by_text("Erased.")).to_be_visible()
    place = database.psql(
        "SELECT format('%I.%I', physical_schema, physical_table)"
        f" FROM zanith._zanith_migration_artifacts WHERE id = '{artifacts['column']}'"
    )
    left = f"SELECT count(*) FROM {place} WHERE code LIKE 'C-1_'"
    assert database.psql(left) == "8"
