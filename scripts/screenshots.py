"""Draw every page of the studio, as the tests' catalogue lists them, into a folder.

A throw-away server with the hard cases, at two widths, in both colours; `--readme` draws the demo's
shop for the README instead. `make screenshots` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import shutil
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from app.demo.story import prepare
from scripts.find_chromium import find_installed
from tests import clusters
from tests.conftest import install_zanith
from tests.gallery import QUIET, SETTINGS, TOKENS, Gallery, by_visitor, run_gallery
from tests.hard_cases import build
from tests.studios import run_studio

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (1280, 400)
COLOURS = ("light", "dark")

# What the README and the guide show, of the demo's shop: an address, and a name to find there.
README = {
    "artifacts": ("/studio", None),
    "artifact": ("/studio", "shop.orders.legacy_code"),
    "restore": ("/studio?table=shop.order_items", "shop.order_items.discount"),
}


async def draw(gallery: Gallery, folder: Path, wanted: str) -> list[str]:
    """Draw every page whose name has `wanted` in it, and return the names of the files."""
    files: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_installed(), args=[*QUIET, "--no-sandbox"]
        )
        for (where, who), listed in by_visitor().items():
            pages = [shown for shown in listed if wanted in shown.key]
            for colours in COLOURS if pages else ():
                context = await gallery.context(browser, where, who, color_scheme=colours)
                page = await context.new_page()
                for shown in pages:
                    await page.set_viewport_size({"width": WIDTHS[0], "height": 900})
                    await gallery.open(page, shown)
                    for width in WIDTHS:
                        await page.set_viewport_size({"width": width, "height": 900})
                        files.append(f"{shown.key}-{width}-{colours}.png")
                        await page.screenshot(path=folder / files[-1], full_page=True)
                await context.close()
        await browser.close()
    return files


def contact_sheet(files: list[str]) -> str:
    """Return a page that shows all pictures, small, each a link to itself."""
    pictures = "".join(
        f'<a href="{name}"><img src="{name}" loading="lazy" alt=""><br>{html.escape(name)}</a>\n'
        for name in files
    )
    style = (
        "body{font:13px sans-serif;display:flex;flex-wrap:wrap;gap:16px}"
        "a{width:300px;overflow-wrap:anywhere}img{width:300px;max-height:420px;object-fit:cover;"
        "object-position:top;border:1px solid #999}"
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Zanith</title><style>{style}</style>{pictures}"
    )


async def draw_readme(browser: Browser, url: str, folder: Path) -> None:
    """Draw the demo's pages for the README."""
    page = await browser.new_page(
        base_url=url,
        viewport={"width": 1180, "height": 860},
        color_scheme="light",
        extra_http_headers={"Authorization": f"Bearer {TOKENS['staff']}"},
    )
    for name, (path, link) in README.items():
        await page.goto(path)
        if link:
            await page.get_by_role("link", name=link, exact=True).click()
            await page.wait_for_load_state("networkidle")
        if name == "restore":
            await page.get_by_role("link", name="Restore", exact=True).click()
            await page.get_by_role("heading", name="Choices").wait_for()
        await page.screenshot(path=folder / f"{name}.png")


async def readme(server: clusters.Server, folder: Path) -> None:
    """Tell the demo's story on the server, serve it, and draw it."""
    url = await prepare(server.tcp_url(), fresh=True, tell=print)
    with run_studio(url, **SETTINGS) as studio:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=find_installed(), args=[*QUIET, "--no-sandbox"]
            )
            await draw_readme(browser, studio.url, folder)
            await browser.close()


def main() -> None:
    """Start the server, draw, and leave nothing running."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--only", default="", help="pages with this in their name")
    parser.add_argument("--readme", action="store_true", help="the README's, into docs/images")
    asked = parser.parse_args()
    directory = clusters.create_run_directory()
    reaper = clusters.start_reaper(directory)
    try:
        server = clusters.obtain_server(directory, max(clusters.find_versions()))
        if asked.readme:
            asyncio.run(readme(server, ROOT / "docs" / "images"))
            return
        for name in ("hard", "bare"):
            server.psql("postgres", f"CREATE DATABASE {name}")
            install_zanith(server.url(name))
        cases = build(server.url("hard"))
        folder: Path = asked.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with run_gallery(server, cases, "hard", "bare", directory / "standby") as gallery:
            files = asyncio.run(draw(gallery, folder, asked.only))
        (folder / "index.html").write_text(contact_sheet(files), "utf-8")
        print(f"{len(files)} pictures: {folder / 'index.html'}")
    finally:
        reaper.communicate(timeout=60)


if __name__ == "__main__":
    main()
