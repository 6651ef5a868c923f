"""Apply: what a page showed runs as a job, and nothing else."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.command import zanith
from tests.studios import (
    form_token,
    locked,
    run_command,
    run_studio,
    wait_for_job,
    wait_until,
)

pytestmark = pytest.mark.newest

STAFF, BEN, LOOK = "the-token-of-staff", "the-token-of-ben", "the-token-of-viewer"
TOKENS = {"auth_token": f"ana:{STAFF},ben:{BEN}", "read_only_auth_token": f"vic:{LOOK}"}
FILES = {
    "0001_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, code text);\n"
    "INSERT INTO orders VALUES (1, 'a'), (2, NULL);\n",
    "0002_total.sql": "ALTER TABLE orders ADD COLUMN total int;\n"
    "CREATE INDEX by_total ON orders (total);\n",
    "0003_drop_code.sql": "ALTER TABLE orders DROP COLUMN code;\n",
}
LAST = "0003_drop_code"
PAGE = "/studio/pending"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.fixture
def studio(database, directory):
    zanith("migrate", "up", "--dir", str(directory), "--steps", "1", url=database.url)
    with run_studio(database.url, migrations=directory, **TOKENS) as running:
        yield running


def form_of(client: httpx.Client, migration: str = LAST) -> dict[str, str]:
    """Return the form of the page of a pending migration."""
    page = client.get(PAGE, params={"id": migration}).raise_for_status().text
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest, page
    return {"form_token": form_token(page), "digest": digest[1], "confirm": migration}


def send(
    client: httpx.Client, form: dict[str, str], migration: str = LAST, status: int = 303
) -> str:
    """Send the form; return the id of the job, or the page that refuses."""
    answer = client.post(PAGE, params={"id": migration}, data=form)
    assert answer.status_code == status, answer.text
    return answer.headers["location"].rsplit("/", 1)[1] if status == 303 else answer.text


def applied(database) -> list[str]:
    return database.psql(
        "SELECT id FROM zanith._zanith_migrations WHERE outcome = 'applied' ORDER BY run"
    ).split()


def columns(database) -> str:
    return database.psql(
        "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped"
    )


def test_applies_what_was_looked_at(studio, database):
    with studio.client(STAFF) as ana:
        listed = ana.get(PAGE).text
        assert f"{PAGE}?id={LAST}#apply" in listed
        form = form_of(ana)
        job = wait_for_job(ana, send(ana, form))
        assert (job["state"], job["kind"], job["object"]) == ("done", "deploy", LAST)
        assert [one["id"] for one in job["result"]["applied"]] == ["0002_total", LAST]
        page = ana.get(f"/studio/jobs/{job['id']}").text
        assert "Applied." in page
        assert "2 migrations" in page
        assert applied(database) == ["0001_orders", "0002_total", LAST]
        assert columns(database) == "id total"
        assert "applied already" in send(ana, form, status=409)
        assert "Nothing is pending" in ana.get(PAGE).text
        log = ana.get("/studio/activity?action=deploy").text
        assert f'href="/studio/history?id={LAST}"' in log
    captured = "SELECT migration_id FROM zanith._zanith_migration_artifacts"
    assert database.psql(captured) == LAST
    logged = "SELECT outcome FROM zanith._zanith_audit_log WHERE action = 'deploy' ORDER BY id"
    assert database.psql(logged).split() == ["done", "refused"]
    by = "SELECT DISTINCT applied_by FROM zanith._zanith_migrations WHERE run > 1"
    assert database.psql(by) == "ana"


def test_applies_up_to_one(studio, database):
    with studio.client(STAFF) as ana:
        job = wait_for_job(ana, send(ana, form_of(ana, "0002_total"), "0002_total"))
    assert job["state"] == "done"
    assert applied(database) == ["0001_orders", "0002_total"]


def test_wants_the_id_and_staff(studio, database):
    with studio.client(STAFF) as ana, studio.client(LOOK) as vic:
        form = form_of(ana)
        refused = send(ana, {**form, "confirm": "0003"}, status=409)
        assert "The typed name does not match" in refused
        shown = vic.get(PAGE, params={"id": LAST}).text
        assert "Needs staff" in shown
        assert 'name="digest"' not in shown
        mine = {**form, "form_token": form_token(vic.get(PAGE).text)}
        send(vic, mine, status=403)
    assert applied(database) == ["0001_orders"]
    assert database.psql("SELECT count(*) FROM zanith._zanith_jobs WHERE kind = 'deploy'") == "0"


def _edit(directory: Path, database) -> None:
    (directory / "0002_total.sql").write_text("ALTER TABLE orders ADD COLUMN total bigint;\n")


def _add(directory: Path, database) -> None:
    (directory / "0002_total_2.sql").unlink(missing_ok=True)
    (directory / "0002.5_more.sql").write_text("SELECT 1;\n")


def _elsewhere(directory: Path, database) -> None:
    zanith("migrate", "up", "--dir", str(directory), "--steps", "1", url=database.url)


def _catalog(directory: Path, database) -> None:
    database.psql("ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0); DROP TABLE orders CASCADE")


@pytest.mark.parametrize("change", [_edit, _add, _elsewhere, _catalog])
def test_refuses_what_changed_between_look_and_click(studio, database, directory, change):
    with studio.client(STAFF) as ana:
        form = form_of(ana)
        change(directory, database)
        before = applied(database)
        refused = send(ana, form, status=409)
        assert "not the ones that were confirmed" in refused
    assert applied(database) == before


REFUSED = {
    "a gate": ("DELETE FROM orders; TRUNCATE orders;\n", "and a capture does not cover it"),
    "out of order": (None, "a later migration is already applied"),
    "no SQL": ("ALTER TABLE orders DROPS COLUMN code;\n", "syntax error"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refuses_in_the_words_of_up(studio, database, directory, why: str):
    text, words = REFUSED[why]
    if text is None:
        (directory / "0000_first.sql").write_text("SELECT 1;\n")
    else:
        (directory / f"{LAST}.sql").write_text(text)
    run = zanith("migrate", "up", "--dir", str(directory), url=database.url)
    assert run.code == 4 or why == "no SQL", run
    assert words in run.err
    with studio.client(STAFF) as ana:
        page = ana.get(PAGE, params={"id": LAST}).text
        assert words in page
        assert "It cannot be applied now" in page
        form = {"form_token": form_token(page), "confirm": LAST, "digest": "0" * 64}
        answer = ana.post(PAGE, params={"id": LAST}, data=form)
        assert answer.status_code in {400, 409}
        assert words in answer.text
    assert applied(database) == ["0001_orders"]


def test_says_what_the_rows_do_not_let_run(studio, database, directory):
    (directory / f"{LAST}.sql").write_text("ALTER TABLE orders ALTER code SET NOT NULL;\n")
    run = zanith("migrate", "up", "--dir", str(directory), url=database.url)
    [said] = re.findall(r"does not pass its gates: .*?:1: (.*)", run.err)
    with studio.client(STAFF) as ana, studio.client(LOOK) as vic:
        asked = {"id": LAST, "rows": "yes"}
        shown = ana.get(PAGE, params=asked, headers={"HX-Request": "true"}).text
        assert 'badge bad">would fail' in shown
        assert "Apply" not in shown
        assert 'badge bad">would fail' in ana.get(PAGE, params=asked).text
        assert vic.get(PAGE, params=asked).status_code == 403
        assert "Not asked yet" in vic.get(PAGE, params={"id": LAST}).text
        job = wait_for_job(ana, send(ana, form_of(ana)))
        assert job["state"] == "refused"
        assert said[:40] in job["error"]["message"]
        page = ana.get(f"/studio/jobs/{job['id']}").text
        assert "Nothing was changed" in page
    assert applied(database) == ["0001_orders"]


def test_keeps_what_was_applied_before_a_failure(studio, database, directory):
    (directory / f"{LAST}.sql").write_text("SELECT 1/0;\n")
    with studio.client(STAFF) as ana:
        job = wait_for_job(ana, send(ana, form_of(ana)))
        assert job["state"] == "failed"
        assert "0003_drop_code.sql:1:1: " in job["error"]["message"]
        assert [one["id"] for one in job["result"]["applied"]] == ["0002_total"]
        page = ana.get(f"/studio/jobs/{job['id']}").text
        assert "Nothing was changed" not in page
        assert 'badge bad">failed' in ana.get(PAGE).text
    assert applied(database) == ["0001_orders", "0002_total"]


def test_names_the_lock_that_it_waits_for(studio, database):
    with studio.client(STAFF) as ana, studio.client(LOOK) as vic:
        with locked(database):
            job_id = send(ana, form_of(ana))

            def waits() -> bool:
                shown = vic.get(f"/studio/jobs/{job_id}/progress").text
                return "Waiting for a lock" in shown and "pg_terminate_backend" in shown

            wait_until(waits)
        job = wait_for_job(ana, job_id)
    assert job["state"] == "done"
    assert job["progress"]["blocked_by"]


def test_two_people_click_at_once(studio, database):
    with studio.client(STAFF) as ana, studio.client(BEN) as ben:
        forms = [(ana, form_of(ana)), (ben, form_of(ben))]
        answers: list[httpx.Response] = []

        def click(client: httpx.Client, form: dict[str, str]) -> None:
            answers.append(client.post(PAGE, params={"id": LAST}, data=form))

        with locked(database):
            people = [threading.Thread(target=click, args=one) for one in forms]
            for person in people:
                person.start()
            for person in people:
                person.join(30)
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [303, 423], [answer.text for answer in answers]
        [late] = [answer.text for answer in answers if answer.status_code == 423]
        assert "A deploy is under way" in late or "already running" in late
        [jobs] = [answer.headers["location"] for answer in answers if answer.status_code == 303]
        assert wait_for_job(ana, jobs.rsplit("/", 1)[1])["state"] == "done"
    assert applied(database) == ["0001_orders", "0002_total", LAST]


def test_goes_on_where_an_apply_was_cancelled(studio, database, directory):
    (directory / f"{LAST}.sql").write_text(
        "-- zanith: no-transaction\nALTER TABLE orders ADD COLUMN a int;\n"
        "CREATE INDEX CONCURRENTLY by_a ON orders (a);\n"
    )
    with studio.client(STAFF) as ana:
        wait_for_job(ana, send(ana, form_of(ana, "0002_total"), "0002_total"))
        form = form_of(ana)
        with locked(database, "public.orders"):
            database.psql("SELECT 1")
            job_id = send(ana, form)
            wait_until(
                lambda: "waiting" in str(ana.get(f"/api/jobs/{job_id}").json()["job"]["progress"])
            )
            ana.post(f"/api/jobs/{job_id}/cancel").raise_for_status()
            job = wait_for_job(ana, job_id)
        assert job["state"] == "cancelled"
        listed = ana.get(PAGE).text
        assert 'badge bad">interrupted' in listed
        told = zanith("migrate", "status", "--dir", str(directory), url=database.url)
        assert "interrupted" in told.out
        assert wait_for_job(ana, send(ana, form_of(ana)))["state"] == "done"
    assert applied(database)[-1] == LAST
    assert columns(database) == "id code total a"


HALF = """-- zanith: no-transaction
CREATE TABLE other (id int);
SELECT pg_sleep(90);
CREATE INDEX CONCURRENTLY by_id ON other (id);
"""
SLEEPING = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"


def test_an_apply_whose_studio_was_killed_goes_on_at_the_next(database, directory, tmp_path):
    file = directory / f"{LAST}.sql"
    file.write_text(HALF)
    zanith("migrate", "up", "--dir", str(directory), "--steps", "2", url=database.url)
    env = {"ZANITH_MIGRATIONS": str(directory), "ZANITH_AUTH_TOKEN": f"ana:{STAFF}"}
    with (
        run_command(database.url, tmp_path, patience=60, **env) as killed,
        killed.client(STAFF) as ana,
    ):
        job_id = send(ana, form_of(ana))
        wait_until(lambda: "statement 2 of 3" in ana.get(f"/studio/jobs/{job_id}/progress").text)
        killed.process.kill()
    wait_until(lambda: database.psql(f"SELECT pg_terminate_backend(pid) {SLEEPING}") == "t")
    file.write_text(HALF.replace("pg_sleep(90)", "1"))
    with (
        run_studio(database.url, migrations=directory, **TOKENS) as studio,
        studio.client(STAFF) as ana,
    ):
        for _ in range(2):  # as long as a lease
            with suppress(AssertionError):
                wait_for_job(ana, job_id)
        assert wait_for_job(ana, job_id)["state"] == "interrupted"
        assert "apply them again" in str(ana.get(f"/api/jobs/{job_id}").json())
        assert 'badge bad">interrupted' in ana.get(PAGE).text
        job = wait_for_job(ana, send(ana, form_of(ana)))
        assert job["state"] == "done"
    assert applied(database)[-1] == LAST
    assert database.psql("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_id'") == "1"


def test_the_api_shows_and_applies_the_same(studio, database, directory):
    with studio.client(STAFF) as ana, studio.client(LOOK) as vic:
        shown = vic.get("/api/pending", params={"to": LAST}).raise_for_status().json()
        status = zanith("migrate", "status", "--dir", str(directory), "--json", url=database.url)
        given = ("--dir", str(directory), "--json", "--database-url", database.url)
        plan = zanith("migrate", "plan", *given)
        assert shown["status"].items() <= status.json.items()
        assert without_sizes(shown["plan"]).items() <= without_sizes(plan.json).items()
        assert shown["refused"] is None
        wanted = {"to": LAST, "confirm": LAST, "digest": shown["digest"]}
        assert vic.post("/api/pending/apply", json=wanted).status_code == 403
        other = ana.post("/api/pending/apply", json={**wanted, "digest": "0" * 64})
        assert other.status_code == 409
        unsaid = ana.post("/api/pending/apply", json={"to": LAST, "digest": shown["digest"]})
        assert "not confirmed" in unsaid.json()["error"]["message"]
        started = ana.post("/api/pending/apply", json=wanted)
        assert started.status_code == 202, started.text
        assert wait_for_job(ana, started.json()["job"]["id"])["state"] == "done"
    assert applied(database) == ["0001_orders", "0002_total", LAST]


def without_sizes(plan: dict[str, Any]) -> dict[str, Any]:
    """Return a plan without its estimates of time."""
    for migration in plan["migrations"]:
        for statement in migration["statements"]:
            for operation in statement["operations"]:
                del operation["seconds"]
    return plan


def test_verifies_on_a_shadow_and_says_so_only_of_these_files(studio, database, directory):
    with studio.client(STAFF) as ana, studio.client(LOOK) as vic:
        page = ana.get(PAGE, params={"id": LAST}).text
        assert "Not verified" in page
        assert vic.post("/api/pending/verify", json={"to": LAST}).status_code == 403
        form = {"form_token": form_token(page)}
        started = ana.post(f"{PAGE}/verify", params={"id": LAST}, data=form)
        job = wait_for_job(ana, started.headers["location"].rsplit("/", 1)[1])
        assert (job["state"], job["result"]["verdict"]) == ("done", "ok"), job
        assert len(job["progress"]["steps"]) == 5
        assert 'badge good">ok' in vic.get(f"/studio/jobs/{job['id']}").text
        assert 'badge good">ok' in vic.get(PAGE, params={"id": LAST}).text
        assert "Not verified" in vic.get(PAGE, params={"id": "0002_total"}).text
        database.psql("CREATE TABLE by_hand (id int)")
        drifted = ana.post("/api/pending/verify", json={"to": LAST}).json()["job"]["id"]
        job = wait_for_job(ana, drifted)
        assert (job["state"], job["result"]["verdict"]) == ("mismatch", "drift")
        (directory / f"{LAST}.sql").write_text("SELECT nothing FROM nowhere;\n")
        assert "Not verified" in ana.get(PAGE, params={"id": LAST}).text
        failed = ana.post("/api/pending/verify", json={}).json()["job"]["id"]
        job = wait_for_job(ana, failed)
        assert (job["state"], job["result"]["verdict"]) == ("mismatch", "failed")
        assert "statement_failed" in ana.get(f"/studio/jobs/{failed}").text
    assert applied(database) == ["0001_orders"]


def test_a_verification_can_begin_with_the_live_schema(database, tmp_path):
    database.psql("CREATE SCHEMA shop; CREATE TABLE shop.items (id int PRIMARY KEY)")
    (tmp_path / "0001_first.sql").write_text("ALTER TABLE shop.items ADD COLUMN code text;\n")
    (tmp_path / "0002_second.sql").write_text("COMMENT ON COLUMN shop.items.code IS 'a code';\n")

    def verdict_of(ana, given: dict[str, str]) -> tuple[str, list[str]]:
        job = ana.post("/api/pending/verify", json=given).json()["job"]["id"]
        result = wait_for_job(ana, job)["result"]
        return result["verdict"], [str(one["hint"]) for one in result["findings"]]

    hint = "if no migration creates it, give --replay live to begin with the live schema"
    given = {**TOKENS, "migrations": tmp_path}
    with run_studio(database.url, **given) as studio, studio.client(STAFF) as ana:
        page = ana.get(PAGE, params={"id": "0001_first"}).text
        assert 'value="live" selected' in page
        assert verdict_of(ana, {}) == ("ok", [])
        verdict, hints = verdict_of(ana, {"replay": "files"})
        assert (verdict, hints[-1]) == ("failed", hint)
        zanith("migrate", "up", "--dir", str(tmp_path), "--steps", "1", url=database.url)
        page = ana.get(PAGE, params={"id": "0002_second"}).text
        assert 'value="files" selected' in page
        form = {"form_token": form_token(page), "replay": "live"}
        started = ana.post(f"{PAGE}/verify", params={"id": "0002_second"}, data=form)
        job = wait_for_job(ana, started.headers["location"].rsplit("/", 1)[1])
        found = job["result"]
        assert (found["verdict"], found["replay"]["source"]) == ("ok", "live")
        form["replay"] = "elsewhere"
        wrong = ana.post(f"{PAGE}/verify", params={"id": "0002_second"}, data=form)
        assert wrong.status_code == 422


def test_a_verification_without_a_shadow_is_no_verdict(database, directory):
    zanith("migrate", "up", "--dir", str(directory), "--steps", "1", url=database.url)
    given = {**TOKENS, "shadow": "url", "shadow_url": "postgresql://nobody@127.0.0.1:1/none"}
    with (
        run_studio(database.url, migrations=directory, **given) as studio,
        studio.client(STAFF) as ana,
    ):
        job_id = ana.post("/api/pending/verify", json={"to": LAST}).json()["job"]["id"]
        job = wait_for_job(ana, job_id)
        assert (job["state"], job["result"]) == ("failed", None)
        assert "No verdict" in ana.get(f"/studio/jobs/{job_id}").text
        shown = ana.get(PAGE, params={"id": LAST}).text
        assert "no verdict" in shown
        assert 'badge good">ok' not in shown
