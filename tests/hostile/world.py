"""The hostile suite: nothing that a table's owner wrote runs as anyone but its owner (promise 11).

`hooks.py` has every place for code that PostgreSQL gives to a role that is no superuser, `tables.py` the tables that
operations are done to, `trap.py` how a hook says whom it ran as, this file the roles and databases, `journeys.py` what an
operator does, `games.py` what the owner changes meanwhile. The tests:

- `test_traps.py`: each trap can report, no catalog is forgotten, and what PostgreSQL itself does not protect;
- `test_journeys.py`: every operation over every hook, by a superuser and by an operator who is none;
- `test_games.py`: what is swapped before, between and while an operator works, and what is left in his session;
- `test_deputies.py`: our definer functions called for somebody else, also from a superuser's ANALYZE;
- `test_combinations.py`, `test_two_owners.py`, `test_given_away.py`, `test_found_by_name.py`, `test_left_in_session.py`:
  several objects, owners or moments at once;
- `test_interfaces.py`: studio, command, psql and `zanith init`.

An attack that is refused is as good as one that is harmless. The tests read the server's log, so a failure names the
hook, the role and the statement. `pytest -n 2 tests/hostile` runs all; the last line counts the escapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from os import getpid

from tests import clusters
from tests.clusters import Server
from tests.conftest import Database, create_database, install_zanith
from tests.hostile import hooks
from tests.hostile.trap import TRAP

serial = count(1)
# The tables stand in so many schemas, so that as many journeys need but one database and its connections.
COPIES = tuple(f"harm{n}" for n in range(1, 13))

# The owner may do what a role of an application may, and was granted capture.
GROUND = """
CREATE SCHEMA harm AUTHORIZATION {owner};
CREATE SCHEMA harmless AUTHORIZATION {owner};
{copies}
GRANT USAGE ON SCHEMA harm TO PUBLIC;
GRANT CREATE ON SCHEMA public TO {owner};
GRANT CREATE ON DATABASE {database} TO {owner};
"""
# What `zanith init --operator ROLE` sets up; here it is done by hand.
OPERATOR = """
DO $do$
DECLARE found record;
BEGIN
    FOR found IN SELECT c.oid::regclass AS name, c.relkind FROM pg_class c
                 WHERE c.relnamespace IN ('zanith'::regnamespace, '_zanith_shadow'::regnamespace)
                   AND c.relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {operator}', found.name);
    END LOOP;
    FOR found IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'zanith'::regnamespace LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO {operator}', found.name);
    END LOOP;
END $do$;
ALTER SCHEMA zanith OWNER TO {operator};
ALTER SCHEMA _zanith_shadow OWNER TO {operator};
"""
# An owner who means no harm: what shows that operations are refused because of the hooks alone.
HARMLESS = """
CREATE TABLE harmless.plain (id int PRIMARY KEY, c int DEFAULT 7 CHECK (c > 0), d int);
INSERT INTO harmless.plain SELECT n, n, n FROM generate_series(1, 5) n;
CREATE INDEX ON harmless.plain (c);
"""


@dataclass(frozen=True)
class Cast:
    """The roles of one run on one server."""

    owner: str  # hostile: owns the schema harm
    victim: str  # another owner, who was granted capture too
    operator: str  # no superuser: owns Zanith's schemas, and is a member of the owners

    def user(self, operator: str) -> str:
        """Return the role of an operator of the tests: superuser, or operator."""
        return clusters.SUPERUSER if operator == "superuser" else self.operator


@contextmanager
def roles(server: Server) -> Iterator[Cast]:
    """Make the roles, and drop them when no database has anything of theirs any more."""
    stem = f"{getpid()}_{next(serial)}"
    cast = Cast(f"mallory_{stem}", f"alice_{stem}", f"operator_{stem}")
    for role in (cast.owner, cast.victim, cast.operator):
        server.psql("postgres", f"CREATE ROLE {role} LOGIN")
    server.psql("postgres", f"GRANT {cast.owner}, {cast.victim} TO {cast.operator}")
    try:
        yield cast
    finally:
        for role in (cast.operator, cast.owner, cast.victim):
            server.psql("postgres", f"DROP ROLE {role}")


def build(database: Database, cast: Cast, operator: str) -> None:
    """Fill a database in which Zanith is: the hostile owner's schema, and whom Zanith belongs to."""
    copies = "".join(f"CREATE SCHEMA {name} AUTHORIZATION {cast.owner};" for name in COPIES)
    names = {
        "owner": cast.owner,
        "operator": cast.operator,
        "database": database.name,
        "copies": copies,
    }
    database.psql(fill(GROUND, **names))
    if operator == "operator":
        database.psql(fill(OPERATOR, **names))
    grant_capture(database, cast.owner, cast.victim)
    script = fill(TRAP, **names) + hooks.TYPES + hooks.LITERALS
    for schema in ("harm", *COPIES):
        script += hooks.grounds(database.server.version, schema)
    database.psql(script + HARMLESS, user=cast.owner)


def fill(sql: str, **names: str) -> str:
    """Put names in their places; other braces stay."""
    for name, value in names.items():
        sql = sql.replace("{" + name + "}", value)
    return sql


def grant_capture(database: Database, *roles: str) -> None:
    """Do what `zanith init --grant ROLE` does."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from app.recovery.db.grants import grant_capture as grant

    async def work() -> None:
        async with database.connect() as connection:
            for role in roles:
                await grant(connection, role)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


@contextmanager
def template(server: Server, base: str, cast: Cast, operator: str) -> Iterator[Database]:
    """Lend a database with all hooks, to be cloned."""
    generator = create_database(server, base)
    database = next(generator)
    try:
        build(database, cast, operator)
        yield database
    finally:
        for _ in generator:
            pass


__all__ = ["Cast", "build", "fill", "grant_capture", "install_zanith", "roles", "template"]
