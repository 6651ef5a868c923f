"""The page of the guard and its route say what the guard is and did, to viewers too."""

from __future__ import annotations

import pytest

from app.recovery.guard.rules import Mode, Rule
from tests.guard.twin import turn_guard_on
from tests.integration.screens import STAFF, VIEWER, badges, words
from tests.studios import run_studio

pytestmark = pytest.mark.newest

TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}


def test_the_guard_is_shown_as_it_is(database, create_role):
    database.psql("CREATE TABLE public.t (id int PRIMARY KEY, a text, b text)")
    owner = create_role("owner")
    database.psql(f"CREATE TABLE public.u (); ALTER TABLE public.u OWNER TO {owner}")
    with run_studio(database.tcp_url, **TOKENS) as studio, studio.client(VIEWER) as viewer:
        text = viewer.get("/studio/guard").text
        assert "The guard is off: a plain DROP deletes for good" in words(text)
        assert viewer.get("/api/guard").json()["state"] == "off"
        assert "captured yet" in words(text)

        turn_guard_on(database)
        turn_guard_on(database, Rule(Mode.WARN, "public", owner, may_turn_off=False))
        database.psql("SET application_name = 'a <tool>'; ALTER TABLE public.t DROP COLUMN a;")
        database.psql(f"SET ROLE {owner}; DROP TABLE public.u")
        database.psql(f"CREATE TABLE public.w (); ALTER TABLE public.w OWNER TO {owner}")
        html = viewer.get("/studio/guard").text
        text = words(html)
        assert "The guard is on" in text
        assert f"schema public, role {owner} warn as other artifacts no" in text
        assert "the whole database capture as other artifacts yes" in text
        assert "ALTER TABLE public.t DROP COLUMN a" in text
        assert "a <tool>" in text
        assert f"{owner} owns 1 table" in text
        assert "public.u table, by DROP TABLE warn" in text
        assert badges(html)["enabled always"] == "good"
        assert "PostgreSQL's log has each one" in text
        assert 'name="form_token"' not in html.split("<main", 1)[1]  # nothing changes a rule here

        found = viewer.get("/api/guard").json()
        assert found["state"] == "on"
        assert found["may_not_capture"] == {owner: 1}
        (captured,) = found["captures"]
        assert (captured["object"], captured["application"]) == ("public.t.a", "a <tool>")
        assert captured["statement"] == "ALTER TABLE public.t DROP COLUMN a"
        (deleted,) = found["deletions"]
        assert (deleted["object"], deleted["mode"]) == ("public.u", "warn")
        assert (deleted["kind"], deleted["actor_role"]) == ("table", owner)
        assert found["rules"][0]["set_by_role"]

        database.psql("ALTER EVENT TRIGGER zanith_guard_end DISABLE")
        html = viewer.get("/studio/guard").text
        assert "The guard is damaged" in words(html)
        assert badges(html)["disabled"] == "bad"
        database.psql("DROP EVENT TRIGGER zanith_guard_end")
        assert badges(viewer.get("/studio/guard").text)["missing"] == "bad"


def test_pins_are_shown_with_what_came_since(database):
    database.psql("CREATE TABLE public.t (id int); CREATE TABLE public.u (id int)")
    with run_studio(database.tcp_url, **TOKENS) as studio, studio.client(VIEWER) as viewer:
        assert "zanith guard pin TABLE" in words(viewer.get("/studio/guard").text)
        assert viewer.get("/api/guard").json()["protection"] == []
        database.psql(
            "SELECT zanith.pin_table('t'), zanith.pin_table('u', columns => false);"
            "ALTER TABLE public.t ADD COLUMN later int"
        )
        text = words(viewer.get("/studio/guard").text)
        assert "a plain DROP deletes for good, except of 2 pinned tables" in text
        assert "a plain DROP of public.t or of its columns fails" in text
        assert "not pinned, since they came later: public.t.later" in text
        assert "a plain DROP of public.u fails, of its columns not" in text
        found = viewer.get("/api/guard").json()
        assert found["protection"] == ["pins"]
        assert [one["table"] for one in found["pins"]] == ["public.t", "public.u"]


def test_an_operator_is_told_that_there_is_no_guard(operator_database):
    with run_studio(operator_database.url, **TOKENS) as studio, studio.client(STAFF) as staff:
        text = words(staff.get("/studio/guard").text)
        assert "It cannot be turned on" in text
        assert "zanith guard on" not in text
        assert staff.get("/api/guard").json()["available"] is False
