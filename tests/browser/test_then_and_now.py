"""The page then and now: there at once, counts follow, and rows by class and column."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.newest

PARKED = """SELECT format('%I.%I', physical_schema, physical_table)
FROM zanith._zanith_migration_artifacts WHERE artifact_type = 'rebuild_table'"""
BOTH = """SELECT (SELECT md5(string_agg(t::text, ' ' ORDER BY id)) FROM public.prices t),
(SELECT md5(string_agg(t::text, ' ' ORDER BY id)) FROM {archived} t),
(SELECT string_agg(concat_ws(' ', id, status), ' ' ORDER BY id)
 FROM zanith._zanith_migration_artifacts)"""
LOOKS = "SELECT DISTINCT artifact_id FROM zanith._zanith_audit_log WHERE action = 'view'"


async def test_compares_a_rebuilt_table_with_the_live_one(page: Page, database):
    database.psql("""
        CREATE TABLE public.prices (id int PRIMARY KEY, price numeric(8, 2) NOT NULL, note text);
        INSERT INTO public.prices SELECT n, n, 'n' || n FROM generate_series(1, 30) n""")
    made = database.psql("SELECT zanith.rebuild_table('public.prices', keep_rows => true)")
    database.psql("""
        ALTER TABLE public.prices ALTER price TYPE numeric(10, 4), ADD COLUMN currency text;
        UPDATE public.prices SET price = price * 2 WHERE id <= 25;
        UPDATE public.prices SET note = 'other' WHERE id = 3;
        DELETE FROM public.prices WHERE id = 30; INSERT INTO public.prices VALUES (31, 1)""")
    made = made.splitlines()[-1]
    both = BOTH.format(archived=database.psql(PARKED))
    before = database.psql(both)
    await page.goto(f"/studio/artifacts/{made}")
    await page.get_by_role("link", name="Compare its definition").click()
    lines = page.get_by_role("region", name="Definition then and now")
    await expect(lines.locator("del")).to_contain_text("price numeric(8,2) NOT NULL")
    await expect(lines.locator("ins").first).to_contain_text("price numeric(10,4) NOT NULL")
    counts = page.locator("#counts")
    await expect(counts.get_by_text("30 archived, 30 live")).to_be_visible()
    await counts.get_by_role("link", name="25").first.click()
    rows = page.locator("#rows")
    await expect(rows.get_by_text("1 to 20")).to_be_visible()
    await rows.get_by_role("link", name="Rows after").click()
    await expect(rows.get_by_text("21 to 25")).to_be_visible()
    await rows.get_by_label("Column").select_option("note")
    await rows.get_by_role("button", name="Show").click()
    await expect(rows.get_by_text("1 to 1")).to_be_visible()
    await expect(rows.get_by_role("cell", name="other")).to_be_visible()
    await rows.get_by_label("Rows", exact=True).select_option("only_live")
    await rows.get_by_role("button", name="Show").click()
    await expect(rows.get_by_role("rowheader", name="31")).to_be_visible()
    # Comparing changed neither side, and the log says who looked at archived rows.
    assert database.psql(both) == before
    assert database.psql(LOOKS) == made
