"""Webhooks: who receives them, what waits, and what did not arrive. The addresses stay hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.webhooks import outbox, service
from app.recovery.webhooks.messages import TYPES, EventType
from app.recovery.webhooks.model import Overview
from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter()
PATH = "/studio/webhooks"


@dataclass(frozen=True)
class WebhooksView:
    """The receivers and the newest deliveries."""

    overview: Overview
    types: dict[str, EventType]

    @property
    def here(self) -> bool:
        """Whether this studio has a receiver."""
        return any(one.here for one in self.overview.receivers)


@router.get(PATH, response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who) -> HTMLResponse:
    """Show the webhooks, or only what changes where HTMX asks."""
    found = await outbox.overview(studio.reading(who), studio.settings.webhooks)
    template = "webhooks/results.html" if is_partial(request) else "webhooks/page.html"
    view = WebhooksView(found, TYPES)
    return studio.pages.render(request, template, view, title="Webhooks", section="webhooks")


@router.post(f"{PATH}/test", dependencies=[checked_form])
async def test(studio: TheStudio, who: Who) -> Response:
    """Send a test to each receiver of this studio; the page shows what they answered."""
    await service.send_test(studio.db, studio.settings.webhooks, who)
    return RedirectResponse(PATH, 303)


@router.post(f"{PATH}/retry", dependencies=[checked_form])
async def retry(
    studio: TheStudio, who: Who, receiver: Annotated[str, Form(max_length=64)] = ""
) -> Response:
    """Let what waits or was given up be sent now, to one receiver or to all."""
    await service.try_again(studio.db, who, receiver or None)
    return RedirectResponse(PATH, 303)
