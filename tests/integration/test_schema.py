"""What `zanith init` installs: once, again, upgraded, refused and removed."""

from __future__ import annotations

import asyncpg
import pytest

from app.recovery.approvals.deciding import approve, request, require
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, NotInstalled, NotPermitted, Refused
from app.recovery.core.four_eyes import Change
from app.recovery.db import grants, installer
from app.recovery.db.database import Database
from app.recovery.db.schema_files import SchemaFile
from tests.clusters import CommandFailed
from tests.guard.twin import turn_guard_off, turn_guard_on

FUNCTION = """CREATE OR REPLACE FUNCTION zanith.twice(n integer) RETURNS integer
LANGUAGE sql AS 'SELECT n * 2';"""


@pytest.fixture
def extra_file(monkeypatch):
    """Return a function that makes one more function file part of the engine."""
    real = installer.files()

    def add(text: str | None, path: str = "functions/twice.sql") -> None:
        more = () if text is None else (SchemaFile(path, text),)
        monkeypatch.setattr(installer, "files", lambda: (*real, *more))

    return add


@pytest.mark.smoke
async def test_install_is_done_once(bare_database):
    async with bare_database.connect() as connection:
        applied = await installer.install(connection)
        assert "0001_bookkeeping.sql" in applied
        assert await installer.install(connection) == []
        assert (await installer.status(connection)).current


async def test_printed_script_installs_the_same(bare_database, database):
    bare_database.psql(installer.print_sql())
    assert bare_database.pg_dump("--schema-only") == database.pg_dump("--schema-only")
    async with bare_database.connect() as connection:
        assert await installer.install(connection) == []


async def test_upgraded_equals_fresh(database, bare_database, extra_file):
    newer = FUNCTION.replace("n integer", "n integer, times integer DEFAULT 2")
    async with database.connect() as old, bare_database.connect() as fresh:
        extra_file(FUNCTION)
        await installer.install(old)
        extra_file(newer)
        assert await installer.install(old) == ["functions/twice.sql"]
        await installer.install(fresh)
        assert database.schema() == bare_database.schema()
        extra_file(None)
        assert await installer.install(old) == ["functions/twice.sql"]
        assert await old.fetchval("SELECT to_regproc('zanith.twice')") is None


@pytest.mark.parametrize(
    "newer",
    [
        FUNCTION.replace("* 2", "* 3"),
        FUNCTION.replace("(n integer)", "(n integer, m integer DEFAULT 1)"),
        FUNCTION.replace("(n integer) RETURNS integer", "(n integer) RETURNS bigint").replace(
            "n * 2", "n::bigint * 2"
        ),
    ],
    ids=["body", "argument", "result"],
)
async def test_replaced_function_keeps_grants(database, create_role, extra_file, newer):
    role = create_role()
    async with database.connect() as connection:
        extra_file(FUNCTION)
        await installer.install(connection)
        await connection.execute("REVOKE ALL ON FUNCTION zanith.twice FROM PUBLIC")
        await connection.execute(f"GRANT EXECUTE ON FUNCTION zanith.twice TO {role}")
        extra_file(newer)
        await installer.install(connection)
        acl = await connection.fetchval(
            "SELECT array_agg(grantee::regrole::text) FROM pg_proc, aclexplode(proacl)"
            " WHERE proname = 'twice' AND grantee <> proowner"
        )
        assert acl == [role]


async def test_function_in_use_is_not_torn_out(database, extra_file):
    async with database.connect() as connection:
        extra_file(FUNCTION)
        await installer.install(connection)
        await connection.execute("CREATE VIEW public.user_of AS SELECT zanith.twice(1)")
        extra_file(None)
        with pytest.raises(Refused) as refused:
            await installer.install(connection)
        assert refused.value.sqlstate == "2BP01"
        assert await connection.fetchval("SELECT twice FROM public.user_of") == 2


async def test_broken_file_changes_nothing_and_is_named(database, extra_file):
    async with database.connect() as connection:
        extra_file(FUNCTION + " SELECT nonsense;", "functions/broken.sql")
        with pytest.raises(NotFound, match=r"functions/broken\.sql: column"):
            await installer.install(connection)
        assert await connection.fetchval("SELECT to_regproc('zanith.twice')") is None


async def test_the_guard_lets_an_upgrade_change_own_tables(database, extra_file):
    turn_guard_on(database)
    table = "zanith._zanith_jobs"
    change = f"ALTER TABLE {table} DROP COLUMN worker; ALTER TABLE {table} ADD COLUMN worker text;"
    async with database.connect() as connection:
        extra_file(change + " DROP INDEX zanith.jobs_one_live_change;", "9998_x.sql")
        await installer.install(connection)
        artifacts = "SELECT count(*) FROM zanith._zanith_migration_artifacts"
        assert await connection.fetchval(artifacts) == 0
    with pytest.raises(CommandFailed, match="would delete for good: column"):
        database.psql(f"ALTER TABLE {table} DROP COLUMN worker")
    turn_guard_off(database)


async def test_newer_database_is_refused(database):
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO zanith._zanith_schema (file, hash, engine) VALUES ('9999_x.sql','','0')"
        )
        with pytest.raises(Refused, match="newer version"):
            await installer.install(connection)
        await connection.execute("DELETE FROM zanith._zanith_schema WHERE file = '9999_x.sql'")
        await connection.execute("UPDATE zanith._zanith_schema SET engine = '99.0'")
        with pytest.raises(Refused, match="newer version"):
            await installer.install(connection)


async def test_edited_numbered_file_is_refused(database):
    async with database.connect() as connection:
        await connection.execute(
            "UPDATE zanith._zanith_schema SET hash = '' WHERE file = '0001_bookkeeping.sql'"
        )
        with pytest.raises(Refused, match="edited after"):
            await installer.install(connection)


async def test_require_installed_says_what_to_run(bare_database):
    db = await Database.open(bare_database.url)
    try:
        with pytest.raises(NotInstalled) as missing:
            await installer.require_installed(db)
        assert missing.value.hint == "run zanith init"
        async with db.acquire() as connection:
            await installer.install(connection)
        await installer.require_installed(db)
        async with db.acquire() as connection:
            await connection.execute("UPDATE zanith._zanith_schema SET hash = '' WHERE file ~ '/'")
            changed = [file for file in installer.files() if not file.numbered]
        if changed:
            with pytest.raises(NotInstalled, match="older"):
                await installer.require_installed(db)
    finally:
        await db.close()


async def test_grant_capture(database, create_role):
    role = create_role()
    async with database.connect() as connection:
        with pytest.raises(NotFound):
            await grants.grant_capture(connection, "nobody_of_that_name")
        await grants.grant_capture(connection, role)
        for schema_name, privilege, given in (
            ("zanith", "USAGE", True),
            ("_zanith_shadow", "USAGE", True),
            ("_zanith_shadow", "CREATE", False),
        ):
            found = await connection.fetchval(
                "SELECT has_schema_privilege($1, $2, $3)", role, schema_name, privilege
            )
            assert found is given, (schema_name, privilege)
        assert not await connection.fetchval(
            "SELECT has_table_privilege($1, 'zanith._zanith_migration_artifacts', 'INSERT')", role
        )
    db = await Database.open(database.url_of(role))
    try:
        await installer.require_installed(db)
    finally:
        await db.close()


async def test_role_without_grant_is_told_whom_to_ask(database, create_role):
    db = await Database.open(database.url_of(create_role()))
    try:
        with pytest.raises(NotPermitted, match="may not use Zanith") as error:
            await installer.require_installed(db)
        assert "init --grant" in (error.value.hint or "")
    finally:
        await db.close()


async def test_another_role_that_installs_is_told_whose_it_is(database, create_role):
    """Its hint is not to drop what has the records of every drop."""
    other = create_role()
    database.psql(f"GRANT CREATE ON DATABASE {database.name} TO {other}")
    connection = await asyncpg.connect(database.url_of(other))
    with pytest.raises(NotPermitted) as refused:
        await installer.install(connection)
    await connection.close()
    owner = database.psql("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'zanith'")
    assert f"belongs to {owner}" in refused.value.message
    assert f"run zanith init as {owner}" in (refused.value.hint or "")
    # a superuser who trusts no other role
    database.psql(f"ALTER SCHEMA zanith OWNER TO {other}")
    async with database.connect() as connection:
        with pytest.raises(Refused) as not_trusted:
            await installer.install(connection)
    assert f"run zanith init as {other}" in (not_trusted.value.hint or "")
    assert "Do not drop the schema" in (not_trusted.value.hint or "")


async def test_uninstall_leaves_nothing(database):
    async with database.connect() as connection:
        assert await installer.uninstall(connection)
        assert "SCHEMA" not in database.schema()
        with pytest.raises(NotInstalled):
            await installer.uninstall(connection)


async def test_uninstall_passes_on_no_hint_to_cascade(database):
    database.psql("CREATE VIEW v AS SELECT id FROM zanith._zanith_jobs")
    async with database.connect() as connection:
        with pytest.raises(Refused) as refused:
            await installer.uninstall(connection)
    assert "view v depends on" in (refused.value.detail or "")
    assert refused.value.hint == "first move or change the objects that depend on it"
    assert database.psql("SELECT count(*) FROM v") == "0"


async def test_an_uninstall_does_not_remove_a_rule(database):
    """Whoever may uninstall could end the rule alone: zanith init would begin without it."""
    ana, bob = Actor("ana", None, "staff"), Actor("bob", None, "staff")
    db = await Database.open(database.url)
    try:
        await require(db, frozenset({Change.PURGE, Change.ERASE}), ana)
        async with database.connect() as connection:
            with pytest.raises(Refused, match="requires approvals of erase, purge") as refused:
                await installer.uninstall(connection)
        assert "zanith approvals lift erase,purge --reason TEXT" in refused.value.hint
        kinds = {"kinds": ["purge", "erase"]}
        asked = await request(db, Change.LIFT, None, ana, reason="it ends", params=kinds)
        await approve(db, asked.id, bob, confirm="purge, erase")
    finally:
        await db.close()
    async with database.connect() as connection:
        assert await installer.uninstall(connection)


async def test_uninstall_refuses_while_artifacts_exist(database):
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO zanith._zanith_migration_artifacts"
            " (id, artifact_type, source_schema, source_table, definition, created_by,"
            " captured_with) VALUES ('abcdefgh', 'rebuild_table', 's', 't', '{}', 'me', '0')"
        )
        with pytest.raises(Refused, match="artifacts: 1"):
            await installer.uninstall(connection)


def test_nothing_of_ours_is_compiled_before_it_runs(database: Database) -> None:
    """JIT is on in many a package: compiling what makes a plan takes seconds, running it none."""
    compiled = database.psql(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'zanith'::regnamespace "
        "AND (p.proname ~ '^(plan|compare|recovery|canonical|row)_' OR p.proname IN "
        "('compare', '_capture', 'soft_drop_column', 'archive_column', 'archive_table', "
        "'record_seal', '_damage', '_render_script')) "
        "AND NOT COALESCE(p.proconfig, '{}') @> '{jit=off}' AND p.proname <> 'canonical_settings'"
    )
    assert compiled == ""


async def test_function_that_moves_to_an_earlier_file_stays(database, monkeypatch):
    real = installer.files()
    other = FUNCTION.replace("twice", "thrice")

    def have(first: str, second: str) -> None:
        found = (
            SchemaFile("functions/first.sql", first),
            SchemaFile("functions/second.sql", second),
        )
        monkeypatch.setattr(installer, "files", lambda: (*real, *found))

    async with database.connect() as connection:
        have(other, FUNCTION + "\n" + other.replace("thrice", "stays"))
        await installer.install(connection)
        have(other + "\n" + FUNCTION, other.replace("thrice", "stays"))
        await installer.install(connection)
        assert await connection.fetchval("SELECT zanith.twice(1)") == 2
        assert (await installer.status(connection)).current


@pytest.mark.recorded("broken", "a script cannot be rendered of what is no definition")
async def test_an_upgrade_renders_each_script_anew_and_names_those_that_it_cannot(
    database, extra_file
):
    async with database.connect() as connection:
        await connection.execute(
            "CREATE TABLE good (id int PRIMARY KEY, c text); CREATE TABLE bad (LIKE good);"
        )
        good = await connection.fetchval("SELECT zanith.archive_table('good')")
        bad = await connection.fetchval("SELECT zanith.archive_table('bad')")
        script = "SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = $1"
        fresh = await connection.fetchval(script, good)
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET recovery_sql = 'of an earlier version'"
        )
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts"
            """ SET definition = '{"renames": [{"kind": "index"}]}' WHERE id = $1""",
            bad,
        )
        extra_file(FUNCTION)
        notes: list[str] = []
        await installer.install(connection, notes)
        assert await connection.fetchval(script, good) == fresh
        assert await connection.fetchval(script, bad) == "of an earlier version"
        [note] = notes
        assert f"public.bad ({bad})" in note
        notes.clear()
        assert await installer.install(connection, notes) == []
        assert notes == []


@pytest.mark.recorded("older", "of a key it is not found out")
async def test_an_upgrade_finds_out_what_calls_nothing_of_an_owners(database):
    """Earlier versions did not record it; where it is not known, a part is made as its owner."""
    builtin = (
        "SELECT jsonb_path_query_array(definition, '$.**.indexes[*].builtin')::text"
        " || (definition #> '{cascade,views}' -> 0 ->> 'builtin')"
        " FROM zanith._zanith_migration_artifacts"
    )
    strip = '("builtin": (true|false), |, "builtin": (true|false))'
    async with database.connect() as connection:
        await connection.execute(
            "CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
            "CREATE TABLE t (id int PRIMARY KEY, c text, d int); CREATE INDEX ON t (c);"
            "CREATE INDEX ON t (lower(c)) WHERE c IS NOT NULL; CREATE INDEX ON t (f(c));"
            "CREATE VIEW v AS SELECT c, d FROM t;"
            "SELECT zanith.archive_column('t', 'c', on_dependents => 'cascade')"
        )
        before = await connection.fetchval(builtin)
        assert "true" in before
        assert "false" in before
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts"
            f" SET definition = regexp_replace(definition::text, '{strip}', '', 'g')::jsonb"
        )
        assert await connection.fetchval(builtin) is None
        assert await connection.fetch(installer.SQL["renew_scripts"]) == []
        assert await connection.fetchval(builtin) == before
