"""Directories of migrations, as each tool lays them out: what is to be run, in which order."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from app.migrate.read.files import check_name, exists, is_file, read_file
from app.migrate.read.migrations import LONGEST_ID, Layout, Migration, Script
from app.recovery.core.errors import NotFound, WrongUsage


def read_migrations(
    path: Path, layout: Layout | None = None, *, may_be_empty: bool = False
) -> tuple[Layout, list[Migration]]:
    """Return the layout of a directory or file, and its migrations in the order of their run.

    Raises NotFound if the path does not exist, and WrongUsage if the layout is not known, if two
    migrations have one version, or if a file cannot be read.
    """
    check_name(path)
    if not exists(path):
        raise NotFound(f"{path} does not exist", hint="name a directory of migrations, or a file")
    if not path.is_dir():
        return read_one(path, layout)
    if not may_be_empty and is_empty(path):
        raise WrongUsage(
            f"there are no migrations in {path} yet",
            hint=f"zanith migrate generate NAME --dir {path} makes the first",
        )
    found = layout or find_layout(path)
    require_directories(path, found)
    migrations = _READERS[found](path)
    if not migrations and not may_be_empty:
        raise WrongUsage(
            f"{path} has no migrations of the layout {found}", hint=f"name another: {_LAYOUTS}"
        )
    _check_ids(path, migrations, numbered=found in _NUMBERED)
    _check_unread(path, found, migrations)
    return found, migrations


def is_empty(directory: Path) -> bool:
    """Return whether a directory has nothing in it but hidden files."""
    return not any(path for path in directory.iterdir() if not path.name.startswith("."))


def require_directories(directory: Path, layout: Layout) -> None:
    """Raise WrongUsage for the layout file, which no directory has: its files have no order."""
    if layout is Layout.FILE:
        raise WrongUsage(
            f"{directory} is a directory, and the layout file is one file or the standard input",
            hint="name the file as PATH; to apply it, save it as VERSION_name.sql in the directory,"
            " and leave --layout out",
        )


def read_one(
    path: Path, layout: Layout | None = None, data: bytes | None = None
) -> tuple[Layout, list[Migration]]:
    """Return one file, or data of this name, as a migration.

    Marks of goose, dbmate and Zanith divide it.
    """
    data = _bytes(path) if data is None else data
    if layout is Layout.GOOSE or (layout is None and _GOOSE.search(data)):
        return Layout.GOOSE, [_read_marked(path, _GOOSE, data)]
    if layout is Layout.DBMATE or (layout is None and _DBMATE.search(data)):
        return Layout.DBMATE, [_read_marked(path, _DBMATE, data)]
    up, down = _split(path, _ZANITH_DOWN, data)
    return layout or Layout.FILE, [Migration(path.stem, up, down)]


def find_layout(directory: Path) -> Layout:
    """Return the layout of a directory; WrongUsage if it is none of those that are known."""
    for layout, is_it in _SIGNS.items():
        if is_it(directory):
            return layout
    raise WrongUsage(
        f"{directory} has no layout of migrations that Zanith knows",
        hint=f"name it with --layout: {_LAYOUTS}",
    )


# ------------------------------------------------------------------------------------- by file name

_VERSIONED = re.compile(r"(?P<version>\d+)[_-]?(?P<name>.*)\.sql", re.IGNORECASE | re.DOTALL)
_FLYWAY = re.compile(r"(?P<kind>[VUR])(?P<version>[\d._]*?)__(?P<name>.+)\.sql", re.DOTALL)


def _read_zanith(directory: Path) -> list[Migration]:
    files = _files(directory)
    found = []
    for name, path in files.items():
        if not _VERSIONED.fullmatch(name) or name.endswith((".down.sql", ".up.sql")):
            continue
        up, down = _split(path, _ZANITH_DOWN)
        beside = files.get(f"{path.stem}.down.sql")
        if beside is not None and down is not None:
            raise WrongUsage(
                f"{path} has a down part, and {beside.name} exists too", hint="keep one of them"
            )
        found.append(Migration(path.stem, up, _whole(beside) if beside else down))
    return sorted(found, key=_by_number)


def _read_supabase(directory: Path) -> list[Migration]:
    files = _files(directory).items()
    found = [Migration(path.stem, _whole(path)) for name, path in files if _VERSIONED.match(name)]
    return sorted(found, key=_by_number)


def _read_up_down(directory: Path) -> list[Migration]:
    files = _files(directory)
    found = []
    for name, path in files.items():
        if name.endswith(".up.sql"):
            stem = name.removesuffix(".up.sql")
            down = files.get(f"{stem}.down.sql")
            found.append(Migration(stem, _whole(path), _whole(down) if down else None))
        elif name.endswith(".down.sql") and f"{name.removesuffix('.down.sql')}.up.sql" not in files:
            up = name.replace(".down.sql", ".up.sql")
            raise WrongUsage(f"{path} has no {up} beside it", hint="add it, or remove this file")
    return sorted(found, key=_by_number)


def _read_flyway(directory: Path) -> list[Migration]:
    undo: dict[tuple[int, ...], Path] = {}
    versioned: list[tuple[tuple[int, ...], Migration]] = []
    repeatable: list[Migration] = []
    for path in _below(directory):
        match = _FLYWAY.fullmatch(path.name)
        if match is None:
            continue
        version = _numbers(match["version"])
        if match["kind"] == "R":
            repeatable.append(Migration(path.stem, _whole(path), repeatable=True))
        elif match["kind"] == "U":
            undo[version] = path
        else:
            versioned.append((version, Migration(path.stem, _whole(path))))
    _check_versions(directory, versioned)
    ordered = [
        Migration(one.id, one.up, _whole(undo[version]) if version in undo else None)
        for version, one in sorted(versioned, key=lambda pair: pair[0])
    ]
    return [*ordered, *sorted(repeatable, key=lambda one: one.id.split("__", 1)[1])]


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.split(r"[._]", text) if part]
    while len(parts) > 1 and parts[-1] == 0:  # Flyway: 1 and 1.0 are one version
        parts.pop()
    return tuple(parts)


def _check_versions(directory: Path, found: list[tuple[tuple[int, ...], Migration]]) -> None:
    seen: dict[tuple[int, ...], Migration] = {}
    for version, migration in found:
        if version in seen:
            raise _duplicate(directory, seen[version].up.path, migration.up.path)
        seen[version] = migration


# ------------------------------------------------------------------------------------ by directory


def _read_prisma(directory: Path) -> list[Migration]:
    return [
        Migration(path.parent.name, _whole(path))
        for path in _sorted(directory.glob("*/migration.sql"))
    ]


def _read_drizzle(directory: Path) -> list[Migration]:
    journal = directory / "meta" / "_journal.json"
    try:
        entries = json.loads(_bytes(journal))["entries"]
        tags = [str(entry["tag"]) for entry in sorted(entries, key=lambda entry: entry["idx"])]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WrongUsage(
            f"{journal} is not a journal of drizzle", hint="generate it again with drizzle-kit"
        ) from None
    found = []
    for tag in tags:
        path = _named(directory, f"{tag}.sql", str(journal))
        if "/" in tag or not is_file(path):
            raise _missing(journal, tag, path)
        found.append(Migration(tag, _whole(path)))
    return found


_SQITCH_CHANGE = re.compile(r"(?P<name>[^\s@%#\[][^\s\[]*)\s*(?P<needs>\[[^\]]*\])?\s.*")
_SQITCH_TAG = re.compile(r"@(?P<tag>\S+)\s.*")


def _read_sqitch(directory: Path) -> list[Migration]:
    plan = directory / "sqitch.plan"
    entries = list(_read_plan(plan))
    found = []
    for place, name in enumerate(entries):
        if name.startswith("@"):
            continue
        later = entries[place + 1 :]
        reworked = name in later
        # sqitch names the files of a reworked change by the first tag after it
        tag = next((entry for entry in later if entry.startswith("@")), "") if reworked else ""
        up = _named(directory / "deploy", f"{name}{tag}.sql", str(plan))
        if not is_file(up):
            raise _missing(plan, name, up)
        down = directory / "revert" / f"{name}{tag}.sql"
        script = _whole(down) if is_file(down) else None
        found.append(Migration(f"{name}{tag}", _whole(up), script))
    return found


def _read_plan(plan: Path) -> Iterator[str]:
    """Yield the changes of a plan, and its tags with their @, in order."""
    for number, line in enumerate(_bytes(plan).decode("utf-8", "replace").splitlines(), 1):
        text = line.split("#", 1)[0].strip()
        if not text or text.startswith("%"):
            continue
        match = _SQITCH_TAG.fullmatch(text + " ")
        if match is not None:
            yield f"@{match['tag']}"
            continue
        match = _SQITCH_CHANGE.fullmatch(text + " ")
        if match is None:
            raise WrongUsage(f"{plan}:{number}: this is no change of sqitch", hint="correct it")
        yield match["name"]


def _named(directory: Path, name: str, source: str) -> Path:
    """Return the path of a file that another one names: below the directory, or WrongUsage.

    A link that stands in the directory may lead out of it: who can put one there can put a file.
    """
    parts = name.split("/")
    try:
        longest = max(len(part.encode("utf-8")) for part in parts)
    except UnicodeEncodeError:
        longest = 0
    if not 0 < longest <= _LONGEST_NAME or not _INSIDE.isdisjoint(parts) or "\0" in name:
        shown = ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…")
        raise WrongUsage(
            f"{source} names {shown}, which no file below {directory} can have as its name",
            hint="correct it",
        )
    return directory / name


_INSIDE = frozenset({"", ".", ".."})  # an absolute path begins with an empty part
_LONGEST_NAME = 255
_SHOWN = 100


def _missing(source: Path, name: str, path: Path) -> NotFound:
    return NotFound(f"{source} names {name}, and {path} does not exist", hint="restore the file")


# ------------------------------------------------------------------------------- by marks in a file

_ZANITH_DOWN = re.compile(rb"(?im)^[ \t]*--[ \t]*zanith:[ \t]*down[ \t]*\r?$")
_GOOSE = re.compile(rb"(?im)^[ \t]*--[ \t]*\+goose[ \t]+(up|down|no[ \t]+transaction)\b.*$")
_DBMATE = re.compile(rb"(?im)^[ \t]*--[ \t]*migrate:(up|down)\b(.*)$")


def _read_goose(directory: Path) -> list[Migration]:
    return [
        _read_marked(path, _GOOSE)
        for path in sorted(_files(directory).values(), key=_by_number_of_file)
        if _GOOSE.search(_bytes(path))
    ]


def _read_dbmate(directory: Path) -> list[Migration]:
    return [
        _read_marked(path, _DBMATE)
        for path in sorted(_files(directory).values(), key=_by_number_of_file)
        if _DBMATE.search(_bytes(path))
    ]


def _read_marked(path: Path, mark: re.Pattern[bytes], data: bytes | None = None) -> Migration:
    """Return a file whose directions begin with a mark; what stands before the first is neither."""
    data = _bytes(path) if data is None else data
    transaction = True
    starts: list[tuple[str, int]] = []
    for match in mark.finditer(data):
        word = b" ".join(match[1].lower().split()).decode()
        rest = match[2].lower() if match.re.groups > 1 else b""
        if word == "no transaction" or (word == "up" and b"transaction:false" in rest):
            transaction = False
        if word in {"up", "down"}:
            starts.append((word, match.end()))
    parts: dict[str, Script] = {}
    for (word, start), end in zip(starts, [*(at for _, at in starts[1:]), len(data)], strict=True):
        if word in parts:
            raise WrongUsage(f"{path} has two parts for {word}", hint="keep one of them")
        parts[word] = Script(path, _only(data, start, end))
    if "up" not in parts:
        raise WrongUsage(f"{path} has no part for up", hint="add the mark for it")
    return Migration(path.stem, parts["up"], parts.get("down"), transaction)


def _split(
    path: Path, mark: re.Pattern[bytes], data: bytes | None = None
) -> tuple[Script, Script | None]:
    data = _bytes(path) if data is None else data
    match = mark.search(data)
    if match is None:
        return Script(path, data), None
    up = Script(path, _only(data, 0, match.start()))
    return up, Script(path, _only(data, match.end(), len(data)))


def _only(data: bytes, start: int, end: int) -> bytes:
    """Return the bytes of a part in their lines: all others are blanks."""
    return _blank(data[:start]) + data[start:end] + _blank(data[end:])


def _blank(data: bytes) -> bytes:
    return re.sub(rb"[^\r\n]", b" ", data)


# ------------------------------------------------------------------------------------------- files


def _whole(path: Path) -> Script:
    return Script(path, _bytes(path))


def _bytes(path: Path) -> bytes:
    data = read_file(path)
    # a byte order mark would hide a mark in the first line: three blanks keep every offset
    return data.replace(codecs.BOM_UTF8, b"   ", 1) if data.startswith(codecs.BOM_UTF8) else data


def _files(directory: Path) -> dict[str, Path]:
    """Return the SQL files of a directory by name, without those below it.

    A link to a file that does not exist is one of them: to leave it out would skip a migration.
    """
    return {path.name: path for path in _sorted(directory.glob("*.sql")) if not path.is_dir()}


def _below(directory: Path) -> Iterable[Path]:
    return (path for path in _sorted(directory.rglob("*.sql")) if not path.is_dir())


def _sorted(paths: Iterable[Path]) -> list[Path]:
    found = sorted(paths)
    for path in found:
        check_name(path)
    return found


# 0042, 20260101120000, or with dots and a number of its own: 00.05.00_01
_LEADING = re.compile(r"\d+(?:(?:\.\d+)+(?:_\d+)?)?")


def _by_number(migration: Migration) -> tuple[tuple[int, ...], str]:
    return _number_of(migration.id), migration.id


def _by_number_of_file(path: Path) -> tuple[tuple[int, ...], str]:
    return _number_of(path.stem), path.stem


def _number_of(name: str) -> tuple[int, ...]:
    leading = _LEADING.match(name)
    return tuple(int(part) for part in re.split(r"[._]", leading[0])) if leading else ()


def _check_ids(directory: Path, migrations: list[Migration], *, numbered: bool) -> None:
    """WrongUsage where two migrations have one version: nobody knows which comes first."""
    seen: dict[tuple[int, ...] | str, Migration] = {}
    for migration in migrations:
        if len(migration.id) > LONGEST_ID:
            raise WrongUsage(
                f"{migration.up.path} has a name of more than {LONGEST_ID} characters",
                hint="give it a shorter name",
            )
        version = (numbered and _number_of(migration.id)) or migration.id
        if version in seen:
            raise _duplicate(directory, seen[version].up.path, migration.up.path)
        seen[version] = migration


def _check_unread(directory: Path, layout: Layout, migrations: list[Migration]) -> None:
    """WrongUsage where a file looks like a migration, and none of those that were read is in it.

    It would never run, and nothing would say so.
    """
    scripts = (script for one in migrations for script in (one.up, one.down) if script)
    read = {script.path for script in scripts}
    for path in _sorted(directory.iterdir()):
        if path in read or path.is_dir() or not _LOOKS_LIKE_ONE.fullmatch(path.name):
            continue
        raise WrongUsage(
            f"{path} looks like a migration, and the layout {layout} does not read it",
            hint=f"{_NAMED_AS[layout]}; or move it to another directory; or, if the directory has"
            " another layout, name that with --layout",
        )


def _duplicate(directory: Path, one: Path, other: Path) -> WrongUsage:
    if one == other:
        return WrongUsage(f"{directory} names {one} twice", hint="remove one of the entries")
    names = " and ".join(str(path.relative_to(directory)) for path in (one, other))
    return WrongUsage(f"{names} have the same version", hint="give one of them another version")


_READERS: dict[Layout, Callable[[Path], list[Migration]]] = {
    Layout.SQITCH: _read_sqitch,
    Layout.DRIZZLE: _read_drizzle,
    Layout.PRISMA: _read_prisma,
    Layout.FLYWAY: _read_flyway,
    Layout.UP_DOWN: _read_up_down,
    Layout.GOOSE: _read_goose,
    Layout.DBMATE: _read_dbmate,
    Layout.SUPABASE: _read_supabase,
    Layout.ZANITH: _read_zanith,
}
_LAYOUTS = ", ".join(_READERS)
# How a file becomes one that the layout reads.
_NAMED_AS: dict[Layout, str] = {
    Layout.SQITCH: "add it with sqitch add",
    Layout.DRIZZLE: "add it to meta/_journal.json with drizzle-kit",
    Layout.PRISMA: "put it into a directory of its own, as migration.sql",
    Layout.FLYWAY: "give it a name such as V42__name.sql",
    Layout.UP_DOWN: "give it a name such as 42_name.up.sql",
    Layout.GOOSE: "write -- +goose Up above its statements",
    Layout.DBMATE: "write -- migrate:up above its statements",
    Layout.SUPABASE: "give it a name such as 20260102030405_name.sql",
    Layout.ZANITH: "give it a name such as 0042_name.sql",
}
# A number, also with a letter before it as Flyway has it, or an ending for one direction.
_LOOKS_LIKE_ONE = re.compile(
    r"([VURB]?\d.*|[RB]__.*|.*\.(up|down|undo))\.sql", re.IGNORECASE | re.DOTALL
)
# The layouts in which the number alone decides: two files with one number have no order.
_NUMBERED = frozenset({Layout.ZANITH, Layout.UP_DOWN, Layout.GOOSE, Layout.DBMATE, Layout.SUPABASE})


def _any(directory: Path, pattern: re.Pattern[bytes]) -> bool:
    return any(pattern.search(_bytes(path)) for path in _files(directory).values())


# The first sign that is there decides; those that only one tool has come first.
_SIGNS: dict[Layout, Callable[[Path], bool]] = {
    Layout.SQITCH: lambda path: (path / "sqitch.plan").is_file(),
    Layout.DRIZZLE: lambda path: (path / "meta" / "_journal.json").is_file(),
    Layout.PRISMA: lambda path: any(path.glob("*/migration.sql")),
    Layout.FLYWAY: lambda path: any(_FLYWAY.fullmatch(file.name) for file in _below(path)),
    Layout.UP_DOWN: lambda path: any(path.glob("*.up.sql")),
    Layout.GOOSE: lambda path: _any(path, _GOOSE),
    Layout.DBMATE: lambda path: _any(path, _DBMATE),
    Layout.SUPABASE: lambda path: path.parent.name == "supabase" and bool(_files(path)),
    Layout.ZANITH: lambda path: any(_VERSIONED.fullmatch(name) for name in _files(path)),
}
