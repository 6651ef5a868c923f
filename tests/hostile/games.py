"""What a hostile owner does to a parked object, and to its live table, before and while an operator works on it.

`AFTER` are attacks between a capture and the operator's next command. In them {live} is the table, {parked} what is
parked (the archive, or the live table of a parked column), {name} its name alone, {column} the parked column's name
and {id} the artifact's. An attack that PostgreSQL or Zanith refuses is as good as one that is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from app.recovery.artifacts.model import Artifact
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from tests.hostile.journeys import Journey
from tests.hostile.tables import Table

TABLE = """
CREATE TABLE {live} (id int PRIMARY KEY, c int, d int);
INSERT INTO {live} SELECT n, n, n FROM generate_series(1, 5) n;
"""
LIVE = Table("target", schema="arena")

AFTER = {
    "view in place of what is parked": """
        ALTER TABLE {parked} RENAME TO gone;
        CREATE VIEW {parked} AS SELECT id, harm.tap('game', 1) AS {column}, 1 AS d FROM {schema}.gone;
        COMMENT ON VIEW {parked} IS 'zanith artifact {id}'""",
    "another table in place of what is parked": """
        ALTER TABLE {parked} RENAME TO gone;
        CREATE TABLE {parked} (id int PRIMARY KEY, {column} int, d int);
        CREATE INDEX ON {parked} (id) WHERE harm.note('game');
        INSERT INTO {parked} VALUES (1, 1, 1);
        COMMENT ON TABLE {parked} IS 'zanith artifact {id}'""",
    "view in place of the live table": """
        ALTER TABLE {live} RENAME TO gone_too;
        CREATE VIEW {live} AS SELECT id, harm.tap('game', 1) AS d FROM arena.gone_too""",
    "schema renamed": """
        ALTER SCHEMA arena RENAME TO gone_schema; CREATE SCHEMA arena;
        CREATE VIEW {live} AS SELECT 1 AS id, harm.tap('game', 1) AS d""",
    "rules": """
        CREATE RULE r1 AS ON DELETE TO {parked} DO ALSO INSERT INTO harm.sink VALUES (harm.tap('game', 1));
        CREATE RULE r2 AS ON UPDATE TO {parked} DO ALSO INSERT INTO harm.sink VALUES (harm.tap('game', 1));
        CREATE RULE r3 AS ON INSERT TO {parked} DO ALSO INSERT INTO harm.sink VALUES (harm.tap('game', 1))""",
    "policy": """
        CREATE POLICY p ON {parked} USING (harm.note('game'));
        ALTER TABLE {parked} ENABLE ROW LEVEL SECURITY; ALTER TABLE {parked} FORCE ROW LEVEL SECURITY""",
    "trigger": """
        CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON {parked} FOR EACH ROW EXECUTE FUNCTION harm."on before row trigger"();
        ALTER TABLE {parked} ENABLE ALWAYS TRIGGER a;
        CREATE TRIGGER b BEFORE DELETE ON {parked} FOR EACH STATEMENT EXECUTE FUNCTION harm."on statement trigger"();
        ALTER TABLE {parked} ENABLE ALWAYS TRIGGER b""",
    "index": "CREATE INDEX ON {parked} (id) WHERE harm.note('game'); CREATE INDEX ON {parked} (harm.tap('game', id))",
    "statistics": "CREATE STATISTICS arena.st ON (harm.tap('game', id)) FROM {parked}; ANALYZE {parked}",
    "generated column": "ALTER TABLE {parked} ADD g int GENERATED ALWAYS AS (harm.tap('game', id)) STORED",
    "check": "ALTER TABLE {parked} ADD CHECK (harm.tap('game', id) > 0) NOT VALID",
    "type of the key": """
        ALTER TABLE {parked} ALTER COLUMN id TYPE harm.kind USING CASE WHEN id = 1 THEN 'a'::harm.kind
            WHEN id = 2 THEN 'b' ELSE 'x' END""",
    "domain of the key": "ALTER TABLE {parked} ALTER COLUMN id TYPE harm.positive",
    "type of the column": "ALTER TABLE {parked} ALTER COLUMN {column} TYPE harm.kind USING 'a'",
    "domain of the column": "ALTER TABLE {parked} ALTER COLUMN {column} TYPE harm.pair USING '(1,y)'",
    "type of the live key": "ALTER TABLE {live} ALTER COLUMN id TYPE harm.other_kind USING 'a'",
    "partition in place of it": """
        ALTER TABLE {parked} RENAME TO gone;
        CREATE TABLE {parked} (id int, {column} int, d int) PARTITION BY RANGE (harm.tap('game', id));
        CREATE TABLE arena.one PARTITION OF {parked} DEFAULT;
        CREATE INDEX ON arena.one (id) WHERE harm.note('game');
        COMMENT ON TABLE {parked} IS 'zanith artifact {id}'""",
    "live hooks": """
        CREATE INDEX ON {live} (d) WHERE harm.note('game');
        CREATE INDEX ON {live} (harm.tap('game', d));
        CREATE STATISTICS arena.live ON (harm.tap('game', d)) FROM {live};
        ALTER TABLE {live} ADD g int GENERATED ALWAYS AS (harm.tap('game', d)) STORED;
        CREATE TRIGGER a BEFORE UPDATE ON {live} FOR EACH ROW EXECUTE FUNCTION harm."on before row trigger"();
        CREATE RULE r2 AS ON UPDATE TO {live} DO ALSO INSERT INTO harm.sink VALUES (harm.tap('game', 1))""",
    "follow-up in advance": """
        CREATE TABLE _zanith_shadow."_zanith_follow_{id}" (id int PRIMARY KEY);
        COMMENT ON TABLE _zanith_shadow."_zanith_follow_{id}" IS 'zanith unfinished restore {id}';
        CREATE INDEX ON _zanith_shadow."_zanith_follow_{id}" (id) WHERE harm.note('game');
        CREATE FUNCTION _zanith_shadow."_zanith_follow_{id}"() RETURNS trigger LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM harm.tell('game'); RETURN NEW; END $f$""",
    "a table with the comment of another's artifact": """
        CREATE VIEW arena.claimed AS SELECT harm.tap('game', 1) AS id;
        COMMENT ON VIEW arena.claimed IS 'zanith artifact {id}';
        CREATE TABLE arena.claimed_too (id int); CREATE INDEX ON arena.claimed_too (id) WHERE harm.note('game');
        COMMENT ON TABLE arena.claimed_too IS 'zanith artifact {id}'""",
}


def words(artifact: Artifact) -> dict[str, str]:
    """Return what stands in the places of an attack."""
    schema, table, column = artifact.physical_schema or "", artifact.physical_name or "", "c"
    if artifact.artifact_type == "soft_drop_column":
        table, column = LIVE.name, table
    return {
        "live": LIVE.full,
        "schema": quote(schema),
        "parked": f"{quote(schema)}.{quote(table)}",
        "column": quote(column),
        "id": artifact.id,
    }


async def attack(database: Any, owner: str, script: str) -> list[str]:
    """Run an attack as the owner, statement by statement; return what was refused."""
    refused = []
    async with database.connect(user=owner) as connection:
        for statement in script.split(";\n"):
            try:
                await connection.execute(statement)
            except asyncpg.PostgresError as exc:
                refused.append(f"{exc}")
    return refused


async def work_on(journey: Journey, artifact: Artifact) -> None:
    """Do all that an operator might do next; what destroys comes last."""
    await journey.everywhere()
    await journey.look(artifact, close=True)
    await journey.erase(artifact)
    if artifact.artifact_type == "archive_column":
        await journey.restore(artifact, "restore --online", online=True, fire_triggers=True)
    await journey.restore(artifact, close=True)
    await journey.purge(artifact)


async def swapped_while(
    database: Any,
    db: Database,
    owner: str,
    first: str,
    then: str,
    work: Callable[[], Awaitable[Any]],
) -> bool:
    """Lock something as the owner, let the work wait for it, swap it, let the work go on.

    Return whether the work did wait.
    """
    async with database.connect(user=owner) as mallory, database.connect() as watcher:
        await mallory.execute("BEGIN")
        try:
            for statement in filter(str.strip, first.split(";\n")):
                await mallory.execute(statement)
        except asyncpg.PostgresError:  # he may not even begin
            await mallory.execute("ROLLBACK")
            await work()
            return False
        task = asyncio.ensure_future(work())
        waited = False
        for _ in range(300):
            waited = bool(await watcher.fetchval(WAITS))
            if waited or task.done():
                break
            await asyncio.sleep(0.01)
        with suppress(asyncpg.PostgresError):
            for statement in filter(str.strip, then.split(";\n")):
                await mallory.execute(statement)
        with suppress(asyncpg.PostgresError):
            await mallory.execute("COMMIT")
        await task
        return waited


WAITS = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'zanith%'"""
