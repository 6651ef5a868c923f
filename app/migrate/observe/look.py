"""What one statement did: the difference between the catalogs before and after it, and its locks.

A look in an open transaction reads only what this transaction changed, which costs milliseconds. It
does not see what others commit meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.migrate.observe.catalog import (
    LOCKABLE,
    RELATIONS,
    SCHEMAS,
    SQL,
    Address,
    Catalog,
    Entry,
    Object,
    own_path,
    read_entries,
    read_locks,
)
from app.migrate.risk import Mode
from app.recovery.db.connections import Connection

OUTSIDE = "locks: PostgreSQL released them, because the statement ran outside a transaction"
NOT_ASKED = "scans"


@dataclass(frozen=True)
class Rename:
    """An object under its old and its new name; a move to another schema is one too.

    Both are `part` if PostgreSQL renamed it with that of a partitioned table or parent.
    """

    before: Object
    after: Object

    def to_json(self) -> dict[str, Any]:
        return {"before": self.before.to_json(), "after": self.after.to_json()}


@dataclass(frozen=True)
class Observed:
    """What a statement did to relations and other objects.

    `locks` are those that the transaction did not hold before, on relations that other sessions
    see. A relation is `rewritten` if it has a new file.
    """

    locks: Mapping[Object, Mode]
    rewritten: frozenset[Object] = frozenset()
    scanned: frozenset[Object] = frozenset()
    created: tuple[Object, ...] = ()
    dropped: tuple[Object, ...] = ()
    renamed: tuple[Rename, ...] = ()
    unobserved: tuple[str, ...] = ()
    """What could not be observed, and why."""

    def to_json(self) -> dict[str, Any]:
        locks = sorted((table.name, mode) for table, mode in self.locks.items())
        return {
            "locks": [{"table": table, "mode": mode.word} for table, mode in locks],
            "rewritten": sorted(table.name for table in self.rewritten),
            "scanned": sorted(table.name for table in self.scanned),
            "created": [one.to_json() for one in self.created],
            "dropped": [one.to_json() for one in self.dropped],
            "renamed": [one.to_json() for one in self.renamed],
            "unobserved": list(self.unobserved),
        }


async def read_scans(connection: Connection) -> dict[int, int]:
    """Return how often this session read each table so far: what `look` compares with."""
    async with own_path(connection):
        return {row["oid"]: row["scans"] for row in await connection.fetch(SQL["scans"])}


async def look(
    connection: Connection,
    before: Catalog,
    scans: Mapping[int, int] | None = None,
    *,
    whole: bool = False,
    named: Collection[Sequence[str]] | None = None,
) -> tuple[Observed, Catalog]:
    """Return what happened since the catalog was read, and the catalog of now.

    With `scans`, which are those before the statement, it looks for scans too. `whole` reads all
    objects anew: after ROLLBACK TO, which takes back what a look has seen. It needs no rights.

    Outside a transaction, others may commit meanwhile. With `named`, only the relations that the
    statement names count then, with what belongs to them.
    """
    inside = connection.is_in_transaction()
    async with own_path(connection) as transaction:
        held, objects = await read_locks(connection) if inside else (frozenset(), frozenset())
        if whole or not inside or _is_another(before.transaction, transaction):
            rows = await read_entries(connection, None, None)
            gone: Iterable[Address] = before.entries.keys() - rows.keys()
            if named is not None and not inside:
                kept = _of_named(before, rows, named)
                rows = {address: entry for address, entry in rows.items() if address in kept}
                gone = [address for address in gone if address in kept]
        else:
            rows = {}
            if transaction is not None:
                relations = sorted({oid for oid, _ in held})
                rows = await read_entries(connection, transaction, relations)
            gone = await _gone(connection, before, held, objects)
        found = _Difference(before, rows, gone)
        created = await _mark_parts(connection, found.created)
        now = before.changed(found.rows)
        renamed = await _mark_inherited(connection, before, found.renamed(now))
        read = set()
        if scans is not None:
            counts = {row["oid"]: row["scans"] for row in await connection.fetch(SQL["scans"])}
            read = {oid for oid, count in counts.items() if count > scans.get(oid, 0)}
    after = replace(
        now,
        transaction=transaction if inside else None,
        held=held,
        new=(before.new | found.created.keys()) - found.gone if inside else frozenset(),
    )
    unobserved = [*([] if inside else [OUTSIDE])]
    observed = Observed(
        _new_locks(before, after),
        frozenset(_relations(before, found.rewritten)),
        frozenset(_relations(before, read)),
        tuple(created.values()),
        tuple(found.dropped()),
        tuple(renamed.values()),
        tuple(unobserved),
    )
    return observed, after


def _of_named(
    before: Catalog, rows: Mapping[Address, Entry | None], named: Collection[Sequence[str]]
) -> set[Address]:
    """Return the relations that have one of the names, with what belongs to them."""
    known = {**before.entries, **{key: one for key, one in rows.items() if one is not None}}
    texts = {tuple(parts[-2:]) for parts in named}

    def is_named(entry: Entry) -> bool:
        schema = known.get((SCHEMAS, entry.schema, 0))
        return (entry.name,) in texts or (schema is not None and (schema.name, entry.name) in texts)

    relations = {
        address[1]
        for address, entry in known.items()
        if address[0] == RELATIONS and not address[2] and is_named(entry)
    }
    return {
        address
        for address, entry in known.items()
        if entry.parent in relations or (address[0] == RELATIONS and address[1] in relations)
    }


def _is_another(before: int | None, now: int | None) -> bool:
    """Whether another transaction than the one before is open: that one may have committed."""
    return before is not None and before != now


def _new_locks(before: Catalog, after: Catalog) -> dict[Object, Mode]:
    """Return the strongest new lock on each relation that was there before the transaction."""
    locks: dict[Object, Mode] = {}
    for oid, mode in after.held - before.held:
        address = (RELATIONS, oid, 0)
        relation = before.find(address)
        if relation is None or relation.kind not in LOCKABLE or address in before.new:
            continue
        locks[relation] = max(mode, locks.get(relation, mode))
    return locks


def _relations(catalog: Catalog, oids: Iterable[int]) -> Iterator[Object]:
    for oid in oids:
        relation = catalog.relation(oid)
        if relation is not None:
            yield relation


async def _gone(
    connection: Connection,
    before: Catalog,
    held: Iterable[tuple[int, Mode]],
    objects: Iterable[tuple[int, int]],
) -> list[Address]:
    """Return what is dropped: PostgreSQL locks each object exclusively before it drops it."""
    tables = {(RELATIONS, oid) for oid, mode in held if mode is Mode.ACCESS_EXCLUSIVE}
    known = [one for one in sorted({*tables, *objects}) if (*one, 0) in before.entries]
    if not known:
        return []
    classes, oids = zip(*known, strict=True)
    rows = await connection.fetch(SQL["gone"], list(classes), list(oids))
    return [(row["class"], row["object"], 0) for row in rows]


async def _mark_parts(
    connection: Connection, created: Mapping[Address, Object]
) -> dict[Address, Object]:
    """Mark the created objects that PostgreSQL made as part of another."""
    asked = [address for address, one in created.items() if not one.part and not address[2]]
    if not asked:
        return dict(created)
    classes, oids = [one[0] for one in asked], [one[1] for one in asked]
    rows = await connection.fetch(SQL["parts"], classes, oids)
    parts = {(row["class"], row["object"], 0) for row in rows}
    return {
        address: replace(one, part=True) if address in parts else one
        for address, one in created.items()
    }


async def _mark_inherited(
    connection: Connection, before: Catalog, renamed: dict[Address, Rename]
) -> dict[Address, Rename]:
    """Mark the columns and constraints that were renamed because those of a parent were."""
    tables = {address: _table_of(before, address) for address in renamed}
    if len({table for table in tables.values() if table}) < 2:
        return renamed
    rows = await connection.fetch(SQL["inheritance"])
    above = {(row["below"], row["top"]) for row in rows}
    names = {(tables[address], *_words(one)) for address, one in renamed.items()}

    def is_inherited(address: Address) -> bool:
        words = _words(renamed[address])
        return any((tables[address], top) in above and same == words for top, *same in names)

    return {
        address: Rename(replace(one.before, part=True), replace(one.after, part=True))
        if is_inherited(address)
        else one
        for address, one in renamed.items()
    }


def _words(one: Rename) -> list[str]:
    return [one.before.kind, one.before.names[-1], one.after.names[-1]]


def _table_of(catalog: Catalog, address: Address) -> int | None:
    """Return the OID of the table that a column, a constraint or a trigger belongs to."""
    if address[2]:
        return address[1]
    owner = catalog.owner(address)
    return owner[1] if owner and owner[0] == RELATIONS else None


class _Difference:
    """What the rows of now say against the catalog before."""

    def __init__(
        self, before: Catalog, rows: Mapping[Address, Entry | None], gone: Iterable[Address]
    ) -> None:
        self._before = before
        known = before.entries
        dropped = {address for address, entry in rows.items() if entry is None}
        self.gone = {address for address in (*gone, *dropped) if address in known}
        tables = {address[1] for address in self.gone if address[0] == RELATIONS and not address[2]}
        if tables:  # their columns are gone with them
            self.gone |= {one for one in known if one[0] == RELATIONS and one[1] in tables}
        changed = {
            address: entry
            for address, entry in rows.items()
            if entry is not None and known.get(address) != entry
        }
        self.rows: dict[Address, Entry | None] = {**changed, **dict.fromkeys(self.gone)}
        after = before.changed(self.rows)
        self.created: dict[Address, Object] = {}
        new = changed.keys() - known.keys()
        for address in sorted(new):
            one = after.find(address)
            if one is not None:
                inside = _within(after, address) in new
                self.created[address] = replace(one, part=True) if inside else one
        self._moved = [
            one for one in changed if one in known and _is_moved(known[one], changed[one])
        ]
        self.rewritten = [
            address[1]
            for address, entry in changed.items()
            if address in known and known[address].file not in {0, entry.file}
        ]

    def dropped(self) -> Iterator[Object]:
        for address in sorted(self.gone):
            one = self._before.find(address)
            if one is not None:
                inside = _within(self._before, address) in self.gone
                yield replace(one, part=True) if inside else one

    def renamed(self, after: Catalog) -> dict[Address, Rename]:
        found = {}
        for address in sorted(self._moved):
            one, other = self._before.find(address), after.find(address)
            if one is not None and other is not None:
                found[address] = Rename(one, other)
        return found


def _within(catalog: Catalog, address: Address) -> Address | None:
    """Return the object that this one comes and goes with."""
    return (*address[:2], 0) if address[2] else catalog.owner(address)


def _is_moved(one: Entry, other: Entry) -> bool:
    return (one.name, one.schema, one.arguments) != (other.name, other.schema, other.arguments)
