"""What the tests of an owner's search path share: tables whose code finds names by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba", None, "staff")
PATH = "app, public"
# Functions whose bodies name things without a schema, and which hide that they did not find them.
# Indexes stand before the rows: PostgreSQL 17 and later would build them without the path.
NORM = """
CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower(t)';
CREATE FUNCTION safe_norm(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN norm(t); EXCEPTION WHEN undefined_function THEN RETURN NULL; END $$;
"""
GENERATED = f"""{NORM}
CREATE TABLE p (id int PRIMARY KEY, name text,
    g text GENERATED ALWAYS AS (safe_norm(name)) STORED);
INSERT INTO p SELECT n, 'N' || n FROM generate_series(1, 50) n;
"""
PARTIAL = f"""{NORM}
CREATE FUNCTION is_vip(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN norm(t) = 'vip'; EXCEPTION WHEN undefined_function THEN RETURN false; END $$;
CREATE TABLE ux (id int PRIMARY KEY, tier text, k int);
CREATE INDEX ux_vip ON ux (k) WHERE is_vip(tier);
INSERT INTO ux
SELECT n, CASE WHEN n % 2 = 0 THEN 'VIP' ELSE 'none' END, n FROM generate_series(1, 1000) n;
"""
CITEXT = """
CREATE FUNCTION is_vip(e citext) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ select e = 'vip' $$;
CREATE TABLE ux (id int PRIMARY KEY, tier citext, k int);
CREATE INDEX ux_vip ON ux (k) WHERE is_vip(tier);
INSERT INTO ux
SELECT n, CASE WHEN n % 2 = 0 THEN 'VIP' ELSE 'none' END, n FROM generate_series(1, 1000) n;
"""
SLUGS = f"""{NORM}
CREATE TABLE cl (id int PRIMARY KEY, name text, slug text, extra text);
CREATE FUNCTION s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    BEGIN NEW.slug := norm(NEW.name); EXCEPTION WHEN OTHERS THEN NEW.slug := NULL; END;
    RETURN NEW; END $$;
CREATE TRIGGER s BEFORE UPDATE ON cl FOR EACH ROW EXECUTE FUNCTION s();
INSERT INTO cl SELECT n, 'N' || n, 'n' || n, 'x' || n FROM generate_series(1, 200) n;
"""
VIPS = f"SET search_path = {PATH}; SET enable_seqscan = off; SET enable_bitmapscan = off;"


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url, lock_timeout=timedelta(milliseconds=500))
    yield opened
    await opened.close()


@pytest.fixture(params=["superuser", "owner"])
def owner(request, create_role):
    """Whose schema it is: a superuser's, or that of a role which may do nothing else."""
    return "postgres" if request.param == "superuser" else create_role("app_owner")


def make(database, owner, sql, path=PATH):
    """Make a schema `app` of the owner's, who then runs the statements under this path."""
    database.psql(f"""CREATE SCHEMA app AUTHORIZATION {owner};
        GRANT USAGE, CREATE ON SCHEMA _zanith_shadow TO {owner};
        GRANT USAGE, CREATE ON SCHEMA public TO {owner}""")
    database.psql(f"SET ROLE {owner}; SET search_path = {path};{sql}")


def drop(database, call, path=PATH):
    """Capture by SQL in a session with this path; return the artifact's id."""
    answer = database.psql(f"SET search_path = {path}; SELECT zanith.{call}")
    return answer.splitlines()[-1]


def recorded(database, artifact):
    return database.psql(
        "SELECT definition ->> 'search_path' FROM zanith._zanith_migration_artifacts"
        f" WHERE id = '{artifact}'"
    )


def forget_path(database, artifact):
    """Make it one of an earlier version, which recorded no path."""
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET definition = definition - 'search_path'"
        f" WHERE id = '{artifact}'"
    )


def need_extension(database, *names):
    for name in names:
        there = database.psql(f"SELECT 1 FROM pg_available_extensions WHERE name = '{name}'")
        if not there:
            pytest.skip(f"this server has no extension {name}")
        database.psql(f"CREATE EXTENSION {name} SCHEMA public")


def vips(database):
    """How many rows the partial index has."""
    count = f"{VIPS} SELECT count(*) FROM app.ux WHERE is_vip(tier) AND k > 0"
    return int(database.psql(count).splitlines()[-1])


async def bring_back(route, database, db, artifact, directory):
    if route == "psql":
        restore_by_psql(database, artifact, directory)
    else:
        report = await restore(db, artifact, Choices(), DBA)
        assert not report.fidelity["different"]
        assert not report.fidelity["missing"]
