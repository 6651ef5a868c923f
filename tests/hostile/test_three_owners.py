"""A tree whose root, partitions and children belong to three roles: no command reads it as one of them while another one's code is in it."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.core.strategies import OF_COLUMNS
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS
from tests.hostile.trap import describe
from tests.oracle.judges import restore_by_psql

PARTITIONS = f"""CREATE TABLE {{s}}.t (id int PRIMARY KEY, c int, d int) PARTITION BY RANGE (id);
    CREATE TABLE {{s}}.t1 PARTITION OF {{s}}.t FOR VALUES FROM (0) TO (3); CREATE TABLE {{s}}.t2 PARTITION OF {{s}}.t FOR VALUES FROM (3) TO (9);
    INSERT INTO {{s}}.t {ROWS}"""
CHILDREN = """CREATE TABLE {s}.t (id int PRIMARY KEY, c int, d int); CREATE TABLE {s}.t1 (PRIMARY KEY (id)) INHERITS ({s}.t);
    CREATE TABLE {s}.t2 (PRIMARY KEY (id)) INHERITS ({s}.t); INSERT INTO {s}.t1 VALUES (1, 1, 1); INSERT INTO {s}.t2 VALUES (2, 2, 2)"""
# What Mallory adds to his member: {t}.
CODE = {
    "check": "ALTER TABLE {t} ADD CHECK (harm.tap('check', id) > 0)",
    "index": "CREATE INDEX ON {t} ((d + harm.tap('index', 1)))",
    "predicate": "CREATE INDEX ON {t} (d) WHERE harm.note('predicate')",
    "foreign key": """CREATE TABLE harm.{s} (id int PRIMARY KEY, x int); INSERT INTO harm.{s} SELECT n, n FROM generate_series(1, 9) n;
        CREATE INDEX ON harm.{s} (x) WHERE harm.note('foreign key'); GRANT ALL ON harm.{s} TO PUBLIC; ALTER TABLE {t} ADD FOREIGN KEY (d) REFERENCES harm.{s}""",
}  # fmt: skip


def added(scene, since: str) -> str | None:
    """Add code; return "add" where its owner may not: nobody creates an index in the shadow schema."""
    with suppress(CommandFailed):
        scene.by(scene.mallory, since)
        return None
    with pytest.raises(CommandFailed, match="permission denied for schema _zanith_shadow"):
        scene.by(scene.mallory, since)
    return "add"


async def worked(scene, db, made: str, column: str | None, tmp_path, since: str) -> list[str]:
    """Add code, then give every command; return what was refused."""
    if (denied := added(scene, since)) is not None:
        return [denied]
    scene.trap.read()
    await plan_restore(db, made)
    refused = []
    with suppress(CommandFailed):
        restore_by_psql(scene.place, made, tmp_path)
    for name, work in (
        ("seal", lambda: seal(db, made, DBA)),
        ("export", lambda: export_to_file(db, ExportRequest(made), tmp_path / made, DBA)),
        ("rehearse", lambda: rehearse(db, made, Choices(), DBA)),
        ("restore", lambda: restore(db, made, Choices(), DBA)),
        ("purge", lambda: purge(db, made, DBA, confirm=column or "t")),
    ):
        try:
            await work()
        except ZanithError:
            refused.append(name)
    return refused


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        ("archive_column", "partitions"),  # it takes no column with inheritance children
        ("soft_drop_column", "partitions"),
        ("soft_drop_table", "partitions"),
        ("archive_table", "partitions"),
        ("rebuild_table", "partitions"),
        ("soft_drop_column", "children"),
        ("soft_drop_table", "children"),
        ("archive_table", "children"),
        ("rebuild_table", "children"),
    ],
)
async def test_code_that_one_of_three_owners_adds(scene, create_role, strategy, kind, tmp_path):
    bob = create_role("bob")
    column = "c" if strategy in OF_COLUMNS else None
    keep_rows = strategy == "rebuild_table"
    escapes, refused = {}, {}
    async with scene.opened() as db:
        for number, (code, sql) in enumerate(CODE.items()):
            s = f"tree{number}"
            scene.by(None, f"CREATE SCHEMA {s} AUTHORIZATION {scene.alice}; GRANT ALL ON SCHEMA {s} TO PUBLIC")  # fmt: skip
            scene.by(scene.alice, (PARTITIONS if kind == "partitions" else CHILDREN).replace("{s}", s))  # fmt: skip
            scene.by(None, f"GRANT ALL ON {s}.t, {s}.t1, {s}.t2 TO PUBLIC; ALTER TABLE {s}.t1 OWNER TO {scene.mallory}; ALTER TABLE {s}.t2 OWNER TO {bob}")  # fmt: skip
            member = scene.by(None, f"SELECT '{s}.t1'::regclass::oid")
            wanted = CaptureRequest(strategy, f"{s}.t", column, on_dependents="cascade", keep_rows=keep_rows)  # fmt: skip
            made = (await capture(db, wanted, DBA)).id
            name = scene.by(None, f"SELECT {member}::regclass")
            since = sql.replace("{t}", name).replace("{s}", s)
            refused[code] = await worked(scene, db, made, column, tmp_path, since)
            if found := scene.trap.escapes():
                escapes[code] = describe(found)
    assert not escapes, "\n".join(f"{code}\n{found}" for code, found in escapes.items())
    for code in ("check", "index", "predicate"):
        assert {"add", "export", "restore"} & set(refused[code]), refused
