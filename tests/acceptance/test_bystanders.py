"""Those who watch a table from outside: subscribers of its changes, and event triggers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clusters import CommandFailed, Server
from tests.conftest import Database, serial
from tests.oracle.judges import capture_call, restore_by_psql

T = (
    "CREATE TABLE t (id int PRIMARY KEY, a text, c text DEFAULT 'd');"
    "INSERT INTO t VALUES (1, 'a', 'c1'), (2, 'b', 'c2');"
)


@dataclass
class Subscriber:
    """A database that subscribes to table t of another one."""

    database: Database
    slot: str

    def has(self, expected: str, query: str = "SELECT id, a, c FROM t ORDER BY id") -> None:
        """Wait until it has these rows; a worker that failed is started again after five seconds."""
        ends = time.monotonic() + 60
        while (found := self.database.psql(query).replace("\n", " ")) != expected:
            assert time.monotonic() < ends, f"{found!r}, not {expected!r}"
            time.sleep(0.2)


@pytest.fixture
def subscriber(server: Server, database: Database) -> Iterator[Subscriber]:
    """One that has what `database` has: slot and subscription are made apart, on one server."""
    name = f"subscriber_{next(serial)}"
    database.psql(T + f"CREATE PUBLICATION {name} FOR TABLE t")
    database.psql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
    server.create_database(name)
    other = Database(server, name)
    try:
        other.psql(T.partition("INSERT")[0])
        other.psql(
            f"CREATE SUBSCRIPTION {name} CONNECTION 'host={server.directory} port={server.port} "
            f"user=postgres dbname={database.name}' PUBLICATION {name} "
            f"WITH (create_slot = false, slot_name = '{name}')"
        )
        found = Subscriber(other, name)
        found.has("1|a|c1 2|b|c2")
        yield found
    finally:
        other.psql(
            f"ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"
        )
        other.psql(f"DROP SUBSCRIPTION {name}")
        while (
            database.psql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{name}'")
            == "t"
        ):
            time.sleep(0.1)
        database.psql(f"SELECT pg_drop_replication_slot('{name}')")
        server.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")


def capture(database: Database, strategy: str, column: str | None) -> str:
    return database.psql(capture_call(strategy, "t", column, "published_ok => true"))


def test_a_subscriber_does_not_notice_an_archived_column(
    subscriber: Subscriber, database: Database, tmp_path: Path
) -> None:
    """As after DROP: it goes on, keeps the values it has, and gets those that are filled in again."""
    artifact = capture(database, "archive_column", "c")
    database.psql("INSERT INTO t VALUES (3, 'x'); UPDATE t SET a = 'y' WHERE id = 1")
    subscriber.has("1|y|c1 2|b|c2 3|x|d")
    restore_by_psql(database, artifact, tmp_path)
    database.psql("UPDATE t SET c = 'new' WHERE id = 2")
    subscriber.has("1|y|c1 2|b|new 3|x|d")


def test_a_subscriber_wants_a_column_of_the_parked_name(
    subscriber: Subscriber, database: Database, tmp_path: Path
) -> None:
    """It stops at what was changed meanwhile, as the capture says first; given the column, it goes on."""
    with pytest.raises(CommandFailed, match="until they have a column with the parked name"):
        database.psql(capture_call("soft_drop_column", "t", "c", ""))
    artifact = capture(database, "soft_drop_column", "c")
    database.psql("INSERT INTO t (id, a) VALUES (3, 'x')")
    restore_by_psql(database, artifact, tmp_path)
    database.psql("INSERT INTO t VALUES (4, 'z', 'c4')")
    time.sleep(1)
    subscriber.has("1|a|c1 2|b|c2")
    subscriber.database.psql(f"ALTER TABLE t ADD _zanith_dropped_c_{artifact} text")
    subscriber.has("1|a|c1 2|b|c2 3|x|d 4|z|c4")
    subscriber.database.psql(f"ALTER TABLE t DROP _zanith_dropped_c_{artifact}")
    database.psql("INSERT INTO t VALUES (5, 'z', 'c5')")
    subscriber.has("1|a|c1 2|b|c2 3|x|d 4|z|c4 5|z|c5")


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
def test_a_subscriber_of_a_parked_table_goes_on_after_a_refresh(
    strategy: str, subscriber: Subscriber, database: Database, tmp_path: Path
) -> None:
    """The loss `subscribers` says so: the table is published again, the subscriber has to ask."""
    artifact = capture(database, strategy, None)
    restore_by_psql(database, artifact, tmp_path)
    subscriber.database.psql(
        f"ALTER SUBSCRIPTION {subscriber.slot} REFRESH PUBLICATION WITH (copy_data = false)"
    )
    database.psql("INSERT INTO t VALUES (3, 'x', 'c3')")
    subscriber.has("1|a|c1 2|b|c2 3|x|c3")


WATCH = """
CREATE TABLE seen (tag text, what text);
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        INSERT INTO public.seen SELECT TG_TAG, object_identity FROM pg_event_trigger_dropped_objects();
    ELSE
        INSERT INTO public.seen SELECT TG_TAG, object_identity FROM pg_event_trigger_ddl_commands();
    END IF;
END $$;
CREATE EVENT TRIGGER ended ON ddl_command_end EXECUTE FUNCTION watch();
CREATE EVENT TRIGGER dropped ON sql_drop EXECUTE FUNCTION watch();
"""
STRATEGIES = (
    ("soft_drop_column", "c"),
    ("archive_column", "c"),
    ("soft_drop_table", None),
    ("archive_table", None),
)


@pytest.mark.parametrize(("strategy", "column"), STRATEGIES)
def test_event_triggers_see_the_commands_and_are_in_no_way(
    strategy: str, column: str | None, database: Database, tmp_path: Path
) -> None:
    """An audit of DDL by event triggers goes on: each command of a capture and a restore is in it."""
    database.psql(T + "CREATE INDEX i ON t (c); CREATE VIEW v AS SELECT c FROM t;" + WATCH)
    before = database.schema()
    artifact = database.psql(capture_call(strategy, "t", column, "on_dependents => 'cascade'"))
    seen = database.psql("SELECT DISTINCT tag FROM seen ORDER BY 1").split("\n")
    assert {"ALTER TABLE", "DROP VIEW"} <= set(seen), seen
    restore_by_psql(database, artifact, tmp_path)
    assert "CREATE VIEW" in database.psql("SELECT DISTINCT tag FROM seen")
    if strategy != "archive_column":  # where the column stands last
        assert database.schema() == before
    assert database.psql("SELECT id, a, c FROM t ORDER BY id") == "1|a|c1\n2|b|c2"


@pytest.mark.parametrize(("strategy", "column"), STRATEGIES)
def test_an_event_trigger_that_forbids_it_stops_the_capture_whole(
    strategy: str, column: str | None, database: Database
) -> None:
    """A trigger that forbids changes on Fridays forbids captures too, and nothing is half done."""
    database.psql(
        T + "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'not on a Friday'; END$$;"
        "CREATE EVENT TRIGGER friday ON ddl_command_end WHEN TAG IN ('ALTER TABLE')"
        " EXECUTE FUNCTION forbid()"
    )
    before = database.schema()
    with pytest.raises(CommandFailed, match="not on a Friday"):
        database.psql(capture_call(strategy, "t", column, ""))
    assert database.schema() == before
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"
