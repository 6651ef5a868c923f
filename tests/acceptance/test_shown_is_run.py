"""What you see is what runs: a plan that changed after it was shown is refused, whatever it is of."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.acceptance.command import done, typed
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest

RESTORE = ("recover", "restore-column", "orders.legacy_code")
PARKED_INDEX = """
DO $do$ BEGIN
    EXECUTE (SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index
             WHERE indrelid = 'orders'::regclass AND indexrelid::regclass::text ~ '_zanith_');
END $do$
"""
TRIGGER = """
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
DO $do$ BEGIN
    EXECUTE (SELECT format('CREATE TRIGGER late BEFORE DELETE ON %I.%I EXECUTE FUNCTION nothing()',
                           physical_schema, physical_table)
             FROM zanith._zanith_migration_artifacts WHERE source_table = 'carts');
END $do$
"""


@dataclass(frozen=True)
class Case:
    """A command, what somebody else does while its plan is on the screen, and the answers."""

    command: tuple[str, ...]
    meanwhile: str | tuple[str, ...]
    answers: tuple[str, ...]


# Each goes on from the one before; each is refused first, and then runs.
CASES = (
    Case(
        ("drop", "column", "orders.legacy_code", "--strategy", "soft"),
        "CREATE INDEX late_1 ON orders (legacy_code)",
        ("legacy_code",),
    ),
    Case(RESTORE, PARKED_INDEX, ("legacy_code",)),
    Case(
        ("drop", "column", "orders.legacy_code", "--strategy", "archive", "--online"),
        "CREATE INDEX late_2 ON orders (legacy_code)",
        ("legacy_code",),
    ),
    Case(
        ("drop", "table", "carts", "--strategy", "archive", "--migration-id", "7"),
        "CREATE INDEX late_3 ON carts (id)",
        ("carts",),
    ),
    Case(
        ("recover", "erase", "carts", "--column", "id"),
        TRIGGER,
        ("1", "carts"),
    ),
    Case(
        ("recover", "restore-migration", "7"),
        ("drop", "table", "spare", "--strategy", "soft", "--migration-id", "7", "--yes"),
        ("7",),
    ),
    Case(
        ("recover", "purge", "gone"),
        ("recover", "restore-table", "gone", "--yes"),
        ("gone",),
    ),
)


def test_a_plan_that_changed_while_it_was_shown_is_refused_and_the_new_one_runs(database):
    url = database.url
    database.psql(ORDERS)
    database.psql(
        "CREATE TABLE spare (id int); CREATE TABLE gone (id int); INSERT INTO gone VALUES (1)"
    )
    done("drop", "table", "gone", "--strategy", "archive", "--yes", url=url)
    books = "SELECT count(*), count(restored_at) FROM zanith._zanith_migration_artifacts"
    for case in CASES:
        *first, last = case.answers
        seen: list[str] = []

        def change(case=case, last=last, seen=seen):
            if isinstance(case.meanwhile, str):
                database.psql(case.meanwhile)
            else:
                done(*case.meanwhile, url=url)
            seen.append(database.psql(books))
            return last

        refused = typed(*case.command, url=url, answer=[*first, change])
        assert refused.code == 4, (case, refused)
        assert "is not the one that was confirmed: nothing was changed" in refused.err, case
        assert "look at the new plan" in " ".join(refused.err.split()), case
        assert database.psql(books) == seen[0], case
        again = typed(*case.command, url=url, answer=list(case.answers))
        if case.command[1] != "purge":  # it is live again: what is left is named by its id
            assert again.code == 0, (case, again)
