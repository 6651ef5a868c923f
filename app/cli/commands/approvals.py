"""`zanith approvals …`: ask another person to approve a change, and decide on what others ask."""

from typing import Annotated

import typer
from rich.text import Text

from app.cli.complete import complete_artifact
from app.cli.confirm import confirm_name, confirm_word, require_person
from app.cli.derived import expanded
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Json, KeyColumns, Reason, Reference, ValuesFrom, Yes
from app.cli.render.approvals import approval_list, approval_review, approval_table
from app.cli.render.approvals import outcomes as each_outcome
from app.cli.render.outcome import done
from app.cli.restoring import choices
from app.cli.session import Session, run
from app.cli.values import key_columns, key_values
from app.recovery.approvals import deciding, several
from app.recovery.approvals.looking import review
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import WrongUsage
from app.recovery.core.four_eyes import Change, in_order, parse_changes, require_reason
from app.recovery.jobs.approvals import Approval, find_required, get_approval, list_approvals
from app.recovery.plan.model import Choices
from app.recovery.purge.erase import plan_erasure

group = typer.Typer(no_args_is_help=True)

_Id = Annotated[
    str, typer.Argument(metavar="REQUEST", help="The request's id, or the beginning of it.")
]
_Ids = Annotated[
    list[str],
    typer.Argument(metavar="REQUEST...", help="The id of each request, or the beginning of it."),
]
_Artifacts = Annotated[
    list[str],
    typer.Argument(
        metavar="ARTIFACT...",
        help="The id of each artifact, the beginning of one, or the name of the dropped object.",
        autocompletion=complete_artifact,
    ),
]
_Why = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="The reason, for the other person. Required."),
]
_Changes = Annotated[
    str, typer.Argument(metavar="CHANGES", help="Some of purge, erase, unverified, with commas.")
]
_HOW = 'add --reason "why", for the other person'
_ASKED = "asked for the approval of"
_SHOWN = 50


@group.callback()
def _approvals() -> None:
    """
    Ask another person to approve a change; approve or reject what others ask.

    Example:

    $ zanith approvals list
    $ zanith approvals request-purge orders.legacy_code --reason "retention is over"
    $ zanith approvals approve 5f0c2a9e81d3
    """


@group.command("list")
def list_command(
    pending: Annotated[
        bool, typer.Option("--pending", help="Show only requests that wait for a decision.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Show at most N.")
    ] = _SHOWN,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List requests: first those that wait for a decision, then the newest.

    Example:

    $ zanith approvals list --pending
    """

    async def body(session: Session) -> None:
        states = ["requested"] if pending else None
        found = await list_approvals(session.db, states=states, limit=limit)
        required = [change.value for change in in_order(await find_required(session.db))]
        session.terminal.page(approval_list(found, required))
        if as_json:
            session.terminal.emit({"approvals": found, "required": required})

    run(body, url=database_url, json=as_json)


@group.command("show")
def show(request: _Id, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Show a request, what its change would do now, and what is different since.

    Example:

    $ zanith approvals show 5f0c2a9e81d3
    """

    async def body(session: Session) -> None:
        found = await get_approval(session.db, request)
        looked = await review(session.db, found, session.actor)
        session.terminal.page(approval_review(looked))
        if as_json:
            session.terminal.emit(looked.to_json())

    run(body, url=database_url, json=as_json)


@group.command("request-purge")
def request_purge(
    references: _Artifacts,
    reason: _Why = "",
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Ask another person to approve the purge of artifacts.

    Of several artifacts each has a request of its own, with the same reason.
    Exit 4 if one of them cannot be asked for; the others are.

    Example:

    $ zanith approvals request-purge orders.legacy_code --reason "retention is over"
    $ zanith approvals request-purge 5f0c2a9e81d3 77ab --reason "retention is over"
    """

    async def body(session: Session) -> None:
        why = require_reason(reason, _HOW)
        if len(references) > 1:
            asked_for = (session.db, references, session.actor)
            _tell_each(session, await several.request_purges(*asked_for, reason=why), _ASKED)
            return
        found = await get_artifact(session.db, references[0])
        asked = await deciding.request(
            session.db, Change.PURGE, found.id, session.actor, reason=why
        )
        _told(session, asked)

    run(body, url=database_url, json=as_json)


@group.command("request-erase")
def request_erase(
    reference: Reference,
    column: KeyColumns,
    values_from: ValuesFrom = None,
    reason: _Why = "",
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Ask another person to approve an erasure.

    The other person sees the columns and the number of rows, and no value. Of
    the values only a salted hash is recorded, until the request ends. Enter the
    same values again to erase.

    Example:

    $ zanith approvals request-erase people --column email --values-from ticket.txt \\
          --reason "request 4711"
    """
    columns = key_columns(column)

    async def body(session: Session) -> None:
        why = require_reason(reason, _HOW)
        found = await get_artifact(session.db, reference)
        match = key_values(session.terminal, columns, values_from)
        plan = await plan_erasure(session.db, found.id, match, session.actor)
        asked = await deciding.request(
            *(session.db, Change.ERASE, found.id, session.actor),
            reason=why,
            match=match,
            rows=plan.rows or 0,
        )
        _told(session, asked)

    run(body, url=database_url, json=as_json)


@group.command("request-restore")
@expanded
def request_restore(
    reference: Reference,
    *,
    wanted: Annotated[Choices, choices("unverified", "online", "fire_triggers")],
    reason: _Why = "",
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Ask another person to approve a restore with --unverified, which skips the
    check of the seal.

    Give the other options of the restore too: the approval is for just these.

    Example:

    $ zanith approvals request-restore orders.legacy_code --reason "the seal is broken"
    """

    async def body(session: Session) -> None:
        why = require_reason(reason, _HOW)
        found = await get_artifact(session.db, reference)
        chosen = {**wanted.to_json(), "unverified": True}
        asked = await deciding.request(
            *(session.db, Change.UNVERIFIED, found.id, session.actor),
            reason=why,
            params={"choices": chosen},
        )
        _told(session, asked)

    run(body, url=database_url, json=as_json)


@group.command("approve")
def approve(
    requests: _Ids,
    reason: Reason = None,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Approve requests of another person, after showing what the change does.

    Your name and your database role must not be those of the person who asked.
    The change may then run once, before the request lapses. Of several requests
    each is approved by itself: exit 4 if one cannot be, and the others are.

    Example:

    $ zanith approvals approve 5f0c2a9e81d3
    $ zanith approvals approve 5f0c2a9e81d3 60bd
    """

    async def body(session: Session) -> None:
        terminal = session.terminal
        if len(requests) > 1:
            await _approve_several(session, requests, reason, yes=yes)
            return
        found = await get_approval(session.db, requests[0])
        if found.state == "requested":
            require_person(terminal, yes=yes, dry_run=False)
            if not yes:
                terminal.say(approval_review(await review(session.db, found, session.actor)))
            confirm_name(terminal, found.object, found.artifact_id, verb="approve it", yes=yes)
        decided = await deciding.approve(
            *(session.db, found.id, session.actor),
            confirm=found.object,
            expected_digest=found.digest,
            reason=reason,
        )
        _did(session, "approved", decided)

    run(body, url=database_url, json=as_json)


@group.command("reject")
def reject(
    request: _Id,
    reason: Reason = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Reject a request of another person.

    Example:

    $ zanith approvals reject 5f0c2a9e81d3 --reason "finance still reads it"
    """

    async def body(session: Session) -> None:
        decided = await deciding.reject(session.db, request, session.actor, reason=reason)
        _did(session, "rejected", decided)

    run(body, url=database_url, json=as_json)


@group.command("withdraw")
def withdraw(
    request: _Id,
    reason: Reason = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Take back a request that you made, or an approval that you gave and that was
    not used.

    Example:

    $ zanith approvals withdraw 5f0c2a9e81d3
    """

    async def body(session: Session) -> None:
        ended = await deciding.withdraw(session.db, request, session.actor, reason=reason)
        _did(session, "withdrew", ended)

    run(body, url=database_url, json=as_json)


@group.command("require")
def require(changes: _Changes, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Require approvals in this database from now on, also of clients without
    ZANITH_APPROVALS.

    Example:

    $ zanith approvals require purge,erase
    """

    async def body(session: Session) -> None:
        kinds = parse_changes(changes)
        if not kinds:
            raise WrongUsage("no change is named", hint="write some of purge, erase, unverified")
        await deciding.require(session.db, kinds, session.actor)
        required = [change.value for change in in_order(await find_required(session.db))]
        session.terminal.show(done(f"an approval is needed here for {', '.join(required)}"))
        if as_json:
            session.terminal.emit({"required": required})

    run(body, url=database_url, json=as_json)


@group.command("lift")
def lift(
    changes: _Changes,
    reason: _Why = "",
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Ask another person to approve that this database no longer requires
    approvals of some changes.

    Example:

    $ zanith approvals lift purge --reason "the audit is over"
    """

    async def body(session: Session) -> None:
        why = require_reason(reason, _HOW)
        kinds = [change.value for change in in_order(parse_changes(changes))]
        asked = await deciding.request(
            *(session.db, Change.LIFT, None, session.actor), reason=why, params={"kinds": kinds}
        )
        _told(session, asked)

    run(body, url=database_url, json=as_json)


async def _approve_several(
    session: Session, requests: list[str], reason: str | None, *, yes: bool
) -> None:
    terminal = session.terminal
    found = {one.id: one for one in [await get_approval(session.db, id_) for id_ in requests]}
    require_person(terminal, yes=yes, dry_run=False)
    if not yes:
        terminal.say(approval_table(list(found.values())))
        terminal.say(Text("zanith approvals show REQUEST shows what a change does.", "quiet"))
    confirm_word(terminal, str(len(found)), why="to approve all of them", yes=yes)
    outcomes = await several.approve_several(
        *(session.db, list(found), session.actor),
        confirm=len(found),
        digests={one.id: one.digest for one in found.values()},
        reason=reason,
    )
    _tell_each(session, outcomes, "approved")


def _tell_each(session: Session, outcomes: list[several.Outcome], word: str) -> None:
    """Say what became of each; exit 4 if one was refused."""
    session.terminal.show(each_outcome(outcomes, word))
    if session.terminal.json:
        session.terminal.emit({"outcomes": outcomes})
    if any(one.error for one in outcomes):
        stop(Exit.REFUSED)


def _told(session: Session, asked: Approval) -> None:
    """Say what was asked for, and what the other person runs."""
    words = Text(f"{_ASKED} the ").append(printable(asked.title), style="name")
    session.terminal.show(done(words))
    how = f"another person, with another database role: zanith approvals approve {asked.id}"
    session.terminal.show(Text(f"  {how}", style="quiet"))
    if session.terminal.json:
        session.terminal.emit({"approval": asked})


def _did(session: Session, word: str, found: Approval) -> None:
    session.terminal.show(done(Text(f"{word} the ").append(printable(found.title), style="name")))
    if session.terminal.json:
        session.terminal.emit({"approval": found})
