"""Which database a command talks to: options of psql, connection strings, services and profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.connection import GIVEN, Given, combine
from app.recovery.db.conninfo import parameters
from tests.acceptance.command import Result, done, zanith

pytestmark = pytest.mark.newest


def where(result: Result) -> str:
    """Return the database that a command with --json says it was on."""
    name: str = result.json["server"]["database"]
    return name


STATUS = ("status", "--json")


def test_the_options_of_psql_and_strings_of_libpq(database, tmp_path):
    server, name = database.server, database.name
    place = {"host": str(server.directory), "port": str(server.port), "user": "postgres"}
    options = ("-h", place["host"], "-p", place["port"], "-U", "postgres")
    pairs = " ".join(f"{key}='{value}'" for key, value in place.items())
    elsewhere = f"postgresql://postgres:secret@nowhere.invalid:1/{name}"
    services = tmp_path / "services"
    services.write_text(f"[mine]\n{pairs}\ndbname={name}\n".replace(" ", "\n").replace("'", ""))
    for args, env in (
        ((*options, "-d", name), {}),
        (("--host", place["host"], "--port", place["port"], "--username", "postgres",
          "--dbname", name), {}),
        ((*options,), {"ZANITH_DATABASE_URL": elsewhere}),
        ((*options,), {"PGDATABASE": name, "PGHOST": "nowhere.invalid"}),
        (("-d", f"{pairs} dbname={name}"), {"ZANITH_DATABASE_URL": elsewhere}),
        (("-h", "nowhere.invalid", "-d", f"{pairs} dbname={name}"), {}),
        (("-d", name), {"ZANITH_DATABASE_URL": f"{pairs} dbname=postgres"}),
        ((), {"ZANITH_DATABASE_URL": f"{pairs} dbname={name}"}),
        (("--database-url", database.url), {"ZANITH_DATABASE_URL": elsewhere}),
        ((), {"PGSERVICE": "mine", "PGSERVICEFILE": str(services)}),
        (("-d", "service=mine"), {"PGSERVICEFILE": str(services)}),
    ):  # fmt: skip
        assert where(done(*STATUS, *args, **env)) == name, (args, env)
    broken = zanith(*STATUS, "-d", "host=db secret")
    assert (broken.code, broken.error["code"]) == (2, "usage")
    assert "secret" not in broken.out


def test_h_is_a_host_where_there_is_one_and_else_help():
    assert zanith("list", "-h").code == 2
    assert "--help" in done("list", "--help").out
    assert "Usage: zanith recover" in done("recover", "-h").out
    assert "Usage: zanith studio" in done("studio", "-h").out


def test_a_password_stays_with_its_server():
    base = "postgresql://ana:secret@db.example/shop"
    for parts, kept in (
        ({}, True),
        ({"user": "ana"}, True),
        ({"host": "other.example"}, False),
        ({"user": "ben"}, False),
        ({"port": "1"}, False),
    ):
        GIVEN.set(Given(parts))
        for name in (None, "other"):
            found = parameters(combine(name, base) or "")
            assert ("password" in found) == kept, parts
            assert found["dbname"] == name or "shop"
    GIVEN.set(Given())


@pytest.fixture
def config(tmp_path: Path, database) -> Path:
    """A configuration file with a profile of the database and one of nowhere."""
    file = tmp_path / "zanith" / "config.toml"
    file.parent.mkdir()
    file.write_text(
        f'[profiles.mine]\ndatabase_url = "{database.url}"\nretention = "3d"\n'
        '[profiles.away]\ndatabase_url = "postgresql://nowhere.invalid/x"\n'
        '[profiles.wrong]\ndatabase = "x"\n'
        '[profiles.late]\nretention = "soon"\n'
    )
    file.chmod(0o600)
    return file


def test_profiles(database, config):
    home = {"XDG_CONFIG_HOME": str(config.parent.parent)}
    away = "postgresql://nowhere.invalid/y"
    assert where(done(*STATUS, "--profile", "mine", **home)) == database.name
    assert where(done(*STATUS, "--profile", "mine", url=away, **home)) == database.name
    assert where(done(*STATUS, ZANITH_PROFILE="mine", ZANITH_CONFIG=str(config))) == database.name
    assert zanith(*STATUS, url=away, ZANITH_PROFILE="mine", **home).code == 1
    assert where(done(*STATUS, url=database.url, ZANITH_PROFILE="away", **home)) == database.name
    database.psql("CREATE TABLE t (id int)")
    drop = ("drop", "table", "t", "--strategy", "soft", "--yes")
    done(*drop, "--profile", "mine", **home)
    assert database.psql(
        "SELECT expires_at - created_at < '4 days' FROM zanith._zanith_migration_artifacts"
    ).strip() in {"t", "true"}
    for name, told in (
        ("none", "there is no profile none"),
        ("wrong", "the profile wrong sets database, which is not a setting"),
        ("late", "ZANITH_RETENTION is wrong"),
    ):
        result = zanith(*STATUS, "--profile", name, **home)
        assert result.code == 2
        assert told in result.error["message"]
    assert "late" in result.error["detail"]
    config.write_text("[profiles")
    assert "is not valid TOML" in zanith(*STATUS, "--profile", "mine", **home).error["message"]
    config.unlink()
    assert "no file" in zanith(*STATUS, "--profile", "mine", **home).error["message"]


def test_a_file_that_others_may_read_gets_a_warning_where_it_holds_a_password(database, config):
    given = ("status", "--profile", "mine")
    home = {"XDG_CONFIG_HOME": str(config.parent.parent)}
    config.chmod(0o644)
    assert "warning" not in done(*given, **home).err
    url = f"{database.url}&password=secret"
    config.write_text(f'[profiles.mine]\ndatabase_url = "{url}"\n')
    told = done(*given, **home).err
    assert "chmod 600" in told
    assert "secret" not in told
    config.chmod(0o600)
    assert done(*given, **home).err == ""
