"""Whatever a role has set: each operation works, or its error names the setting and the way out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused, ZanithError
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify

DBA = Actor("dba", None, "staff")
HARMLESS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "idle_in_transaction_session_timeout": "1ms",
    "row_security": "off",
}
BINDING = {
    "default_transaction_read_only": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "transaction_timeout": "10ms",
}
NAMES = ("captured", "sealed", "planned", "restored", "exported", "purged")


async def outcomes(database, url, directory) -> dict[str, ZanithError | None]:
    """Run each operation with the settings of the role; return what each raised."""
    made = {}
    free = await Database.open(database.url)
    for name in NAMES:
        database.psql(
            f'CREATE TABLE public.{name} (id int PRIMARY KEY, "it\'s" text,'
            " c text DEFAULT E'a\\\\b');"
            f"INSERT INTO public.{name} SELECT g, g, 'x' || g FROM generate_series(1, 200) g"
        )
        if name == "sealed":
            made[name] = database.psql("SELECT zanith.archive_column('public.sealed', 'c')")
        elif name != "captured":
            request = CaptureRequest("archive_column", f"public.{name}", "c")
            made[name] = (await capture(free, request, DBA)).id
    await free.close()
    found: dict[str, ZanithError | None] = {}
    try:
        db = await Database.open(url, lock_retries=0, lock_timeout=timedelta(seconds=2))
    except ZanithError as exc:
        return {"open": exc}
    file = directory / "rows.csv"
    operations = {
        "capture": lambda: capture(
            db, CaptureRequest("archive_column", "public.captured", "c"), DBA
        ),
        "seal": lambda: seal(db, made["sealed"], DBA),
        "list": lambda: list_artifacts(db),
        "plan": lambda: plan_restore(db, made["planned"]),
        "verify": lambda: verify(db, made["planned"], DBA),
        "restore": lambda: restore(db, made["restored"], Choices(), DBA),
        "export": lambda: export_to_file(db, ExportRequest(made["exported"], "csv"), file, DBA),
        "purge": lambda: purge(db, made["purged"], DBA, confirm="public.purged.c"),
    }
    for name, operation in operations.items():
        try:
            await operation()
            found[name] = None
        except ZanithError as exc:
            found[name] = exc
    await db.close()
    return found


def role_with(database, create_role, name, value) -> str:
    """Return the address of a superuser for whom a setting is set."""
    role = create_role("bound", options="LOGIN SUPERUSER")
    database.psql(f"ALTER ROLE {role} SET {name} = '{value}'")
    return str(database.url_of(role))


@pytest.mark.each_version
@pytest.mark.parametrize("name", list(HARMLESS))
async def test_a_setting_that_changes_nothing(database, create_role, tmp_path, name):
    url = role_with(database, create_role, name, HARMLESS[name])
    found = await outcomes(database, url, tmp_path)
    assert len(found) == 8
    assert {key: error.message for key, error in found.items() if error} == {}
    assert database.psql("SELECT count(*) FROM public.restored WHERE c = 'x' || id") == "200"


@pytest.mark.each_version
@pytest.mark.parametrize("name", list(BINDING))
async def test_a_setting_that_binds_is_named_with_the_way_out(
    database, create_role, tmp_path, name
):
    if name == "transaction_timeout" and database.server.version < 17:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    url = role_with(database, create_role, name, BINDING[name])
    found = await outcomes(database, url, tmp_path)
    if name != "lock_timeout":  # nobody else holds a lock here
        assert any(found.values())
    for operation, error in found.items():
        said = f"{error.message} {error.detail} {error.hint}" if error else f"ALTER ROLE {name}"
        assert f"{name}" in said, (operation, said)
        assert "ALTER ROLE" in said, (operation, said)


async def test_a_role_without_temporary_objects_is_told_the_privilege(database, create_role):
    owner = create_role("owner")
    database.psql(
        f"REVOKE TEMPORARY ON DATABASE {database.name} FROM PUBLIC;"
        f"GRANT CREATE ON SCHEMA public TO {owner};"
        f"GRANT USAGE, CREATE ON SCHEMA _zanith_shadow TO {owner}; SET ROLE {owner};"
        "CREATE FUNCTION public.good(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "CREATE TABLE public.t (id int PRIMARY KEY, c int DEFAULT 1 CHECK (public.good(c)));"
        "INSERT INTO public.t VALUES (1, 1)"
    )
    db = await Database.open(database.url)
    try:
        request = CaptureRequest("archive_column", "public.t", "c")
        with pytest.raises(NotPermitted) as refused:
            await capture(db, request, DBA)
        assert "GRANT TEMPORARY ON DATABASE" in (refused.value.hint or "")
        database.psql(f"GRANT TEMPORARY ON DATABASE {database.name} TO {owner}")
        artifact = await capture(db, request, DBA)
        database.psql(f"REVOKE TEMPORARY ON DATABASE {database.name} FROM {owner}")
        with pytest.raises(NotPermitted) as refused:
            await restore(db, artifact.id, Choices(), DBA)
        assert "GRANT TEMPORARY ON DATABASE" in (refused.value.hint or "")
    finally:
        await db.close()


async def test_a_value_that_postgresql_cannot_print_is_told(database):
    """The smallest such value has 512 MB; it is made in the server and never leaves it."""
    database.psql("CREATE TABLE public.t (id int PRIMARY KEY, b bytea)")
    db = await Database.open(database.url)
    try:
        database.psql(
            "ALTER TABLE public.t ALTER b SET COMPRESSION pglz;"
            "INSERT INTO public.t SELECT 1, convert_to(repeat('a', 536870912), 'UTF8')"
        )
        artifact = await capture(db, CaptureRequest("archive_table", "public.t"), DBA)
        assert artifact.sealed_at is None
        with pytest.raises(Refused) as refused:
            await seal(db, artifact.id, DBA)
        assert "512 MB" in (refused.value.hint or "")
    finally:
        await db.close()
