"""A browser, a studio, and a page that fails the test where the console or the CSP complains."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.gallery import QUIET
from tests.studios import Running, capture_orders, run_studio, wait_for_seals


@pytest.fixture
def artifacts(database) -> dict[str, str]:
    """The ids of what was parked in this test's database."""
    return capture_orders(database)


@pytest.fixture
def studio(database, artifacts) -> Iterator[Running]:
    """A studio without tokens, with what was parked sealed already."""
    with run_studio(database.tcp_url) as running:
        wait_for_seals(database)
        yield running


@pytest.fixture
async def browser(chromium_options) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = {**chromium_options, "args": [*chromium_options["args"], *QUIET]}
        launched = await playwright.chromium.launch(**options)
        yield launched
        await launched.close()


@pytest.fixture
async def page(browser: Browser, studio: Running) -> AsyncIterator[Page]:
    """A page at 1280 pixels. Whatever it complains about fails the test at its end."""
    context = await browser.new_context(
        base_url=studio.url, viewport={"width": 1280, "height": 900}
    )
    opened = await context.new_page()
    complaints = listen(opened)
    yield opened
    await context.close()
    assert complaints == []


def listen(page: Page) -> list[str]:
    """Return a list that fills with console errors, uncaught errors and CSP violations."""
    complaints: list[str] = []

    def heard(message) -> None:
        # A refusal is an answer with a 4xx status, which the console calls an error.
        expected = "Failed to load resource: the server responded with a status of 4"
        # So says htmx where a page is left, or a filter changed again, while an answer is awaited.
        aborted = message.text.startswith(("htmx:afterRequest", "htmx:sendAbort"))
        fine = aborted or message.text.startswith(expected)
        if message.type in {"error", "warning"} and not fine:
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints
