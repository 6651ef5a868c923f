"""`zanith recover export`: stream an artifact's data to a file or to stdout."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from app.cli.humanize import plural, printable, size
from app.cli.options import DatabaseUrl, Json, Reference
from app.cli.progress import watching
from app.cli.render.layout import aside
from app.cli.render.outcome import done
from app.cli.session import Session, run
from app.recovery.artifacts import get_artifact
from app.recovery.errors import WrongUsage
from app.recovery.export import ExportRequest, announce, export_to_file, filename, stream_export

app = typer.Typer()


class Format(StrEnum):
    """The forms in which rows leave."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"


class Compression(StrEnum):
    """Compression of the stream."""

    GZIP = "gzip"
    ZSTD = "zstd"


@app.command("export")
def export_command(
    reference: Reference,
    output_format: Annotated[
        Format, typer.Option("--format", help="csv is canonical: sha256sum prints the checksum.")
    ] = Format.CSV,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|-",
            help="A file, or - for stdout; else a file named after the object, here.",
        ),
    ] = None,
    compress: Annotated[
        Compression | None, typer.Option("--compress", help="Compress while streaming.")
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Export an artifact's rows, with a manifest beside the file.

    A file gets its name only when it is whole. CSV is the canonical form that
    was sealed, so sha256sum of an uncompressed CSV prints the recorded
    checksum.

    Example:

    $ zanith recover export orders.legacy_code --output codes.csv
    $ zanith recover export 7k2m --format jsonl --compress zstd --output - | zstdcat | head
    """
    if output == "-" and as_json:
        raise WrongUsage("--json and --output - both want stdout", hint="export to a file")

    async def body(session: Session) -> None:
        artifact = await get_artifact(session.db, reference)
        request = ExportRequest(
            artifact_id=artifact.id,
            format=output_format.value,
            compress=compress.value if compress else None,
        )
        if output == "-":
            await _to_stdout(session, request)
            return
        name = filename(artifact, request.format, request.compress)
        path = Path(output) if output else Path(name)
        if path.is_dir():
            path /= name
        with watching(session.terminal, f"Exporting {artifact.object_name}") as follow:
            job = await export_to_file(session.db, request, path, session.actor, on_progress=follow)
        _tell(session, job.result or {}, path)
        if as_json:
            session.terminal.emit({"file": str(path), **(job.result or {})})

    run(body, url=database_url, json=as_json)


async def _to_stdout(session: Session, request: ExportRequest) -> None:
    job = await announce(session.db, request, session.actor)
    stdout = sys.stdout.buffer
    async for chunk in stream_export(session.db, job.id):
        stdout.write(chunk)
    stdout.flush()


def _tell(session: Session, result: dict[str, object], path: Path) -> None:
    equal = result.get("equals_seal")
    seal = {True: "equals the seal", False: "DIFFERS from the seal"}.get(equal, "")  # type: ignore[call-overload]
    rows, size_bytes = result.get("rows"), result.get("bytes")
    words = f"{printable(str(path))}: {plural(int(str(rows)), 'row')}, {size(int(str(size_bytes)))}"
    session.terminal.show(
        done(words),
        aside(Text.assemble(("sha256  ", "quiet"), str(result.get("checksum")), f"  {seal}")),
    )
