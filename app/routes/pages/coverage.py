"""Coverage: which share of all drops a capture would take here, measured when somebody asks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter(prefix="/studio/coverage")
PATH = "/studio/coverage"


def _show(request: Request, studio: TheStudio) -> HTMLResponse:
    template = "coverage/panel.html" if is_partial(request) else "coverage/page.html"
    view = studio.measurement
    return studio.pages.render(request, template, view, title="Coverage", section="capture")


@router.get("", response_class=HTMLResponse)
async def coverage(request: Request, studio: TheStudio, _who: Who) -> HTMLResponse:
    """Show the last measurement, or how far the one that runs is."""
    return _show(request, studio)


@router.post("", response_class=HTMLResponse, dependencies=[checked_form])
async def measure(request: Request, studio: TheStudio, _who: Who) -> Response:
    """Begin to measure: it only reads, so viewers may too."""
    studio.measurement.begin(studio.runner, studio.db)
    if is_partial(request):
        return _show(request, studio)
    return RedirectResponse(PATH, 303)
