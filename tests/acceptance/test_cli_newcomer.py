"""What a person meets who uses the command for the first time: names, hints, and what is gone."""

from __future__ import annotations

import bz2
import gzip

import pytest

from tests.acceptance.command import done, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


def archive(url: str, *more: str) -> str:
    drop = ("drop", "column", "orders.legacy_code", "--strategy", "archive", "--yes", "--json")
    made: str = done(*drop, *more, url=url).json["id"]
    return made


def test_inspect_shows_the_tombstone_of_what_was_purged(url):
    made = archive(url, "--reason", "replaced by sku")
    sealed = done("recover", "seal", made, "--json", url=url).json["checksum"]
    done("recover", "purge", made, "--reason", "retention is over", "--yes", url=url)
    for reference in (made, made[:6], "orders.legacy_code", "public.orders.legacy_code"):
        shown = done("inspect", reference, url=url).out
        assert "public.orders.legacy_code  purged" in shown
        for words in (made, sealed, "retention is over", "replaced by sku", "purged", " by "):
            assert words in shown
    as_json = done("inspect", made, "--json", url=url).json
    (listed,) = done("list", "--purged", "--json", url=url).json["purged"]
    assert {key: as_json[key] for key in listed} == listed
    assert zanith("inspect", "orders.other", url=url).code == 3
    assert zanith("recover", "restore", made, "--yes", url=url).code == 3


def test_status_counts_as_expiring_what_a_cleanup_would_take(url, database):
    made = archive(url, "--expires-in", "3d")
    other = "zanith.soft_drop_column('orders', 'total', expires_in => '3 days')"
    database.psql(f"SELECT {other}")

    def counted() -> tuple[int, int]:
        totals = done("status", "--json", url=url).json["artifacts"]
        return totals["expiring_soon"], totals["expired"]

    assert counted() == (2, 0)
    done("recover", "hold", made, url=url)
    assert counted() == (1, 0)
    done("recover", "restore-column", "orders.total", "--yes", url=url)
    assert counted() == (0, 0)
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() - interval '1d'"
    )
    assert counted() == (0, 0)
    assert "  expired" not in done("doctor", url=url).out
    done("recover", "release", made, url=url)
    assert counted() == (0, 1)
    assert "  expired" in done("doctor", url=url).out


def test_what_doctor_says_of_unverified_artifacts_can_be_run(url):
    made = archive(url)
    done("recover", "seal", made, url=url)
    said = done("doctor", url=url).out
    assert f"1 never verified ({made}): zanith recover verify --all" in said
    done("recover", "verify", "--all", url=url)
    assert "never verified" not in done("doctor", url=url).out


def test_the_review_of_a_purge_says_what_was_restored_and_what_stays(url):
    made = archive(url)
    before = done("recover", "purge", made, "--dry-run", url=url).out
    assert "Purge public.orders.legacy_code for good" in before
    assert "the rows of the table stay; the archived values are deleted" in before
    done("recover", "restore-column", "orders.legacy_code", "--yes", url=url)
    after = done("recover", "purge", made, "--dry-run", url=url).out
    assert "Purge the archive of public.orders.legacy_code for good" in after
    assert "the restored column and its rows stay; only its archive is deleted" in after
    assert "restored  0s ago" in after or "restored  " in after
    named = zanith("recover", "purge", "orders.legacy_code", "--yes", url=url)
    assert named.code == 4
    assert f"to purge the archive that it left, give its id: {made}" in named.err
    listed = done("recover", "cleanup", "--older-than", "0s", "--before-expiry", "-n", url=url).out
    assert "restored: only its archive would go" in " ".join(listed.split())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("c.csv.bz2", (), "not compressed with bzip2"),
        ("c.zip", (), "not compressed with zip"),
        ("c.xlsx", (), "pass --format spreadsheet"),
        ("c.csv", ("--format", "json"), "the name of a csv file, and --format says json"),
        ("c.jsonl.gz", ("--format", "csv"), "the name of a jsonl file, and --format says csv"),
        ("c.csv.gz", ("--compress", "zstd"), "--compress says zstd"),
    ],
)
def test_an_export_refuses_a_name_that_promises_something_else(url, tmp_path, name, options, said):
    archive(url)
    export = ("recover", "export", "orders.legacy_code", "--output", str(tmp_path / name))
    refused = zanith(*export, *options, url=url)
    assert refused.code == 2
    assert said in " ".join(refused.err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_case_of_a_suffix_does_not_matter_and_a_pipe_compresses_otherwise(url, tmp_path):
    archive(url)
    export = ("recover", "export", "orders.legacy_code")
    done(*export, "--output", str(tmp_path / "C.CSV.GZ"), url=url)
    plain = gzip.decompress((tmp_path / "C.CSV.GZ").read_bytes()).decode()
    assert plain.startswith("id,legacy_code\n")
    done(*export, "--output", str(tmp_path / "c.csv"), "--format", "spreadsheet", url=url)
    piped = done(*export, "--output", "-", url=url).out
    assert bz2.decompress(bz2.compress(piped.encode())).decode() == plain


def test_jobs_are_listed_as_far_as_is_said(url, database):
    database.psql(
        "INSERT INTO zanith._zanith_jobs (id, kind, object, state, actor, created_at, started_at,"
        " ended_at) SELECT lpad(n::text, 16, '0'), 'verify', 'public.t', 'done', 'ana',"
        " now() - n * interval '1h', now() - n * interval '1h', now() - n * interval '1h'"
        " FROM generate_series(1, 30) n"
    )
    shown = done("jobs", "list", url=url).out
    assert "the newest 20 jobs; --all or --limit shows older ones" in shown
    assert "started 1h ago by ana" in shown
    assert len(done("jobs", "list", "--json", url=url).json["jobs"]) == 20
    assert done("jobs", "list", "--json", url=url).json["more"] is True
    for more in (("--all",), ("--limit", "30")):
        found = done("jobs", "list", *more, "--json", url=url).json
        assert (len(found["jobs"]), found["more"]) == (30, False)
        assert "--all" not in done("jobs", "list", *more, url=url).out
    assert zanith("jobs", "list", "--all", "--limit", "2", url=url).code == 2
    assert "started  " in done("jobs", "show", "0" * 15 + "1", url=url).out


@pytest.mark.parametrize(
    ("options", "env", "named"),
    [
        (("-h", "127.0.0.1", "-p", "1"), {}, "its address in -h and -p"),
        (("-d", "postgresql://127.0.0.1:1/x"), {}, "its address in -d"),
        ((), {"PGHOST": "127.0.0.1", "PGPORT": "1"}, "its address in PGHOST and PGPORT"),
        (("--profile", "away"), {}, "its address in the profile away"),
        (
            ("-p", "1"),
            {"ZANITH_DATABASE_URL": "postgresql://127.0.0.1:5/x"},
            "its address in -p and ZANITH_DATABASE_URL",
        ),
    ],
)
def test_a_hint_names_what_named_the_server(tmp_path, options, env, named):
    config = tmp_path / "config.toml"
    config.write_text('[profiles.away]\ndatabase_url = "postgresql://127.0.0.1:1/x"\n')
    for form in ((), ("--json",)):
        failed = zanith("list", *options, *form, ZANITH_CONFIG=str(config), **env)
        assert failed.code == 1
        assert named in " ".join((failed.err or failed.error["hint"]).split())


def test_the_shell_offers_what_each_restore_takes(url, database, tmp_path):
    made = archive(url, "--migration-id", "0007_codes")
    done("drop", "table", "carts", "--strategy", "soft", "--yes", url=url)
    database.psql(
        "CREATE SCHEMA app; CREATE TABLE app.invoices (id int, paid bool);"
        f'ALTER DATABASE "{database.name}" SET search_path = app, public'
    )
    config = tmp_path / "config.toml"
    config.write_text('[profiles.shop]\n[profiles.staging]\n[profiles."odd"]\n')

    def offered(line: str) -> list[str]:
        result = zanith(
            _ZANITH_COMPLETE="complete_bash",
            COMP_WORDS=line,
            COMP_CWORD=str(line.count(" ")),
            ZANITH_DATABASE_URL=url,
            ZANITH_CONFIG=str(config),
        )
        assert result.err == ""
        return result.out.split()

    assert offered("zanith recover restore-column ") == ["public.orders.legacy_code"]
    assert offered("zanith recover restore-column ord") == ["orders.legacy_code"]
    assert offered("zanith recover restore-table ") == ["public.carts"]
    assert offered("zanith recover restore-migration 00") == ["0007_codes"]
    assert offered("zanith list --profile s") == ["shop", "staging"]
    assert offered("zanith drop table inv") == ["invoices"]
    assert offered("zanith drop column invoices.") == ["invoices.id", "invoices.paid"]
    done("recover", "verify", made, url=url)
    (job,) = done("jobs", "list", "--limit", "1", "--json", url=url).json["jobs"]
    assert offered(f"zanith jobs show {job['id'][:6]}") == [job["id"]]


def test_a_migration_offers_the_choices_that_it_takes(url, database):
    made = archive(url, "--migration-id", "0007_codes")
    database.psql("ALTER TABLE orders ADD legacy_code text")
    migration = ("recover", "restore-migration", "0007_codes", "--dry-run")
    shown = zanith(*migration, url=url)
    assert shown.code == 4
    flat = " ".join(shown.out.split())
    assert f"resolve with zanith recover restore {made} --as NAME" in flat
    offered = flat.split("Your choices")[1]
    assert "--fill VALUE" in offered
    for other in ("--as ", "--online ", "--fire-triggers "):
        assert other not in offered
        assert other in done("recover", "restore-column", "--help").out
        assert other not in done("recover", "restore-migration", "--help").out
    done("recover", "restore", made, "--as", "old_code", "--yes", url=url)
    assert "Nothing is left to restore" in done(*migration, url=url).out


def test_a_command_without_its_group_is_named_with_it():
    for word, group in (("purge", "recover"), ("column", "drop"), ("cancel", "jobs")):
        failed = zanith(word, "x")
        assert failed.code == 2
        assert f"hint: zanith {group} {word}" in failed.err
    assert "hint: zanith --help" in zanith("nothing").err
