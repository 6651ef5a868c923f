"""`zanith webhooks …`: who gets messages, and what did not arrive."""

from typing import Annotated

import typer

from app.cli.exits import Exit, stop
from app.cli.options import DatabaseUrl, Json
from app.cli.render.outcome import done
from app.cli.render.webhooks import answers, retried, webhook_list
from app.cli.session import Session, run
from app.recovery.core.errors import WrongUsage
from app.recovery.webhooks import outbox, service

group = typer.Typer(no_args_is_help=True)

_SHOWN = 20


@group.callback()
def _webhooks() -> None:
    """
    Show the receivers of webhooks; send a test, or send again.

    Example:

    $ zanith webhooks list
    $ zanith webhooks test
    """


@group.command("list")
def list_webhooks(
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=1, max=1000, help="The maximum number of messages to show."
        ),
    ] = _SHOWN,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List receivers by host, and messages: those that did not arrive first.

    Example:

    $ zanith webhooks list
    $ zanith webhooks list --json | jq .waiting
    """

    async def body(session: Session) -> None:
        found = await outbox.overview(session.db, session.settings.webhooks, limit)
        session.terminal.page(webhook_list(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@group.command("test")
def send_test(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Send a test to each address in ZANITH_WEBHOOK_URL. Exit 1 if one does not
    answer with 2xx.

    Example:

    $ ZANITH_WEBHOOK_URL=https://hooks.example.com/zanith zanith webhooks test
    """

    async def body(session: Session) -> None:
        found = await service.send_test(session.db, session.settings.webhooks, session.actor)
        document = service.answers_json(found)
        session.terminal.show(answers(document))
        if as_json:
            session.terminal.emit({"answers": document})
        if not all(one["delivered"] for one in document):
            stop(Exit.FAILED)

    run(body, url=database_url, json=as_json)


@group.command("retry")
def retry(
    receiver: Annotated[
        str | None,
        typer.Option(
            "--receiver",
            metavar="ID",
            help="Only to this receiver: the id that zanith webhooks list shows.",
        ),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Send again now what waits or did not arrive.

    This process sends if ZANITH_WEBHOOK_URL is set here. Otherwise a studio or a
    worker sends.

    Example:

    $ zanith webhooks retry
    $ zanith webhooks retry --receiver 3f9a01bc
    """
    if receiver is not None and len(receiver) < 4:
        raise WrongUsage("an id has 4 characters or more", hint="zanith webhooks list")

    async def body(session: Session) -> None:
        number = await service.try_again(session.db, session.actor, receiver)
        hooks = session.settings.webhooks
        if hooks.receivers and number:
            await service.keep_telling(session.db, hooks, once=True)
        session.terminal.show(done(retried(number)))
        if as_json:
            session.terminal.emit({"deliveries": number})

    run(body, url=database_url, json=as_json)
