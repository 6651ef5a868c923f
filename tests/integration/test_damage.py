"""Every way to damage a parked object from outside, told apart: damage × strategy.

Each case has an artifact of its own; all live side by side in one database, so that none may be
taken for another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.core.strategies import OF_COLUMNS
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import ORDER, doctor
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import find_unsealed, seal, verify
from tests.integration.damages import (
    CASES,
    DAMAGES,
    EVERY,
    SHAPES,
)

DBA = Actor("dba")
ALL = "ARRAY(SELECT x.id FROM zanith._zanith_migration_artifacts AS x)"
ONE_BY_ONE = (
    "SELECT a.id, zanith.worst_damage(a.id) AS kind FROM zanith._zanith_migration_artifacts AS a"
)
AT_ONCE = f"SELECT id, kind FROM zanith.worst_damages({ALL})"
INTACT = f"SELECT intact FROM zanith._intact({ALL})"

PARTS_OF = """
SELECT c.oid::regclass, d.objid::regclass,
       s.stxnamespace::regnamespace || '.' || quote_ident(s.stxname)
FROM zanith._zanith_migration_artifacts AS a
JOIN pg_class AS c ON c.relname = a.physical_table
LEFT JOIN (pg_depend AS d JOIN pg_class AS q ON q.oid = d.objid AND q.relkind = 'S')
       ON d.classid = 'pg_class'::regclass AND d.refobjid = c.oid
LEFT JOIN pg_statistic_ext AS s ON s.stxrelid = c.oid
WHERE a.id = '{id}'
"""
COLUMN_OF = (
    "SELECT quote_ident(physical_column) FROM zanith._zanith_migration_artifacts WHERE id = '{id}'"
)

# What is captured of a table, what is done to {parked}, and the worst that is told of each.
TABLE = """
CREATE TABLE {name} (id int PRIMARY KEY, c int, d text, UNIQUE (d));
CREATE STATISTICS {name}_s ON id, c FROM {name};
CREATE SEQUENCE {name}_q OWNED BY {name}.id;
INSERT INTO {name} SELECT n, n, n FROM generate_series(1, 9) AS n;
"""
WITH_TABLE = ("soft_drop_column('{name}', 'c')", "archive_table('{name}')")
MORE = {
    "forced": (
        ("archive_rows('{name}')",),
        "ALTER TABLE {parked} FORCE ROW LEVEL SECURITY",
        "changed",
    ),
    "has_child": (
        ("archive_column('{name}', 'd')",),
        "CREATE TABLE {name}_k () INHERITS ({parked})",
        "changed",
    ),
    "statistics": (("archive_table('{name}')",), "DROP STATISTICS {statistics}", "changed"),
    "sequence": (("archive_table('{name}')",), "DROP SEQUENCE {sequence}", "missing"),
    "both_edited": (
        ("archive_table('{name}')",),
        "UPDATE zanith._zanith_migration_artifacts SET checksum = repeat('0', 64),"
        " recovery_sql = replace(recovery_sql, checksum, repeat('0', 64)) WHERE id = '{id}'",
        "changed",
    ),
    "given": (("archive_rows('{name}')",), "ALTER TABLE {parked} OWNER TO {role}", "moved"),
    "parked_later": (WITH_TABLE, "SELECT 1", None, None),
    "parked_later_given": (WITH_TABLE, "ALTER TABLE {parked} OWNER TO {role}", None, None),
    "parked_later_renamed": (
        WITH_TABLE,
        "ALTER TABLE {parked} RENAME TO {name}_else",
        None,
        "moved",
    ),
    "parked_later_dropped": (WITH_TABLE, "DROP TABLE {parked}", "missing", "missing"),
    "parked_later_mine": (WITH_TABLE, "COMMENT ON TABLE {parked} IS 'mine'", "moved", "changed"),
    "parked_later_copied": (
        WITH_TABLE,
        "CREATE TABLE {name}_else AS TABLE {parked}",
        "moved",
        None,
    ),
    "parked_later_believed": (
        WITH_TABLE,
        "CREATE TABLE {name}_else AS TABLE {parked}; ALTER TABLE {name}_else OWNER TO {role};"
        " DROP TABLE {parked}; COMMENT ON TABLE {name}_else IS 'zanith artifact x'",
        "missing",
        "missing",
    ),
    "parked_later_default": (
        WITH_TABLE,
        "ALTER TABLE {parked} ALTER {column} SET DEFAULT 1",
        "changed",
        None,
    ),
}


@pytest.fixture
def role(database, create_role):
    """A role that may own parked objects."""
    name = create_role("stranger")
    database.psql(
        "CREATE SCHEMA elsewhere;"
        f"GRANT CREATE ON SCHEMA public, elsewhere, _zanith_shadow TO {name}"
    )
    return name


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def damage_all(db, database, role, cases):
    """Capture a table for each case and damage it; return the artifacts by case."""
    made = {}
    numbered = {case: f"t{number}" for number, case in enumerate(cases)}
    database.psql(
        "".join(SHAPES[DAMAGES[c].shape].replace("{name}", n) for (c, _), n in numbered.items())
    )
    for (case, strategy), name in numbered.items():
        column = "c" if strategy in OF_COLUMNS else None
        request = CaptureRequest(
            strategy, name, column, keep_rows=strategy == "rebuild_table", on_dependents="cascade"
        )
        made[case, strategy] = await capture(db, request, DBA)
        if strategy == "archive_rows":
            database.psql(f"TRUNCATE {name}")
        if strategy == "archive_values":  # its values come back where the column is gone
            database.psql(f"ALTER TABLE {name} DROP c CASCADE")
    for case, artifact in made.items():
        names = names_of(artifact, numbered[case], role)
        database.psql(DAMAGES[case[0]].sql.format(**names))
    for (case, _), artifact in made.items():
        if "seal_broken" in DAMAGES[case].finds:
            found = await verify(db, artifact.id, DBA)
            assert not found.matches
    return made


def names_of(artifact, name, role):
    column = artifact.source_column is not None
    soft = artifact.artifact_type == "soft_drop_column"
    parked = f"public.{name}" if soft else f'{artifact.physical_schema}."{artifact.physical_name}"'
    return {
        "name": name,
        "id": artifact.id,
        "role": role,
        "parked": parked,
        "column": f'"{artifact.physical_name}"' if soft else "c",
        "other": "id" if column else "d",
    }


@pytest.mark.newest
async def test_every_damage_is_told_apart_and_stops_what_it_must(db, database, role):
    made = await damage_all(db, database, role, CASES)
    found: dict[str, set] = {}
    by_object = {}
    diagnosis = await doctor(db)
    for finding in diagnosis.findings:
        assert finding.message, finding
        assert finding.hint, finding
        assert "{" not in finding.hint, finding
        found.setdefault(finding.artifact_id, set()).add(f"{finding.kind}/{finding.code}")
        if finding.artifact_id is None:
            by_object.setdefault(finding.object, set()).add(f"{finding.kind}/{finding.code}")
    faults = []
    for (case, strategy), artifact in made.items():
        said = found.get(artifact.id, set()) | {
            code for name, codes in by_object.items() if artifact.id in name for code in codes
        }
        wanted = set(filter(None, DAMAGES[case].finds.split(",")))
        if strategy == "rebuild_table":
            said -= {"changed/script_differs"} - wanted
        if said != wanted:
            faults.append(f"{case} of {strategy}: {sorted(said)}, not {sorted(wanted)}")
    assert not faults, "\n".join(faults)
    assert diagnosis.damaged
    await badges_agree(db, diagnosis)
    health = await compare_health(db)
    intact = {made_of for made_of, artifact in made.items() if artifact.id in health.intact}
    assert {s for c, s in intact if c == "nothing"} == set(EVERY)
    faults = await restore_all(db, made)
    assert not faults, "\n".join(faults)
    await compare_health(db)


async def badges_agree(db, diagnosis):
    """The badge of an artifact is the worst that the doctor found of it, but for copies of it."""
    worst: dict[str, str] = {}
    for finding in diagnosis.findings:
        told = finding.code not in {"duplicate_id", "script_differs"} or finding.kind == "moved"
        if finding.artifact_id and finding.kind not in {"blocked", "orphan"} and told:
            worst.setdefault(finding.artifact_id, finding.kind)
    page = await list_artifacts(db, ArtifactFilter(limit=1000))
    assert {a.id: a.health for a in page.items} == {a.id: worst.get(a.id, "ok") for a in page.items}
    for health in ("missing", "moved", "changed", "ok"):
        some = await list_artifacts(db, ArtifactFilter(limit=1000, health=health))
        assert {a.id for a in some.items} == {a.id for a in page.items if a.health == health}


@dataclass(frozen=True)
class Health:
    """What is told of all artifacts at once: the worst damage by id, and those surely without."""

    worst: dict[str, str | None]
    intact: set[str]


async def compare_health(db):
    """What is told of all artifacts at once is what is told of each; return it."""
    async with db.acquire() as connection:
        rows = await connection.fetch(ONE_BY_ONE)
        worst = {row["id"]: row["kind"] for row in await connection.fetch(AT_ONCE)}
        intact = {row["intact"] for row in await connection.fetch(INTACT)}
    one_by_one = {row["id"]: row["kind"] for row in rows}
    assert {each: worst.get(each) for each in one_by_one} == one_by_one
    assert not {each for each in intact if one_by_one[each]}
    return Health(one_by_one, intact)


async def restore_all(db, made):
    """What the doctor finds stops the restore, or the restore goes through; return what differs."""
    faults = []
    for (case, strategy), artifact in made.items():
        if DAMAGES[case].restores is None or strategy == "rebuild_table":
            continue
        try:
            await restore(db, artifact.id, Choices(), DBA)
            outcome = True
        except Refused:
            outcome = False
        except ZanithError as error:
            faults.append(f"{case} of {strategy}: {error!r}")
            continue
        if outcome != DAMAGES[case].restores:
            faults.append(f"{case} of {strategy}: {'restored' if outcome else 'refused'}")
    return faults


async def test_many_are_told_as_each_is(db, database, role):
    made: dict[str, list[str]] = {}
    for name, (calls, _, *_) in MORE.items():
        database.psql(TABLE.format(name=name))
        for call in calls:
            text = database.psql(f"SELECT zanith.{call.format(name=name)}")
            made.setdefault(name, []).append(text.splitlines()[-1].strip())
    for artifact in await find_unsealed(db):
        await seal(db, artifact, DBA)
    before = await compare_health(db)
    assert set(before.worst.values()) == {None}
    assert before.intact == set(before.worst)
    for name, ids in made.items():
        place = database.psql(PARTS_OF.format(id=ids[-1])).split("|")
        parts = dict(zip(("parked", "sequence", "statistics"), place, strict=True))
        column = database.psql(COLUMN_OF.format(id=ids[0]))
        database.psql(MORE[name][1].format(name=name, id=ids[0], role=role, column=column, **parts))
    health = await compare_health(db)
    told = {name: [health.worst[each] for each in ids] for name, ids in made.items()}
    assert told == {name: list(wanted) for name, (_, _, *wanted) in MORE.items()}
    assert made["parked_later"][0] in health.intact  # without a look at each


async def test_purge_takes_nothing_that_is_another(db, database, role):
    cases = [c for c in CASES if c[0] in {"copied", "column_copied", "copied_and_moved", "renamed"}]
    made = await damage_all(db, database, role, cases)
    for (case, _strategy), artifact in made.items():
        if case in {"copied", "column_copied"}:
            await purge(db, artifact.id, DBA, confirm=None, confirmed=True)
        else:
            with pytest.raises(Refused):
                await purge(db, artifact.id, DBA, confirm=None, confirmed=True)
    copies = database.psql(
        "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+_(copy|else)$' AND relkind = 'r'"
    )
    kept = [c for c, _ in cases]
    assert int(copies) == len(kept) + kept.count("copied_and_moved")


async def test_a_shadow_that_a_backup_left_out(db, database):
    database.psql(SHAPES["plain"].replace("{name}", "a") + SHAPES["plain"].replace("{name}", "b"))
    for name in "ab":
        await capture(db, CaptureRequest("archive_table", name), DBA)
    assert {"zanith", "_zanith_shadow", "public"} <= set((await doctor(db)).schemas)
    database.psql("DROP SCHEMA _zanith_shadow CASCADE")
    found = await doctor(db)
    assert [f.code for f in found.findings] == ["shadow_dropped"] * 2


async def test_the_engine_itself(db, database):
    assert (await doctor(db)).findings == ()
    database.psql(
        "CREATE OR REPLACE FUNCTION zanith.version() RETURNS text LANGUAGE sql IMMUTABLE"
        " AS $$ SELECT '0.1.0'::text $$; CREATE FUNCTION zanith.own() RETURNS int RETURN 1"
    )
    found = await doctor(db)
    assert {(f.kind, f.code) for f in found.findings} == {
        ("engine", "function_altered"),
        ("engine", "function_unknown"),
    }
    database.psql("DROP FUNCTION zanith.describe_now")
    found = await doctor(db)
    assert "function_missing" in {f.code for f in found.findings}
    assert found.damaged


@pytest.mark.smoke
async def test_the_worst_comes_first_and_json_is_whole(db, database):
    database.psql(SHAPES["plain"].replace("{name}", "a"))
    await capture(db, CaptureRequest("archive_table", "a"), DBA)
    found = await doctor(db, ceiling_bytes=1)
    data = json.loads(json.dumps(found.to_json()))
    assert [f["kind"] for f in data["findings"]] == ["ceiling"]
    assert len(data["unverified"]) == data["sealed"] == 1
    assert data["verified"] == 0
    assert [ORDER.index(f.kind) for f in found.findings] == sorted(
        ORDER.index(f.kind) for f in found.findings
    )
