"""One person's rows out of a parked copy: gone there, named nowhere, and the rest sealed anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from tests.studios import Running, form_token, run_studio, wait_for_job, wait_for_seals

SECRET = "ann@example.com"
STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
MADE = f"""
CREATE TABLE log (what text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO log VALUES (OLD::text); RETURN OLD; END $$;
CREATE TABLE people (id int PRIMARY KEY, email text, "no .te" bytea, born date);
INSERT INTO people SELECT n, CASE WHEN n % 10 = 0 THEN '{SECRET}' ELSE 'x' || n END,
    decode(lpad(to_hex(n), 6, '0'), 'hex'), date '2000-01-01' + n FROM generate_series(1, 100) AS n;
CREATE TRIGGER told AFTER DELETE ON people FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER silent BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE people DISABLE TRIGGER silent; ALTER TABLE people ENABLE ALWAYS TRIGGER told;
CREATE TABLE visits (id int, who text, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
INSERT INTO visits SELECT n, CASE WHEN n % 2 = 0 THEN '{SECRET}' ELSE 'b' END, date '2025-01-01' + n
    FROM generate_series(1, 300) AS n;
"""


@pytest.fixture
def studio(database) -> Iterator[Running]:
    database.psql(MADE)
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        yield running


@pytest.fixture
def staff(studio: Running) -> Iterator[httpx.Client]:
    with studio.client(STAFF) as client:
        yield client


def park(database, call: str) -> str:
    artifact = database.psql(f"SELECT zanith.{call}").strip()
    wait_for_seals(database)
    return artifact


def erase(staff: httpx.Client, artifact: str, wanted: dict) -> dict:
    answer = staff.post(f"/api/artifacts/{artifact}/erase", json=wanted)
    assert answer.status_code == 202, answer.text
    return wait_for_job(staff, answer.json()["job"]["id"])


EVERYWHERE = [
    ("archive_table('people')", "people", {"email": SECRET}, 10, 90),
    ("archive_table('visits')", "visits", {"who": SECRET}, 150, 150),
]
FORMS = [
    ("soft_drop_table('people')", "people", {"email": SECRET, "id": "20"}, 1, 99),
    ("archive_column('people', 'email')", "email", {"email": SECRET}, 10, 90),
    ("archive_column('people', 'email')", "email", {"id": "7"}, 1, 99),
    ("archive_table('people')", "people", {"no .te": "\\x000011"}, 1, 99),
    ("rebuild_table('people', keep_rows => true)", "people", {"email": SECRET}, 10, 90),
]


@pytest.mark.parametrize(
    "case", [pytest.param(EVERYWHERE[0], marks=pytest.mark.smoke), *EVERYWHERE[1:]]
)
def test_rows_go_and_the_rest_is_sealed(staff, database, case):
    erase_and_look(staff, database, *case)


@pytest.mark.newest
@pytest.mark.parametrize("case", FORMS)
def test_of_whatever_was_parked(staff, database, case):
    erase_and_look(staff, database, *case)


# Each state that a rule can be in; of a partition as of its parent.
RULES = """
CREATE TABLE heard (by text, what text);
CREATE RULE also AS ON DELETE TO {0} DO ALSO INSERT INTO heard VALUES (current_user, OLD::text);
CREATE RULE never AS ON DELETE TO {0} DO INSTEAD NOTHING;
CREATE RULE whatever AS ON DELETE TO {0} DO INSTEAD INSERT INTO heard VALUES ('x', OLD::text);
CREATE RULE quiet AS ON DELETE TO {0} DO INSTEAD NOTHING;
CREATE RULE elsewhere AS ON UPDATE TO {0} DO ALSO NOTHING;
ALTER TABLE {0} ENABLE ALWAYS RULE never; ALTER TABLE {0} ENABLE REPLICA RULE whatever;
ALTER TABLE {0} DISABLE RULE quiet;
"""


@pytest.mark.parametrize("case", EVERYWHERE)
def test_no_rule_acts_at_an_erasure_and_each_is_as_it_was(staff, database, case):
    database.psql(RULES.format(case[1]))
    if case[1] == "visits":
        database.psql(RULES.split(";", 1)[1].format("visits_1"))
    states = (
        "SELECT string_agg(concat(rulename, ev_enabled), ' ' ORDER BY ev_class, rulename)"
        " FROM pg_rewrite WHERE rulename <> '_RETURN'"
    )
    before = database.psql(states)
    assert "neverA" in before
    assert "whateverR" in before
    erase_and_look(staff, database, *case)
    assert database.psql("SELECT count(*) FROM heard") == "0"
    assert database.psql(states) == before


ALIKE = """
CREATE TYPE pair AS (a int, b int);
CREATE TABLE marks (id int PRIMARY KEY, who text COLLATE {collation}, twin pair);
INSERT INTO marks
VALUES (1, 'ann', (1, NULL)), (2, 'ANN', (1, 2)), (3, '', NULL), (4, NULL, NULL);
"""


def test_a_value_is_compared_byte_by_byte_and_null_is_no_value(staff, database):
    collation = '"C"'
    if database.psql("SELECT count(*) FROM pg_collation WHERE collname = 'en-x-icu'") != "0":
        made = "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        database.psql(f"CREATE COLLATION alike {made}")
        collation = "alike"
    database.psql(ALIKE.format(collation=collation))
    artifact = park(database, "archive_table('marks')")
    for match, rows in (({"who": "ann"}, 1), ({"who": ""}, 1), ({"twin": "(1,)"}, 1)):
        asked = {"match": match, "dry_run": True}
        answer = staff.post(f"/api/artifacts/{artifact}/erase", json=asked)
        assert (answer.status_code, answer.json()["row_count"]) == (200, rows), answer.text


def erase_and_look(
    staff, database, call: str, name: str, match: dict[str, str], rows: int, left: int
):
    artifact = park(database, call)
    before = staff.get(f"/api/artifacts/{artifact}").json()
    plan = staff.post(f"/api/artifacts/{artifact}/erase", json={"match": match, "dry_run": True})
    assert plan.status_code == 200, plan.text
    assert plan.json()["row_count"] == rows
    assert not any(value in plan.text for value in match.values() if len(value) > 3)
    job = erase(
        staff, artifact, {"match": match, "row_count": rows, "confirm": name, "reason": "Art. 17"}
    )
    assert job["state"] == "done", job
    after = staff.get(f"/api/artifacts/{artifact}").json()
    assert (after["row_count"], after["health"]) == (left, "ok")
    assert after["checksum"] != before["checksum"]
    exported = staff.get(f"/api/artifacts/{artifact}/export?format=csv").content
    assert hashlib.sha256(exported).hexdigest() == after["checksum"]
    verified = staff.post(f"/api/artifacts/{artifact}/verify").json()["job"]
    assert wait_for_job(staff, verified["id"])["result"]["matches"]
    kept = database.psql(
        "SELECT detail, outcome FROM zanith._zanith_audit_log WHERE action = 'erase'"
    )
    assert "Art. 17" in kept
    assert after["checksum"] in kept
    assert before["checksum"] in kept
    assert database.psql("SELECT count(*) FROM log") == "0"  # no trigger copied what was erased
    books = database.pg_dump("--data-only", "--schema=zanith")
    assert SECRET not in books
    found = "SELECT zanith._damage(a) FROM zanith._zanith_migration_artifacts AS a"
    assert database.psql(found) == ""


def test_what_is_left_comes_back_as_it_was(staff, database):
    triggers = (
        "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'people'::regclass ORDER BY 1"
    )
    before = database.psql(triggers)
    artifact = park(database, "archive_table('people')")
    wanted = {"match": {"email": SECRET}, "row_count": 10, "confirm": "people"}
    assert erase(staff, artifact, wanted)["state"] == "done"
    restored = staff.post(f"/api/artifacts/{artifact}/restore", json={"confirm": "people"}).json()[
        "job"
    ]
    assert wait_for_job(staff, restored["id"])["state"] == "done"
    assert database.psql("SELECT count(*), max(id) FROM people") == "90|99"
    assert database.psql(triggers) == before


@pytest.mark.newest
def test_what_stops_it(staff, studio, database):
    artifact = park(database, "archive_table('people')")
    path = f"/api/artifacts/{artifact}/erase"
    right = {"match": {"email": SECRET}, "row_count": 10, "confirm": "people"}
    for change, status in (
        ({"confirm": "persons"}, 409),
        ({"confirm": SECRET}, 409),
        ({"row_count": 9}, 409),
        ({"match": {"nothing": "x"}}, 409),
        ({"match": {}}, 400),
        ({"match": {"email": "nobody"}, "row_count": 0}, 409),
    ):
        answer = staff.post(path, json={**right, **change})
        assert answer.status_code in {status, 404, 400}, answer.text
        assert SECRET not in answer.text
    with studio.client(VIEWER) as viewer:
        assert viewer.post(path, json=right).status_code == 403
    staff.post(f"/api/artifacts/{artifact}/hold", json={"reason": "court"}).raise_for_status()
    held = staff.post(path, json=right)
    assert (held.status_code, "is held by ana" in held.text) == (409, True)
    # nothing was counted then, and nobody says that no row matches
    assert staff.post(path, json={**right, "dry_run": True}).json()["row_count"] is None
    form = {"form_token": form_token(staff.get(f"/studio/artifacts/{artifact}/erase").text)}
    look = f"/studio/artifacts/{artifact}/erase/look"
    looked = staff.post(look, data={**form, "column": "email", "value": SECRET}).text
    assert "Not counted: the rows cannot be erased now" in looked
    assert "match</h2>" not in looked
    assert "“Release the hold” on the artifact" in looked
    staff.post(f"/api/artifacts/{artifact}/release").raise_for_status()
    place = database.psql(
        "SELECT format('%I.%I', physical_schema, physical_table)"
        " FROM zanith._zanith_migration_artifacts"
    )
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER USER;"
        f"UPDATE {place} SET born = '1999-01-01' WHERE id = 5;"
        f"ALTER TABLE {place} ENABLE ALWAYS TRIGGER _zanith_refuse_row;"
        f"ALTER TABLE {place} ENABLE ALWAYS TRIGGER _zanith_refuse_statement"
    )
    job = erase(staff, artifact, right)
    assert job["state"] == "refused"
    assert "does not match its seal" in job["error"]["message"]
    assert database.psql(f"SELECT count(*) FROM {place}") == "100"
    assert SECRET not in database.pg_dump("--data-only", "--schema=zanith")


@pytest.mark.newest
def test_a_soft_dropped_column_is_erased_in_its_table(staff, database):
    artifact = database.psql("SELECT zanith.soft_drop_column('people', 'email')").strip()
    answer = staff.post(
        f"/api/artifacts/{artifact}/erase", json={"match": {"id": "1"}, "row_count": 1}
    )
    assert answer.status_code == 409
    page = staff.get(f"/studio/artifacts/{artifact}/erase")
    assert "still in their table" in page.text


@pytest.mark.newest
def test_the_page_keeps_values_out_of_addresses_and_logs(staff, database, caplog):
    artifact = park(database, "archive_table('people')")
    path = f"/studio/artifacts/{artifact}/erase"
    html = staff.get(path).text
    token = html.split('name="form_token" value="', 1)[1].split('"', 1)[0]
    data = {"form_token": token, "column": ["email", "", ""], "value": [SECRET, "", ""]}
    looked = staff.post(f"{path}/look", data=data)
    assert "10 rows match" in looked.text
    twice = {**data, "column": ["email", "email"], "value": ["a", "b"]}
    assert "is given twice" in staff.post(f"{path}/look", data=twice).text
    sent = staff.post(path, data={**data, "rows": "10", "confirm": "public.people"})
    assert sent.status_code == 303, sent.text
    assert wait_for_job(staff, sent.headers["location"].rsplit("/", 1)[1])["state"] == "done"
    assert "10 rows; 90 rows left" in staff.get(sent.headers["location"]).text
    assert SECRET not in caplog.text
