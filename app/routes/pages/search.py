"""Search: to an artifact, a migration or a job by its name or id, from any page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.inspection.search import MOST, Hit, search
from app.routes.rendering import TYPE_NAMES, is_partial, migration_link
from app.routes.studio import TheStudio, Who
from app.text import plural

router = APIRouter(prefix="/studio/search")

PATH = "/studio/search"
ON_THE_WAY = 8  # while somebody still types


@dataclass(frozen=True)
class Found:
    """One hit as a page shows it: where it leads, and what it is."""

    hit: Hit

    @property
    def href(self) -> str:
        """Where it leads."""
        if self.hit.kind == "migration":
            return migration_link(self.hit.id)
        return f"/studio/{self.hit.kind}s/{self.hit.id}"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.hit.name or self.hit.id

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        hit = self.hit
        if hit.kind == "migration":
            return f"migration, {plural(hit.number or 0, 'artifact')}"
        if hit.kind == "job":
            return f"{hit.what} job, {hit.state}"
        return f"{hit.what or 'artifact'}, {hit.state}"


@dataclass(frozen=True)
class SearchView:
    """What was searched for, and what was found."""

    text: str
    found: tuple[Found, ...]
    more: bool
    types: dict[str, str]


async def build(studio: TheStudio, who: Who, text: str, most: int) -> SearchView:
    """Search, and note whether there is more than is shown."""
    hits = await search(studio.reading(who), text, most + 1)
    found = tuple(Found(hit) for hit in hits[:most])
    return SearchView(text, found, len(hits) > most, TYPE_NAMES)


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show what was found; go there at once where the text is the whole id of one of them."""
    if is_partial(request):
        view = await build(studio, who, q, ON_THE_WAY)
        return studio.pages.render(request, "search/options.html", view, title="Search")
    view = await build(studio, who, q, MOST)
    exact = [found for found in view.found if found.hit.exact]
    if len(exact) == 1:
        return RedirectResponse(exact[0].href, 303)
    return studio.pages.render(request, "search/page.html", view, title="Search", section="search")
