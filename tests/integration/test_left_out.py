"""What a part needs is gone for good: the conflict names the part, the restore leaves it out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.acceptance.command import done, zanith
from tests.studios import run_studio

DBA = Actor("dba")
COLUMNS = ("archive_column", "soft_drop_column")
TABLES = ("archive_table", "soft_drop_table")


@dataclass(frozen=True)
class Case:
    """Parts of `{t}` with a column `c`, what is gone since, and the labels that conflicts offer."""

    made: str
    gone: str
    offers: tuple[str, ...]
    missing: tuple[str, ...] = ()
    strategies: tuple[str, ...] = COLUMNS
    first: str = ""
    also: tuple[str, ...] = ()


CASES = {
    "foreign key": Case(
        "ALTER TABLE {t} ADD CONSTRAINT {t}_fk FOREIGN KEY (c) REFERENCES {t}_p",
        "DROP TABLE {t}_p",
        ("foreign key {t}_fk",),
        ("constraint {t}_fk",),
        (*COLUMNS, *TABLES),
        "CREATE TABLE {t}_p (c text PRIMARY KEY);"
        "INSERT INTO {t}_p SELECT 'c' || n FROM generate_series(1, 5) n",
    ),
    "foreign key to it": Case(
        "ALTER TABLE {t} ADD UNIQUE (c);"
        "CREATE TABLE {t}_r (x text CONSTRAINT {t}_r_fk REFERENCES {t} (c))",
        "DROP TABLE {t}_r",
        ("foreign key {t}_r_fk of public.{t}_r",),
        ("foreign keys to it {t}_r_fk",),
        (*COLUMNS, *TABLES),
    ),
    "grantee": Case(
        "GRANT SELECT (c) ON {t} TO {role}",
        "DROP OWNED BY {role}",
        ("grants to {role}",),
        strategies=(*COLUMNS, *TABLES),
    ),
    "policy": Case(
        "CREATE POLICY {t}_po ON {t} TO {role} USING (c <> '')",
        "DROP OWNED BY {role}",
        ("policy {t}_po on table public.{t}",),
        ("policy {t}_po",),
    ),
    "view of a role": Case(
        "CREATE VIEW {t}_v AS SELECT c FROM {t}; GRANT SELECT ON {t}_v TO {role}",
        "DROP OWNED BY {role}",
        ("grants to {role}",),
        strategies=(*COLUMNS, *TABLES),
    ),
    "check": Case(
        "ALTER TABLE {t} ADD CONSTRAINT {t}_ck CHECK ({t}_f(c) <> '')",
        "DROP FUNCTION {t}_f",
        ("constraint {t}_ck",),
        ("constraint {t}_ck",),
    ),
    "default": Case(
        "ALTER TABLE {t} ALTER c SET DEFAULT {t}_f('x')", "DROP FUNCTION {t}_f", ("default of c",)
    ),
    "index": Case(
        "CREATE INDEX {t}_i ON {t} ({t}_f(c))",
        "DROP FUNCTION {t}_f",
        ("index {t}_i",),
        ("index {t}_i",),
    ),
    "statistics": Case(
        "CREATE STATISTICS {t}_s ON ({t}_f(c)), id FROM {t}",
        "DROP FUNCTION {t}_f",
        ("statistics object {t}_s",),
        ("statistics {t}_s",),
        ("archive_column",),
    ),
    "trigger": Case(
        "CREATE TRIGGER {t}_tg BEFORE UPDATE OF c ON {t} FOR EACH ROW EXECUTE FUNCTION {t}_t()",
        "DROP FUNCTION {t}_t",
        ("trigger {t}_tg on table public.{t}",),
        ("trigger {t}_tg",),
    ),
    "generated beside": Case(
        "ALTER TABLE {t} ADD g text GENERATED ALWAYS AS ({t}_f(c)) STORED; CREATE INDEX ON {t} (g)",
        "DROP FUNCTION {t}_f",
        ("column g",),
        ("generated column g",),
    ),
    "generated itself": Case(
        "ALTER TABLE {t} DROP c; ALTER TABLE {t} ADD c text"
        " GENERATED ALWAYS AS ({t}_f('c' || id::text)) STORED",
        "DROP FUNCTION {t}_f",
        ("expression of c",),
        strategies=("archive_column",),
    ),
    "views upon views": Case(
        "CREATE VIEW {t}_v1 AS SELECT {t}_f(c) AS f FROM {t}; CREATE VIEW {t}_v2 AS TABLE {t}_v1;"
        "CREATE VIEW {t}_v3 AS SELECT c FROM {t}",
        "DROP FUNCTION {t}_f",
        ("view public.{t}_v1",),
        ("view {t}_v1", "view {t}_v2"),
        (*COLUMNS, *TABLES),
        also=("view public.{t}_v2",),
    ),
    "operator class": Case(
        "CREATE INDEX {t}_i ON {t} (c {t}_ops)",
        "DROP OPERATOR CLASS {t}_ops USING btree",
        ("index {t}_i",),
        ("index {t}_i",),
        ("archive_column",),
        "CREATE OPERATOR CLASS {t}_ops FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=,"
        " OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text)",
    ),
    "collation": Case(
        "CREATE INDEX {t}_i ON {t} (c COLLATE {t}_c)",
        "DROP COLLATION {t}_c",
        ("index {t}_i",),
        ("index {t}_i",),
        ("archive_column",),
        "CREATE COLLATION {t}_c (provider = libc, locale = 'C')",
    ),
    "publication": Case(
        "CREATE PUBLICATION {t}_pb FOR TABLE {t}",
        "DROP PUBLICATION {t}_pb",
        ("publication {t}_pb",),
        ("publication {t}_pb",),
        TABLES,
    ),
    "tablespace": Case(
        "CREATE INDEX {t}_i ON {t} (lower(c)) TABLESPACE {t}_space",
        "DROP TABLESPACE {t}_space",
        ("tablespace {t}_space",),
        first="SET allow_in_place_tablespaces = on; CREATE TABLESPACE {t}_space LOCATION ''",
    ),
}  # fmt: skip
TABLE = """
CREATE TABLE {t} (id integer PRIMARY KEY, c text);
INSERT INTO {t} SELECT n, 'c' || n FROM generate_series(1, 5) n;
CREATE FUNCTION {t}_f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION {t}_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def named(case: Case, table: str, role: str):
    def fill(text: str) -> str:
        return text.replace("{t}", table).replace("{role}", role)

    return fill


async def test_every_kind_of_part_can_be_left_out(database, db):
    made = {}
    for number, (name, case) in enumerate(CASES.items()):
        for strategy in case.strategies:
            table = f"t{number}_{strategy.replace('_', '')}"
            role = f"{database.name}_{table}"  # which the case drops
            fill = named(case, table, role)
            if "{role}" in case.gone:
                database.psql(f"CREATE ROLE {role}")
            for text in (TABLE, case.first, case.made):
                database.psql(fill(text))
            column = "c" if strategy in COLUMNS else None
            options = {"on_dependents": "cascade", "published_ok": True}
            artifact = await capture(db, CaptureRequest(strategy, table, column, **options), DBA)
            database.psql(
                fill(case.gone) + ("; DROP ROLE " + role if "{role}" in case.gone else "")
            )
            made[name, strategy] = artifact, fill
    wrong = []
    for (name, strategy), (artifact, fill) in made.items():
        case = CASES[name]
        plan = await plan_restore(db, artifact.id)
        offered = {part for conflict in plan.conflicts for part in conflict.without}
        if offered != {fill(part) for part in case.offers}:
            wrong.append(f"{name} of {strategy} offers {offered}: {plan.blocked}")
            continue
        with pytest.raises(Refused) as caught:
            await restore(db, artifact.id, Choices(), DBA)
        assert "--without" in (caught.value.hint or "") + (caught.value.detail or ""), name
        choices = Choices(without=tuple(offered))
        plan = await plan_restore(db, artifact.id, choices, strict=True)
        left = {fill(part) for part in (*case.offers, *case.also)}
        losses = {loss.message for loss in plan.losses if loss.code == "left_out"}
        assert set(plan.left_out) == left, name
        assert losses == {f"left out by choice: {part}" for part in left}, name
        report = await restore(db, artifact.id, choices, DBA)
        missing = {item["what"] for item in report.fidelity["missing"]}
        if strategy in COLUMNS and missing != {fill(part) for part in case.missing}:
            wrong.append(f"{name} of {strategy} misses {missing}")
        rows = database.psql(fill("SELECT count(*) FROM {t} WHERE c = 'c' || id"))
        assert rows == "5", name
    assert not wrong, "\n".join(wrong)


async def test_what_is_no_part_of_it_is_said(database, db):
    database.psql(TABLE.replace("{t}", "t"))
    artifact = await capture(db, CaptureRequest("archive_column", "t", "c"), DBA)
    with pytest.raises(WrongUsage, match="has no part 'index none'"):
        await plan_restore(db, artifact.id, Choices(without=("index none",)), strict=True)


def test_every_interface_leaves_it_out(database):
    fill = named(CASES["check"], "t", "nobody")
    two = "; ALTER TABLE t ALTER c SET DEFAULT t_f('x')"
    database.psql(fill(TABLE + CASES["check"].made + two))
    url = database.url
    drop = ("drop", "column", "t.c", "--strategy", "archive", "--yes", "--json")
    made = done(*drop, url=url).json["id"]
    database.psql(fill(CASES["check"].gone))
    refused = zanith("recover", "restore-column", "t.c", "--dry-run", url=url, COLUMNS="200")
    assert refused.code == 4
    assert "resolve with --without 'constraint t_ck'" in refused.out
    assert "resolve with --without 'default of c'" in refused.out
    mistyped = ("recover", "restore-column", "t.c", "--without", "check t_ck", "--dry-run")
    assert "one of: " in zanith(*mistyped, url=url).err
    with (
        run_studio(database.tcp_url, auth_token="ana:the-token-of-staff") as running,
        running.client("the-token-of-staff") as staff,
    ):
        path = f"/studio/artifacts/{made}/restore"
        page = staff.get(path).text
        assert "restore?without=constraint+t_ck" in page
        assert "Leave out constraint t_ck" in page
        parts = ["constraint t_ck", "default of c"]
        page = staff.get(path, params={"without": parts}).text
        assert "Left out by choice: constraint t_ck" in page
        assert '<input type="hidden" name="without" value="default of c">' in page
        assert "This plan cannot run yet" not in page
        answer = staff.post(
            f"/api/artifacts/{made}/restore", json={"without": parts, "dry_run": True}
        )
        assert answer.json()["plan"]["left_out"] == parts
        assert answer.json()["plan"]["blocked"] == []
        blocked = staff.post(f"/api/artifacts/{made}/restore", json={"dry_run": True}).json()
        offered = [conflict["without"] for conflict in blocked["plan"]["conflicts"]]
        assert offered == [[part] for part in parts]
    given = [word for part in parts for word in ("--without", part)]
    done("recover", "restore-column", "t.c", *given, "--yes", url=url)
    assert database.psql("SELECT count(*) FROM t WHERE c = 'c' || id") == "5"
