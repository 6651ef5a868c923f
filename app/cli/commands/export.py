"""`zanith recover export`: stream an artifact's data to a file or to stdout."""

import asyncio
import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.text import Text

from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Jobs, Json, Reference
from app.cli.progress import Follow, watching
from app.cli.render.layout import marked
from app.cli.render.outcome import exported
from app.cli.session import Session, run
from app.cli.streams import require_stdout, takes_data
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.compression import EXTENSIONS
from app.recovery.core.errors import WrongUsage
from app.recovery.jobs import model as jobs
from app.recovery.rows.export import (
    ExportRequest,
    announce,
    export_to_file,
    filename,
    stream_export,
)

app = typer.Typer()


class Format(StrEnum):
    """The forms in which rows leave."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    SPREADSHEET = "spreadsheet"


class Compression(StrEnum):
    """Compression of the stream."""

    GZIP = "gzip"
    ZSTD = "zstd"


@app.command("export")
def export_command(
    reference: Reference,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, jsonl, json or spreadsheet. Default: the suffix of --output, else csv. csv "
            "is canonical: sha256sum prints the checksum. spreadsheet is csv in which nothing "
            "runs as a formula.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|-",
            help="A file, or - for stdout. Default: stdout if it is a file or a pipe; on a"
            " terminal a file named after the object, in ZANITH_EXPORT_DIR, else the current"
            " directory.",
        ),
    ] = None,
    compress: Annotated[
        Compression | None,
        typer.Option(
            "--compress", help="Compress the data. Default: the suffix of --output, .gz or .zst."
        ),
    ] = None,
    jobs_at_once: Jobs = 1,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Export an artifact's rows, with a manifest beside the file.

    A file gets its name only when it is complete. CSV is the canonical form that
    was sealed: sha256sum of an uncompressed CSV prints the recorded checksum.
    If the rows changed since the seal, the file stays and the exit code is 4.
    With the data on stdout, the summary is on stderr.

    Example:

    $ zanith recover export orders.legacy_code --output codes.csv
    $ zanith recover export orders.legacy_code --output codes.jsonl.zst
    $ zanith recover export orders.legacy_code > codes.csv
    """
    if output == "-" and as_json:
        raise WrongUsage(
            "--json and --output - both write to stdout", hint="export to a file: --output FILE"
        )
    to_stdout = output == "-" or (output is None and not as_json and takes_data())
    if to_stdout:
        require_stdout()
    form, packed = _form(output, output_format, compress)

    async def body(session: Session) -> None:
        artifact = await get_artifact(session.db, reference)
        request = ExportRequest(
            artifact_id=artifact.id,
            format=form,
            compress=packed,
            jobs=jobs_at_once,
        )
        with watching(session.terminal, f"Exporting {artifact.object_name}") as follow:
            if to_stdout:
                result = await _to_stdout(session, request, follow)
            else:
                name = filename(artifact, request.format, request.compress)
                path = _place(output, session, name)
                job = await export_to_file(
                    session.db, request, path, session.actor, on_progress=follow
                )
                result = {"file": str(path), **(job.result or {})}
        if to_stdout:
            session.terminal.say(exported("stdout", result))
        else:
            session.terminal.show(exported(result["file"], result))
        if as_json:
            job_id = (result.get("manifest") or {}).get("export")
            session.terminal.emit({**result, "job_id": job_id})
        _stop_if_different(session, artifact.object_name, result)

    run(body, url=database_url, json=as_json)


_FORMATS = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".json": Format.JSON}
_NOT_WRITTEN = {".bz2": "bzip2", ".xz": "xz", ".lz4": "lz4", ".br": "brotli", ".zip": "zip"}
"""Suffixes of compressions that we do not write, and the programs that do."""
_OTHER_FORMATS = frozenset({".xlsx", ".xls", ".ods", ".parquet", ".avro", ".xml", ".sql", ".tsv"})


def _form(
    output: str | None, chosen: Format | None, compress: Compression | None
) -> tuple[str, str | None]:
    """Return the format and the compression: as told, else as the file's suffixes say."""
    suffixes = [end.lower() for end in Path(output).suffixes] if output and output != "-" else []
    packed = next((way for way, end in EXTENSIONS.items() if end and end in suffixes[-1:]), None)
    if packed and compress and compress.value != packed:
        raise WrongUsage(
            f"{output} is the name of a file of {packed}, and --compress says {compress.value}",
            hint=f"name it with {EXTENSIONS[compress.value]}, or leave --compress out",
        )
    ending = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    _refuse_ending(str(output), ending)
    named = _FORMATS.get(ending)
    form = chosen or named or Format.CSV
    if named not in {None, form} and (named, form) != (Format.CSV, Format.SPREADSHEET):
        raise WrongUsage(
            f"{output} is the name of a {named} file, and --format says {form}",
            hint="give the file another suffix, or leave --format out",
        )
    return form.value, packed or (compress.value if compress else None)


def _refuse_ending(output: str, ending: str) -> None:
    """Raise WrongUsage where a file's name promises what is not written."""
    if program := _NOT_WRITTEN.get(ending):
        pipe = f"zanith recover export … --output - | {program} > {shlex.quote(output)}"
        hint = "name it .gz or .zst" + ("" if program == "zip" else f", or use a pipe: {pipe}")
        raise WrongUsage(f"{output}: an export is not compressed with {program}", hint=hint)
    if ending in _OTHER_FORMATS:
        raise WrongUsage(
            f"{output}: an export is written as csv, jsonl or json",
            hint="a spreadsheet reads csv: name it .csv, and pass --format spreadsheet",
        )


def _place(output: str | None, session: Session, name: str) -> Path:
    """The file to write: as told, or named after the object, in the directory for exports."""
    path = Path(output) if output else session.settings.export_dir or Path()
    path = path / name if path.is_dir() else path
    if path.exists() and not path.is_file():
        raise WrongUsage(f"{path} is not a file", hint="write --output - for stdout")
    return path


async def _to_stdout(session: Session, request: ExportRequest, follow: Follow) -> dict[str, Any]:
    job = await announce(session.db, request, session.actor)
    # Written beside the event loop: a slow reader must not stop the job's heartbeat.
    stream = cast("AsyncGenerator[bytes]", stream_export(session.db, job.id, on_progress=follow))
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(sys.stdout.buffer.write, chunk)
    await asyncio.to_thread(sys.stdout.buffer.flush)
    return (await jobs.get(session.db, job.id)).result or {}


def _stop_if_different(session: Session, name: str, result: dict[str, Any]) -> None:
    """Exit 4 where what was exported is not what was sealed, so that a script learns of it."""
    if result.get("equals_seal") is False:
        words = f"{printable(name)} has CHANGED since it was sealed: the export has these changes"
        session.terminal.say(marked(Text("✗", style="bad"), words))
        stop(Exit.REFUSED)
