"""A sign-in that ends while somebody fills in a form: the browser comes back to that form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import listen
from tests.studios import Running, run_studio, wait_for_seals

pytestmark = pytest.mark.newest

WORDS = "Your session ended before this form was sent. Nothing was changed."
BOTH = "ana:the-s3cret-of-ana\nbob:the-s3cret-of-bob"
LATER = "bob:the-s3cret-of-bob"


@pytest.fixture
def tokens(tmp_path) -> Path:
    file = tmp_path / "staff"
    file.write_text(BOTH)
    return file


@pytest.fixture(params=["", "/zanith"], ids=["at the root", "below a path"])
def prefix(request) -> str:
    path: str = request.param
    return path


@pytest.fixture
def studio(database, artifacts, tokens, prefix) -> Iterator[Running]:
    with run_studio(database.tcp_url, auth_token_file=tokens, root_path=prefix) as running:
        wait_for_seals(database)
        yield running


async def sign_in(page: Page, name: str) -> None:
    await page.get_by_label("Token").fill(f"the-s3cret-of-{name}")
    await page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_comes_back_to_the_form(
    browser: Browser, studio: Running, database, artifacts, tokens, prefix, scripts
):
    context = await browser.new_context(base_url=studio.url, java_script_enabled=scripts)
    page = await context.new_page()
    complaints = listen(page)
    here = f"{prefix}/studio/artifacts/{artifacts['column']}/restore?as=code_2"
    await page.goto(here)
    await sign_in(page, "ana")
    await expect(page).to_have_url(f"{studio.url}{here}")

    await page.get_by_label("to restore it").fill("code")
    tokens.write_text(LATER)
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text(WORDS)).to_be_visible()
    await sign_in(page, "bob")
    await expect(page).to_have_url(f"{studio.url}{here}")
    restored = "SELECT count(*) FROM zanith._zanith_audit_log WHERE action = 'restore'"
    assert database.psql(restored) == "0"

    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible(timeout=15_000)
    assert database.psql("SELECT code_2 FROM public.orders WHERE id = 7") == "C-7"
    who = "SELECT actor FROM zanith._zanith_audit_log WHERE action = 'restore'"
    assert database.psql(who) == "bob"
    await context.close()
    assert complaints == []


async def test_what_a_page_asks_for_by_itself_leads_there_too(
    browser: Browser, studio: Running, artifacts, tokens, prefix
):
    context = await browser.new_context(base_url=studio.url)
    page = await context.new_page()
    here = f"{prefix}/studio/artifacts/{artifacts['table']}"
    await page.goto(here)
    await sign_in(page, "ana")
    rows = page.get_by_role("region", name="First rows")
    await expect(rows.get_by_role("table")).to_have_count(0)  # they are read for who wants them
    await rows.get_by_role("link", name="Show the first rows").click()
    await expect(rows.get_by_role("table")).to_be_visible()
    tokens.write_text(LATER)
    await page.get_by_role("button", name="Verify now").click()
    await expect(page.get_by_text(WORDS)).to_be_visible()
    await sign_in(page, "bob")
    await expect(page).to_have_url(f"{studio.url}{here}")
    await page.get_by_role("button", name="Verify now").click()
    await expect(page.get_by_text("40 rows match the seal")).to_be_visible()
    await context.close()


async def test_a_viewer_without_exports_is_told_that_there_are_no_rows(
    browser: Browser, database, artifacts
):
    tokens = {
        "auth_token": "ana:the-token-of-staff",
        "read_only_auth_token": "vic:the-viewers-token",
    }
    with run_studio(database.tcp_url, **tokens, viewer_export=False) as studio:
        page = await (await browser.new_context(base_url=studio.url)).new_page()
        await page.goto(f"/studio/artifacts/{artifacts['table']}")
        await page.get_by_label("Token").fill("the-viewers-token")
        await page.get_by_role("button", name="Sign in").click()
        rows = page.get_by_role("region", name="First rows")
        await expect(rows.get_by_text("This studio shows viewers no rows.")).to_be_visible()
        await expect(rows.get_by_role("link")).to_have_count(0)
        await expect(page.get_by_role("link", name="Export", exact=True)).to_have_count(0)
        await page.goto(f"/studio/artifacts/{artifacts['table']}/rows")
        await expect(page.get_by_role("heading", name="Not permitted")).to_be_visible()
