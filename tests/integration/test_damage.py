"""Every way to damage a parked object from outside, told apart: damage × strategy.

Each case has an artifact of its own; all live side by side in one database, so that none may be
taken for another.
"""

from __future__ import annotations

import json

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
from app.recovery.rows.seal import verify
from tests.integration.damages import (
    CASES,
    DAMAGES,
    SHAPES,
)

DBA = Actor("dba")


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
    faults = await restore_all(db, made)
    assert not faults, "\n".join(faults)


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
