"""`zanith worker` and `zanith jobs …`: what runs in the database's job table, and who runs it."""

import asyncio
from collections import Counter
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from app.cli.complete import complete_job
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Json
from app.cli.render.jobs import job_facts, job_list
from app.cli.render.outcome import done
from app.cli.render.report import job_report
from app.cli.session import Session, run
from app.recovery import worker as workers
from app.recovery.core.errors import WrongUsage
from app.recovery.jobs import model as jobs
from app.recovery.jobs import runs
from app.recovery.jobs.model import Job
from app.recovery.restore.document import check, digest_of, document_of
from app.recovery.rows.schedule import verify_regularly
from app.recovery.webhooks import service
from app.text import plural

app = typer.Typer()
group = typer.Typer(no_args_is_help=True)

_Id = Annotated[
    str, typer.Argument(metavar="JOB", help="The job's id.", autocompletion=complete_job)
]
_SHOWN = 20
_PAGE = 500


@app.command("worker")
def worker(
    at_once: Annotated[
        int,
        typer.Option(
            "--at-once", metavar="N", min=1, max=50, help="The maximum number of jobs at a time."
        ),
    ] = 2,
    once: Annotated[
        bool, typer.Option("--once", help="Exit when no job is left, for use in cron.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Run the jobs that were queued with --detach, and resume online work whose
    worker was lost, until Ctrl-C.

    Any number of workers may run, on one machine or many. The studio is a
    worker too.

    Example:

    $ zanith worker
    $ zanith worker --once --at-once 1
    """

    async def body(session: Session) -> None:
        terminal = session.terminal

        ended: Counter[str] = Counter()

        def tell(job: Job, word: str) -> None:
            ended[word if word in {"begun", "done"} else "failed"] += 1
            terminal.say(
                Text(f"{job.id}  {job.kind} of {printable(job.object or '')}: {printable(word)}")
            )

        if not once:
            waiting = "waiting for work; after Ctrl-C other workers resume its online jobs"
            terminal.say(Text(waiting, style="quiet"))
        hooks, every = session.settings.webhooks, session.settings.verify_every
        beside = [service.keep_telling(session.db, hooks)]
        if every and not once:
            rate = session.settings.verify_rate
            beside.append(verify_regularly(session.db, every, rate, workers.ACTOR))
        try:
            async with runs.beside(beside):
                await workers.serve(session.db, at_once, tell, once=once)
            if once:
                await service.keep_telling(session.db, hooks, once=True)
        except asyncio.CancelledError:
            terminal.say(Text("stopped; another worker resumes unfinished online jobs"))
        else:
            terminal.show(_did(ended))

    run(body, url=database_url)


def _did(ended: Counter[str]) -> RenderableType:
    """What a worker did that ends when nothing is left."""
    if not ended["begun"]:
        return Text("No job was waiting.", style="quiet")
    words = f"{plural(ended['begun'], 'job')}: {ended['done']} done"
    return Text(words + (f", {ended['failed']} not: zanith jobs list" if ended["failed"] else ""))


@group.callback()
def _jobs() -> None:
    """
    List jobs; cancel, pause or resume one.

    Example:

    $ zanith jobs list --live
    $ zanith jobs cancel 5f0c2a9e81d34b76
    """


@group.command("list")
def list_jobs(
    live: Annotated[
        bool, typer.Option("--live", help="Show only queued and running jobs.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, help=f"The maximum number to show. Default: {_SHOWN}."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all jobs.")] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List jobs, newest first.

    Example:

    $ zanith jobs list --limit 50
    $ zanith jobs list --live --json | jq '.jobs[].progress'
    """
    if every and limit is not None:
        raise WrongUsage("--all and --limit cannot be used together", hint="leave one of them out")
    most = None if every else limit or _SHOWN

    async def body(session: Session) -> None:
        states = list(jobs.LIVE) if live else None
        found: list[Job] = []
        more = True
        while more and (most is None or len(found) < most):
            size = _PAGE if most is None else min(_PAGE, most - len(found))
            after = found[-1] if found else None
            page = await jobs.list_jobs(session.db, states=states, after=after, limit=size + 1)
            more = len(page) > size
            found += page[:size]
        session.terminal.page(job_list(found, more=more))
        if as_json:
            session.terminal.emit({"jobs": found, "more": more})

    run(body, url=database_url, json=as_json)


@group.command("show")
def show(
    job: _Id,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Show the report of a restore, compute its digest again, and compare it with the "
            "audit log.",
        ),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show one job: its progress, or how it ended.

    Example:

    $ zanith jobs show 5f0c2a9e81d34b76
    $ zanith jobs show 5f0c2a9e81d34b76 --report --json > report.json
    """

    async def body(session: Session) -> None:
        found = await jobs.get(session.db, job)
        if not report:
            _tell(session, found)
            return
        document, checks = document_of(found), await check(session.db, found)
        session.terminal.show(job_report(found, document, checks))
        if session.terminal.json:
            session.terminal.emit(
                {
                    "report": document,
                    "digest": digest_of(document),
                    "checks": [{**vars(each), "matches": each.matches} for each in checks],
                    "matches": all(each.matches for each in checks),
                }
            )
        if not all(each.matches for each in checks):
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json)


@group.command("cancel")
def cancel(job: _Id, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Stop a job. A job that has ended stays as it is.

    Example:

    $ zanith jobs cancel 5f0c2a9e81d34b76
    """

    async def body(session: Session) -> None:
        ended = (await jobs.get(session.db, job)).ended
        word = "had ended already" if ended else "asked to stop"
        _tell(session, await jobs.cancel(session.db, job, session.actor), word)

    run(body, url=database_url, json=as_json)


@group.command("pause")
def pause(job: _Id, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Pause online work after the current batch, until it is resumed.

    Example:

    $ zanith jobs pause 5f0c2a9e81d34b76
    """

    async def body(session: Session) -> None:
        _tell(session, await jobs.pause(session.db, job, session.actor), "pauses after this batch")

    run(body, url=database_url, json=as_json)


@group.command("resume")
def resume(job: _Id, as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Resume online work that was paused or did not finish.

    A job that was cancelled, failed or lost its worker is replaced by a new job,
    which waits for a worker.

    Example:

    $ zanith jobs resume 5f0c2a9e81d34b76
    """

    async def body(session: Session) -> None:
        found = await jobs.get(session.db, job)
        if not found.ended:
            found = await jobs.pause(session.db, job, session.actor, pause=False)
            return _tell(session, found, "resumed")
        found = await workers.resume(session.db, job, session.actor)
        return _tell(session, found, "waits for a worker: zanith worker, or the studio")

    run(body, url=database_url, json=as_json)


def _tell(session: Session, job: Job, word: str = "") -> None:
    if word:
        session.terminal.show(done(f"{job.kind} of {printable(job.object or '')} {word}"))
    session.terminal.show(job_facts(job))
    if session.terminal.json:
        session.terminal.emit({"job": job.to_json()})
