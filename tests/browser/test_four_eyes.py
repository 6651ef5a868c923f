"""Two people in two browsers: one asks for a purge, the other approves it, the first one purges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import listen
from tests.studios import Running, run_studio, wait_for_seals

pytestmark = pytest.mark.newest

TOKENS = {"ana": "the-token-of-ana-1", "bob": "the-token-of-bob-1"}


@pytest.fixture
def studio(database, artifacts) -> Iterator[Running]:
    tokens = ",".join(f"{name}:{token}" for name, token in TOKENS.items())
    with run_studio(database.tcp_url, auth_token=tokens, approvals="purge") as running:
        wait_for_seals(database)
        yield running


async def sign_in(browser: Browser, studio: Running, name: str) -> tuple[Page, list[str]]:
    context = await browser.new_context(base_url=studio.url)
    page = await context.new_page()
    complaints = listen(page)
    await page.goto("/studio/login")
    await page.get_by_label("Token").fill(TOKENS[name])
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/studio")
    return page, complaints


async def test_one_asks_and_the_other_approves(
    browser: Browser, studio: Running, database, artifacts
):
    ana, heard = await sign_in(browser, studio, "ana")
    bob, heard_too = await sign_in(browser, studio, "bob")
    purge = f"/studio/artifacts/{artifacts['column']}/purge"
    await ana.goto(purge)
    await expect(ana.get_by_role("button", name="Purge")).to_have_count(0)
    await ana.get_by_label("Reason, for the other person").fill("retention is over")
    await ana.get_by_role("button", name="Ask for approval").click()
    await expect(ana.get_by_text("You asked for it")).to_be_visible()
    # the page of the other person counts it without a click
    approvals = bob.get_by_role("navigation", name="Studio").get_by_role("link", name="Approvals")
    await expect(approvals).to_contain_text("1")
    await approvals.click()
    await bob.get_by_role("link", name="Purge").click()
    await expect(bob.get_by_text("retention is over")).to_be_visible()
    await bob.get_by_label("to approve it").fill("code")
    await bob.get_by_role("button", name="Approve").click()
    await expect(bob.get_by_role("heading", name="It may run now")).to_be_visible()
    # what was decided elsewhere is told of on the page that is open
    await expect(ana.get_by_text("This page is out of date")).to_be_visible()
    await ana.goto(purge)
    await expect(ana.get_by_text("approved this")).to_be_visible()
    await ana.get_by_label("to delete it for good").fill("code")
    await ana.get_by_role("button", name="Purge").click()
    await expect(ana.get_by_role("heading", name="public.orders.code")).to_be_visible()
    await ana.get_by_role("link", name="Approvals").click()
    await expect(ana.get_by_text("used")).to_be_visible()
    left = "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE id = "
    assert database.psql(f"{left}'{artifacts['column']}'") == "0"
    told = (
        "SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM zanith._zanith_audit_log"
    )
    decided = f"{told} WHERE action IN ('request', 'approve', 'purge') AND outcome = 'done'"
    assert database.psql(decided) == "ana request, bob approve, ana purge"
    assert (heard, heard_too) == ([], [])
    await ana.context.close()
    await bob.context.close()


async def test_several_are_asked_for_and_approved_at_once(
    browser: Browser, studio: Running, database, artifacts
):
    ana, heard = await sign_in(browser, studio, "ana")
    bob, heard_too = await sign_in(browser, studio, "bob")
    await ana.goto("/studio/cleanup?older_than=0s&before_expiry=yes")
    number = len(artifacts)
    await expect(ana.get_by_role("heading", name=f"{number} artifacts stay")).to_be_visible()
    await ana.get_by_label("Reason, for the other person").fill("retention is over")
    await ana.get_by_role("button", name=f"Ask for {number} approvals").click()
    title = f"{number} of {number} approvals asked for"
    await expect(ana.get_by_role("heading", name=title)).to_be_visible()

    await bob.goto("/studio/approvals")
    boxes = bob.get_by_role("checkbox", name="Tick Purge of")
    await expect(boxes).to_have_count(number)
    for index in (0, 1):
        await boxes.nth(index).check()
    await bob.get_by_label("Reason").fill("looked at both")
    await bob.get_by_label("Type the number").fill("3")
    await bob.get_by_role("button", name="Approve the ticked requests").click()
    # the number, the ticks and the reason are there still
    await expect(bob.get_by_text("Not confirmed: nothing was changed.")).to_be_visible()
    await expect(bob.get_by_label("Reason")).to_have_value("looked at both")
    await expect(bob.get_by_role("checkbox", checked=True)).to_have_count(2)
    await bob.get_by_label("Type the number").fill("2")
    await bob.get_by_role("button", name="Approve the ticked requests").click()
    await expect(bob.get_by_role("heading", name="2 of 2 requests approved")).to_be_visible()
    states = "SELECT string_agg(state || ' ' || COALESCE(decided_by, '-'), ', ' ORDER BY state, id)"
    expected = ["approved bob"] * 2 + ["requested -"] * (number - 2)
    assert database.psql(f"{states} FROM zanith._zanith_approvals").split(", ") == expected
    assert (heard, heard_too) == ([], [])
    await ana.context.close()
    await bob.context.close()
