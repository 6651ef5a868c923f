"""Dropping and erasing in a browser: picked, looked at, confirmed, followed."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.newest


async def test_drops_a_column_that_a_view_needs(page: Page, database, artifacts):
    database.psql("CREATE VIEW public.totals AS SELECT id, total FROM public.orders")
    await page.goto("/studio")
    await page.get_by_role("link", name="Drop", exact=True).click()
    await page.get_by_role("searchbox", name="Table").fill("order")
    await page.wait_for_url("**search=order**")
    await page.get_by_role("link", name="public.orders").click()
    await page.get_by_role("link", name="total", exact=True).click()
    await page.get_by_label("Archive: copy its values").check()
    await expect(page.get_by_text("because other objects depend on it").first).to_be_visible()
    await page.get_by_label("Dependents").select_option("cascade")
    await page.wait_for_url("**on_dependents=cascade**")
    await expect(page.get_by_text("Goes too, and comes back with it")).to_be_visible()
    await expect(page.get_by_text("takes longer with more rows").first).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Archive: copy its values")).to_be_checked()
    await page.get_by_label("Reason, for the audit log").fill("unused since 2024")
    await page.get_by_label("to drop it recoverably").fill("orders")
    await page.get_by_role("button", name="Drop recoverably").click()
    await expect(page.get_by_text("not confirmed: nothing was changed")).to_be_visible()
    await expect(page.get_by_label("Reason, for the audit log")).to_have_value("unused since 2024")
    await page.get_by_label("to drop it recoverably").fill("total")
    await page.get_by_role("button", name="Drop recoverably").click()
    await expect(page.get_by_text("Dropped, recoverably.")).to_be_visible()
    await page.get_by_role("link", name="Its artifact").click()
    await expect(page.get_by_text("unused since 2024")).to_be_visible()
    await expect(page.get_by_role("heading", name="public.orders.total")).to_be_visible()
    assert "total" not in database.psql("SELECT to_jsonb(o) FROM public.orders AS o LIMIT 1")
    assert database.psql("SELECT to_regclass('public.totals') IS NULL") == "t"


async def test_erases_one_persons_rows(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['table']}")
    await page.get_by_role("link", name="Erase one person's rows").click()
    await page.get_by_label("Column", exact=True).select_option("note")
    await page.get_by_label("is exactly").first.fill("cart 7")
    await page.get_by_role("button", name="Show the matching rows").click()
    await expect(page.get_by_role("heading", name="1 row matches")).to_be_visible()
    assert "cart" not in page.url
    await page.get_by_label("to erase them for good").fill("carts")
    await page.get_by_role("button", name="Erase", exact=True).click()
    await expect(page.get_by_text("1 row; 39 rows left, with a new seal.")).to_be_visible()
    await page.get_by_role("link", name="The artifact").click()
    await expect(page.get_by_text("matched")).to_have_count(0)
    await page.get_by_role("button", name="Verify now").click()
    await expect(page.get_by_text("Untouched.")).to_be_visible()
