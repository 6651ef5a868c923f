"""The studios behind the catalogue: on the hard cases, on an empty database, and on a standby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page

from tests import hard_migrations
from tests.catalogue import CATALOGUE, Shown
from tests.clusters import Server
from tests.hard_cases import HardCases
from tests.studios import Running, run_studio, wait_until

TOKENS = {"staff": "the-token-of-staff", "viewer": "the-token-of-viewer"}
SETTINGS = {
    "auth_token": "ana:the-token-of-staff",
    "read_only_auth_token": "vic:the-token-of-viewer",
}

# What headless Chromium would do by itself, and nobody here needs.
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Runs before anything of the page, so that no violation comes too early to be heard.
LISTEN = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
    window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
"""

# Asked by evaluate: Playwright's own waiting would need the eval that the CSP forbids.
SETTLED = """async () => {
    while (document.querySelector('.htmx-request, .htmx-settling, .htmx-swapping'))
        await new Promise((resolve) => setTimeout(resolve, 20));
}"""


@dataclass(frozen=True)
class Gallery:
    """The studios by name, and what the hard one's database holds."""

    cases: HardCases
    studios: dict[str, Running]
    databases: dict[str, str]

    async def context(
        self, browser: Browser, where: str, who: str, **options: object
    ) -> BrowserContext:
        """Return a context of a studio with somebody's session in it."""
        url = self.studios[where].url
        context = await browser.new_context(base_url=url, **options)  # type: ignore[arg-type]
        await context.add_init_script(LISTEN)
        if who != "nobody":
            page = await context.new_page()
            await page.goto("/studio/login")
            await page.get_by_label("Token").fill(TOKENS[who])
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url("**/studio")
            await page.close()
        return context

    async def open(self, page: Page, shown: Shown) -> None:
        """Go to a page of the catalogue and bring it into its state, with everything unfolded."""
        await page.goto(shown.path(self.cases))
        if shown.act is not None:
            await shown.act(page)
        await page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        # What a page fetches by itself is part of it; an open event stream is never idle.
        await page.evaluate(SETTLED)


@contextmanager
def run_gallery(
    server: Server, cases: HardCases, hard: str, bare: str, standby: Path
) -> Iterator[Gallery]:
    """Serve two databases of a server, and the first of them on a standby that is made there."""
    migrations = standby.with_name(f"{standby.name}-migrations")
    hard_migrations.build(server.tcp_url(hard), migrations)
    replica = server.standby(standby)
    try:
        here = "SELECT pg_current_wal_lsn()"
        position = server.psql("postgres", here)
        caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(lambda: replica.psql("postgres", caught_up) == "t")
        with ExitStack() as stack:
            studios = {
                name: stack.enter_context(run_studio(url, **SETTINGS, migrations=there))
                for name, url, there in (
                    ("hard", server.tcp_url(hard), migrations),
                    ("bare", server.tcp_url(bare), None),
                    ("standby", replica.tcp_url(hard), migrations),
                )
            }
            for studio in studios.values():
                studio.app.state.studio.access.limiter.attempts = 1000
            yield Gallery(cases, studios, {"hard": hard, "bare": bare, "standby": hard})
    finally:
        replica.remove()


def by_visitor() -> dict[tuple[str, str], list[Shown]]:
    """Return the catalogue by studio and person, so that each signs in once."""
    found: dict[tuple[str, str], list[Shown]] = {}
    for shown in CATALOGUE:
        found.setdefault((shown.where, shown.who), []).append(shown)
    return found
