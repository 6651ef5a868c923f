"""What the command says of a hold, of what is restored or half done, and of what goes with a column."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done, typed, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest

COLUMN = ("drop", "column", "orders.legacy_code")


@pytest.fixture
def url(database):
    database.psql(
        ORDERS + "CREATE INDEX by_code ON orders (legacy_code, id);"
        "ALTER TABLE orders ADD CONSTRAINT short CHECK (length(legacy_code) < 20),"
        " ADD CONSTRAINT one UNIQUE (legacy_code, total), ADD extra serial"
    )
    return database.url


def test_a_hold_keeps_its_reason_and_a_release_of_nothing_says_so(database, url):
    made = done(*COLUMN, "--strategy", "soft", "--yes", "--json", url=url).json["id"]
    assert "was not on hold" in done("recover", "release", made, url=url).out
    assert "is on hold\n" in done("recover", "hold", made, "--reason", "case 2214", url=url).out
    by = database.psql("SELECT held_by FROM zanith._zanith_migration_artifacts")
    for more in (("--reason", "case 3"), ()):
        again = done("recover", "hold", made, *more, url=url).out
        assert "is on hold already, by " in again
        assert by in again
        assert ": case 2214." in again
        assert ("To give another reason, release it first" in again) is bool(more)
    assert done("recover", "hold", made, "--json", url=url).json["held_reason"] == "case 2214"
    log = "SELECT count(*) FROM zanith._zanith_audit_log WHERE action IN ('hold', 'release')"
    assert database.psql(log) == "1"
    assert "is no longer on hold" in done("recover", "release", made, url=url).out


@pytest.mark.parametrize(
    ("strategy", "left"),
    [
        ("soft", "none of its data is parked any more"),
        ("archive", "its archive stays until it is purged"),
    ],
)
def test_what_is_back_is_said_to_be_back(url, strategy, left):
    made = done(*COLUMN, "--strategy", strategy, "--yes", "--json", url=url).json["id"]
    assert "as it was recorded" in done("recover", "inspect", made, url=url).out
    done("recover", "restore-column", "orders.legacy_code", "--yes", url=url)
    shown = done("recover", "inspect", made, url=url).out
    assert f"restored; {left}" in shown
    assert "↩ restored" in shown
    for wrong in (
        "nothing speaks against",
        "✓ ok",
        "This stops it",
        "Your choices",
        "would come back",
        "psql script",
    ):
        assert wrong not in shown
    assert ("parked as" in shown) is (strategy == "archive")


@pytest.mark.parametrize("strategy", ["soft", "archive"])
def test_a_plan_names_what_goes_with_the_column(url, strategy):
    plan = (*COLUMN, "--strategy", strategy, "--dry-run")
    shown = done(*plan, url=url).out
    assert "Goes with the column, and comes back with it" in shown
    found = done(*plan, "--json", url=url).json["goes_with"]
    assert found == [
        {"kind": "index", "name": "by_code"},
        {"kind": "unique constraint", "name": "one"},
        {"kind": "check constraint", "name": "short"},
    ]
    for item in found:
        assert f"• {item['kind']} {item['name']}" in shown
    serial = ("drop", "column", "orders.extra", "--strategy", strategy, "--dry-run", "--json")
    assert done(*serial, url=url).json["goes_with"] == [
        {"kind": "sequence", "name": "public.orders_extra_seq"}
    ]
    table = ("drop", "table", "carts", "--strategy", strategy, "--dry-run", "--json")
    assert done(*table, url=url).json["goes_with"] == []


def test_an_archive_that_is_half_done_is_listed_so(database, url, create_role):
    made = done(*COLUMN, "--strategy", "soft", "--yes", "--json", url=url).json["id"]
    name = "SELECT physical_column FROM zanith._zanith_migration_artifacts"
    assert database.psql(name)
    database.psql(f"SELECT zanith.begin_archive('{made}')")
    (listed,) = done("recover", "list", "--json", url=url).json["artifacts"]
    assert listed["unfinished"] == "archiving"
    for columns in ("80", "120"):
        shown = done("recover", "list", url=url, COLUMNS=columns).out
        assert "◐ archiving" in shown
        assert "ok" not in shown.split("archiving")[1]
    inspected = done("recover", "inspect", made, url=url).out
    assert "the online archive is not finished" in " ".join(inspected.split())
    # also for a role that may do nothing but look
    role = create_role("looker")
    done("init", "--grant", role, url=url)
    url_of = f"{url}&user={role}" if "?" in url else f"{url}?user={role}"
    seen = zanith("recover", "list", "--json", url=url_of)
    assert seen.code == 0, seen
    assert seen.json["artifacts"][0]["unfinished"] == "archiving"
    database.psql(f"SELECT zanith.give_up('{made}')")
    (listed,) = done("recover", "list", "--json", url=url).json["artifacts"]
    assert listed["unfinished"] is None


def test_a_mismatch_is_said_wherever_the_verification_is(database, url):
    made = done(*COLUMN, "--strategy", "archive", "--yes", "--json", url=url).json
    done("recover", "verify", made["id"], url=url)
    assert "it matched its seal" in done("recover", "inspect", made["id"], url=url).out
    place = f'{made["physical_schema"]}."{made["physical_name"]}"'
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER ALL; UPDATE {place} SET legacy_code = 'x' WHERE id = 7"
    )
    assert zanith("recover", "verify", made["id"], url=url).code == 4
    assert "it did NOT match its seal" in done("recover", "inspect", made["id"], url=url).out
    doctor = zanith("recover", "doctor", url=url).out
    assert "✗ public.orders.legacy_code: it did not match its seal" in doctor
    purge = typed("recover", "purge", made["id"], url=url, answer="no")
    assert "it did NOT match its seal" in purge.err
    # it is said before the question, not after it
    restore = typed(
        "recover", "restore-column", "orders.legacy_code", url=url, answer="legacy_code"
    )
    assert restore.code == 4
    assert "did not match its seal when it was last verified" in " ".join(restore.err.split())
    assert "Type public.orders" not in restore.err
