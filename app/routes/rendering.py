"""From a view to HTML: one Jinja environment, strict about every name it is given."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.types import Scope

from app import text as formats
from app.recovery.core.actor import LONGEST_REASON, Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.names import quote as quote_name
from app.recovery.core.options import options_of
from app.recovery.core.version import VERSION
from app.recovery.db.database import ServerInfo
from app.recovery.jobs.approvals import Summary
from app.recovery.jobs.model import Job
from app.recovery.plan.model import Choices
from app.routes.auth.access import FORM, FORM_FIELD, Access, set_cookie
from app.routes.middleware.prefix import address_of, outside
from app.routes.sql_text import highlighted, highlighted_shell
from app.routes.words import capital, on_page, sentence

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "zanith_theme"

TYPE_NAMES = {
    "soft_drop_column": "Column, soft-dropped",
    "soft_drop_table": "Table, soft-dropped",
    "archive_column": "Column, archived",
    "archive_table": "Table, archived",
    "rebuild_table": "Table, rebuilt",
    "archive_rows": "Rows, archived",
    "archive_values": "Values, archived",
    "keep_definition": "Definition, kept",
}


@dataclass(frozen=True)
class Frame:
    """What stands around every page: where it is, who looks, and what the next form carries."""

    title: str
    section: str
    server: ServerInfo | None
    actor: Actor | None
    open: bool
    theme: str
    form_token: str
    path: str
    now: datetime
    notice: str | None = None
    approvals: Summary = field(default_factory=Summary)
    heard: str = ""
    version: str = VERSION
    form_field: str = FORM_FIELD

    @property
    def can_change(self) -> bool:
        """Whether buttons that change something are worth showing; the engine decides anyway."""
        return bool(
            self.actor and self.actor.role != "viewer" and self.server and not self.server.standby
        )

    def may_cancel(self, job: Job) -> bool:
        """Whether to show the button that cancels a job: a viewer cancels only an own export."""
        return self.can_change or bool(
            self.actor and job.kind.reads and job.actor == self.actor.name
        )

    @property
    def needs(self) -> str:
        """What a control that is off here needs, in a few words; empty where it is on."""
        if self.server and self.server.standby:
            return "Needs the primary"
        return "Needs staff" if self.actor and self.actor.role == "viewer" else ""

    @property
    def why_not(self) -> str:
        """Why nothing can be changed here, for a person; empty where it can."""
        if self.server and self.server.standby:
            return "This server is a standby: changes are made on the primary."
        if self.actor and self.actor.role == "viewer":
            if not self.actor.sees_rows:
                return "You are signed in as a viewer: you see everything but rows, and verify."
            return "You are signed in as a viewer: you see, verify and export."
        return ""


def link(path: str, params: Mapping[str, Any] | None = None) -> str:
    """Return a path with a query string of those parameters that say something, for `url()`."""
    said = {k: "yes" if v is True else v for k, v in (params or {}).items()}
    pairs = [(k, v) for k, v in said.items() if v not in (None, "", False)]
    return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path


def migration_link(migration_id: str, params: Mapping[str, Any] | None = None) -> str:
    """Return the address of a migration's page, for `url()`.

    Browsers take the segments `.` and `..` out of a path, also where they are encoded: these two
    ids stand in the query, and the path ends where the id would begin.
    """
    if migration_id in {".", ".."}:
        return link("/studio/migrations/", {**(params or {}), "id": migration_id})
    return link(f"/studio/migrations/{quote(migration_id, safe='')}", params)


def one_line(text: str) -> str:
    """Return a name for a field of a form, where a browser would write its line breaks anew."""
    for char, code in _FIELD:
        text = text.replace(char, code)
    return text


def from_field(text: str) -> str:
    """Return the name that :func:`one_line` put into a field."""
    for char, code in reversed(_FIELD):
        text = text.replace(code, char)
    return text


# Of what a form cannot carry as it is, and of the sign that marks it.
_FIELD = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))


@cache
def static(path: str) -> str:
    """Return the path of a static file with its content's hash, so that it can be kept."""
    file = resources.files("app") / "static" / path
    stamp = hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else "missing"
    return f"/static/{path}?v={stamp}"


def as_facts(value: Any) -> str:
    """Return a piece of a definition as one line: what it says, without what it leaves open."""
    if isinstance(value, Mapping):
        said = {k: v for k, v in value.items() if v not in (None, "", False, [], {})}
        return ", ".join(f"{key.replace('_', ' ')}: {as_facts(item)}" for key, item in said.items())
    if isinstance(value, list | tuple):
        return "; ".join(as_facts(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def as_json(value: Any) -> str:
    """Return a JSON value indented, for people; text stays as it is."""
    if isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


class KeptFiles(StaticFiles):
    """Static files; one asked for with its content's hash never changes, so browsers keep it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file, for a year where its address has the hash."""
        response = await super().get_response(path, scope)
        kept = response.status_code == 200 and scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = f"public, max-age={31_536_000 if kept else 0}"
        return response


class StudioEnvironment(Environment):
    """Strict about what a view must have, lenient about the keys of JSON, which come and go."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the attribute; for a key that a JSON object lacks None."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else getattr(obj, attribute, None)
        return super().getattr(obj, attribute)


def environment(prefix: str = "") -> Environment:
    """Return the environment in which every template renders, below the path of a proxy."""
    env = StudioEnvironment(
        loader=PackageLoader("app", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        size=formats.size,
        number=formats.number,
        short=formats.short_number,
        span=formats.took,
        about=formats.about,
        relative=formats.relative,
        utc=formats.instant,
        visible=formats.visible,
        one_line=one_line,
        sql=highlighted,
        shell=highlighted_shell,
        quote_name=quote_name,
        facts=as_facts,
        as_json=as_json,
        on_page=on_page,
        sentence=sentence,
        capital=capital,
    )
    env.globals.update(
        url=outside(prefix),
        static=static,
        link=link,
        migration_link=migration_link,
        type_names=TYPE_NAMES,
        plural=formats.plural,
        longest_reason=LONGEST_REASON,
        days_left=formats.days_left,
        label_of={item.name: item.label for item in options_of(Choices)},
    )
    return env


class Pages:
    """Renders views inside the frame that belongs to the request."""

    def __init__(self, access: Access, prefix: str = "") -> None:
        self.access = access
        self.env = environment(prefix)

    def render(
        self,
        request: Request,
        template: str,
        view: object,
        *,
        title: str,
        section: str = "",
        status: int = 200,
        actor: Actor | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a page or a partial; both see `view` and `frame` and nothing else."""
        cookie = request.cookies.get(FORM) or secrets.token_hex(16)
        studio = request.app.state.studio
        theme = request.cookies.get(THEME_COOKIE, "auto")
        frame = Frame(
            title=title,
            section=section,
            server=studio.server,
            actor=actor or getattr(request.state, "actor", None),
            open=self.access.open,
            theme=theme if theme in THEMES else "auto",
            form_token=self.access.form_token(request, cookie),
            path=address_of(request.scope),
            now=datetime.now(UTC),
            notice=studio.notice,
            approvals=studio.approvals,
            heard=getattr(request.state, "heard", ""),
        )
        html = self.env.get_template(template).render(view=view, frame=frame)
        response = HTMLResponse(
            html,
            status,
            {"Cache-Control": "no-store", "Vary": "HX-Request", **(headers or {})},
        )
        if FORM not in request.cookies:
            set_cookie(request, response, FORM, cookie)
        return response

    def error(
        self, request: Request, template: str, error: ZanithError, title: str, status: int
    ) -> HTMLResponse:
        """Return an error as a page or as the fragment for the notice.

        Where no route asked yet who it is, as for an address without one, it is asked here: a
        signed-in reader sees their place on this page too.
        """
        actor = getattr(request.state, "actor", None)
        if actor is None:
            with suppress(ZanithError):
                actor = self.access.actor(request)
        view = ErrorView(title, status, error)
        return self.render(request, template, view, title=title, status=status, actor=actor)


@dataclass(frozen=True)
class ErrorView:
    """An error on its page or in the notice."""

    title: str
    status: int
    error: ZanithError


def is_partial(request: Request) -> bool:
    """Whether HTMX asks for a piece of the page, rather than the browser for all of it."""
    return bool(request.headers.get("HX-Request")) and not request.headers.get(
        "HX-History-Restore-Request"
    )
