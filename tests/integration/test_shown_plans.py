"""Pages and the API: a plan that was shown is compared again before it runs."""

from __future__ import annotations

import httpx
import pytest

from tests.studios import run_studio, wait_for_job

pytestmark = pytest.mark.newest

STAFF = "the-token-of-staff"
MADE = """
CREATE TABLE t (id int PRIMARY KEY, code text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
SELECT zanith.archive_table('t');
"""
OTHER = "is not the one that was confirmed"


def hidden(html: str, name: str) -> str:
    return html.split(f'name="{name}" value="', 1)[1].split('"', 1)[0]


def test_a_purge_and_an_erasure_run_as_they_were_shown_or_not_at_all(database):
    database.psql(MADE)
    artifact = database.psql("SELECT id FROM zanith._zanith_migration_artifacts").strip()
    place = database.psql(
        "SELECT format('%I.%I', physical_schema, physical_table)"
        " FROM zanith._zanith_migration_artifacts"
    ).strip()
    path, api = f"/studio/artifacts/{artifact}", f"/api/artifacts/{artifact}"
    studio = run_studio(database.tcp_url, auth_token=f"ana:{STAFF}")
    with studio as running, running.client(STAFF) as client:
        token = hidden(client.get(f"{path}/purge").text, "form_token")

        def post(where: str, **said: object) -> httpx.Response:
            return client.post(path + where, data={**said, "form_token": token})

        client.post(f"{api}/seal")
        which = {"column": "id", "value": "1"}
        looked = post("/erase/look", **which).text
        planned = client.post(f"{api}/erase", json={"match": {"id": "1"}, "dry_run": True}).json()
        assert hidden(looked, "digest") == planned["digest"]
        database.psql(
            f"CREATE TRIGGER late BEFORE DELETE ON {place} FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        said = {**which, "rows": 1, "confirm": "t", "digest": planned["digest"]}
        assert OTHER in post("/erase", **said).text
        wanted = {"match": {"id": "1"}, "row_count": 1, "confirm": "t", "digest": planned["digest"]}
        refused = client.post(f"{api}/erase", json=wanted)
        assert (refused.status_code, OTHER in refused.text) == (409, True)
        assert database.psql(f"SELECT count(*) FROM {place}").strip() == "2"

        review = client.get(f"{api}/purge").json()
        digest = review["plan"]["digest"]
        assert hidden(client.get(f"{path}/purge").text, "digest") == digest
        # somebody takes a row out while the review is on the screen: its seal is another
        erased = client.post(
            f"{api}/erase", json={**wanted, "digest": refused.json()["plan"]["digest"]}
        )
        assert wait_for_job(client, erased.json()["job"]["id"])["state"] == "done"
        assert OTHER in post("/purge", confirm="t", digest=digest).text
        late = client.request("DELETE", api, json={"confirm": "t", "digest": digest})
        assert (late.status_code, OTHER in late.text) == (409, True)
        assert database.psql(f"SELECT count(*) FROM {place}").strip() == "1"
        now = client.get(f"{api}/purge").json()["plan"]["digest"]
        gone = client.request("DELETE", api, json={"confirm": "t", "digest": now})
        assert (gone.status_code, gone.json()["row"]["row_count"]) == (200, 1)
