"""The statements of a migration, run on a shadow, observed and compared with the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from app.migrate.apply.limits import READ_OTHERWISE, is_read_otherwise
from app.migrate.apply.prepare import Prepared, Unit
from app.migrate.apply.steps import is_ours
from app.migrate.observe.catalog import Address, Catalog, read_catalog
from app.migrate.observe.compare import Predicted, compare, read_names
from app.migrate.observe.look import Observed, look, read_scans
from app.migrate.risk import Operation
from app.migrate.shadow.failure import StatementFailed, locate
from app.migrate.shadow.model import SQL, Shadow
from app.migrate.shadow.rights import changes_server, is_of_server, rights_for, roles_in
from app.recovery.db.connections import Connection


class WholeServer(StatementFailed):
    """A statement would change more than the shadow: its transaction is rolled back."""


@dataclass(frozen=True)
class Statement:
    """A statement that ran: the prediction, what PostgreSQL did, and where that is more."""

    line: int
    column: int
    text: str
    operations: Sequence[Operation]
    observed: Observed
    under: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "column": self.column,
            "statement": self.text,
            "operations": [one.to_json() for one in self.operations],
            "observed": self.observed.to_json(),
            "under_predicted": list(self.under),
        }


@dataclass
class Runner:
    """Runs migrations on a shadow, each in a session of its own."""

    shadow: Shadow
    new: set[Address] = field(default_factory=set)
    """What the pending migrations created: it is new on the live database too."""
    _catalog: Catalog = field(default_factory=lambda: Catalog({}))

    async def run(self, prepared: Prepared) -> None:
        """Run a migration without observing it. StatementFailed if one of its statements fails."""
        await self._run(prepared, None)

    async def observe(self, prepared: Prepared) -> list[Statement]:
        """Run a migration, and return what each of its statements did."""
        found: list[Statement] = []
        await self._run(prepared, found)
        return found

    async def _run(self, prepared: Prepared, found: list[Statement] | None) -> None:
        if self.shadow.create_roles is not None:
            statements = [unit.steered.statement for unit in prepared.units]
            await self.shadow.create_roles(roles_in(statements))
        connection = await self.shadow.connect()
        self._catalog = await read_catalog(connection) if found is not None else Catalog({})
        try:
            for group in prepared.groups:
                alone = not prepared.transactional and len(group) == 1 and group[0].alone
                if alone:
                    self._require_no_commit(prepared, group[0])
                    await self._one(connection, prepared, group[0], found)
                    continue
                async with connection.transaction():
                    for unit in group:
                        await self._one(connection, prepared, unit, found)
                        await self._stay_here(connection, prepared, unit)
        except asyncpg.PostgresError as exc:  # at COMMIT, such as a deferred constraint
            unit = prepared.units[-1]
            raise locate(prepared.script.path, unit.steered, exc) from exc
        finally:
            await connection.close(timeout=5)

    def _require_no_commit(self, prepared: Prepared, unit: Unit) -> None:
        """What commits by itself could change the whole server, and could not be rolled back."""
        if self.shadow.elevate is None and unit.runs_code:
            raise _whole_server(prepared, unit, "commits, so that nothing could be rolled back")

    async def _stay_here(self, connection: Connection, prepared: Prepared, unit: Unit) -> None:
        changed = await changes_server(self.shadow, connection)
        if changed:
            raise _whole_server(prepared, unit, f"changes {', '.join(changed)}")

    async def _one(
        self,
        connection: Connection,
        prepared: Prepared,
        unit: Unit,
        found: list[Statement] | None,
    ) -> None:
        if is_of_server(self.shadow, unit.steered.statement):
            raise _whole_server(prepared, unit, "is about more than this database")
        if found is None:
            await self._execute(connection, prepared, unit)
        else:
            found.append(await self._observed(connection, prepared, unit))

    async def _execute(self, connection: Connection, prepared: Prepared, unit: Unit) -> None:
        try:
            async with rights_for(self.shadow, connection, unit.steered.statement):
                if is_read_otherwise(connection, unit.sql):
                    place = (unit.line, unit.steered.column)
                    raise StatementFailed(prepared.script.path, *place, *READ_OTHERWISE)
                await connection.execute(unit.sql)
        except asyncpg.PostgresError as exc:
            raise locate(prepared.script.path, unit.steered, exc) from exc

    async def _observed(self, connection: Connection, prepared: Prepared, unit: Unit) -> Statement:
        before = replace(self._catalog, new=frozenset(self.new))
        path = await connection.fetchval(SQL["path"])
        names = await read_names(connection, before, path)
        scans = await read_scans(connection)
        await self._execute(connection, prepared, unit)
        whole = unit.steered.statement.kind == "transaction_stmt"
        observed, after = await look(connection, before, scans, whole=whole)
        observed = replace(observed, scanned=self._known(before, observed.scanned))
        self._catalog = after
        self.new |= after.entries.keys() - before.entries.keys()
        operations = unit.planned.operations if unit.planned else ()
        under: tuple[str, ...] = ()
        if unit.planned is not None:
            predicted = Predicted.of(operations, [unit.steered.statement.node])
            under = tuple(compare(names, predicted, self._of_others(before, observed)))
        text = unit.steered.text
        line, column = unit.line, unit.steered.column
        return Statement(line, column, text, operations, observed, under)

    def _of_others(self, catalog: Catalog, observed: Observed) -> Observed:
        """Return what it did to objects that are not Zanith's, and that no migration created."""
        new = {catalog.find(address) for address in catalog.new}
        dropped = tuple(
            one
            for one in observed.dropped
            if replace(one, part=False) not in new and not is_ours(one)
        )
        return replace(
            observed,
            locks={one: mode for one, mode in observed.locks.items() if not is_ours(one)},
            rewritten=frozenset(one for one in observed.rewritten - new if not is_ours(one)),
            scanned=frozenset(one for one in observed.scanned if not is_ours(one)),
            dropped=dropped,
        )

    def _known(self, catalog: Catalog, scanned: frozenset[Any]) -> frozenset[Any]:
        """Leave out the tables that pending migrations created: they are empty everywhere."""
        new = {catalog.find(address) for address in self.new if not address[2]}
        return scanned - new


def _whole_server(prepared: Prepared, unit: Unit, what: str) -> WholeServer:
    return WholeServer(
        prepared.script.path,
        unit.line,
        unit.steered.column,
        f"the statement {what}, and did not run: other databases of the server would notice",
        "verify this migration on the embedded server",
    )
