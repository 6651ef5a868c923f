"""Rows that leave and rows that go for good: export, seal, verify, purge, cleanup."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import subprocess
import time
from subprocess import DEVNULL

import pytest
import zstandard

from tests.acceptance.command import PROGRAM, done, environment, typed, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest

ROWS = 50

TWO_ALIKE = """
INSERT INTO zanith._zanith_migration_artifacts
    (id, artifact_type, source_schema, source_table, physical_schema, physical_table, definition,
     created_by, captured_with)
SELECT 'gone000' || n, 'archive_table', 'public', 'x' || n, '_zanith_shadow', 'x' || n,
       '{"table": {"owner": "postgres"}}', 'me', 'test'
FROM generate_series(1, 2) AS n;
"""


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


@pytest.fixture
def artifact(url):
    """The archived column of the shop's orders, sealed."""
    return done(
        *("drop", "column", "orders.legacy_code", "--strategy", "archive", "--yes", "--json"),
        url=url,
    ).json


def dropped_table(url: str, name: str, *more: str) -> dict:
    given = ("--strategy", "archive", "--yes", "--json")
    artifact: dict = done("drop", "table", name, *given, *more, url=url).json
    return artifact


class TestExport:
    """A file that sha256sum can check, or a stream."""

    def test_a_csv_file_has_the_recorded_checksum_and_a_manifest(self, url, artifact, tmp_path):
        file = tmp_path / "codes.csv"
        told = done(
            "recover", "export", artifact["id"], "--output", str(file), "--json", url=url
        ).json
        content = file.read_bytes()
        assert hashlib.sha256(content).hexdigest() == artifact["checksum"] == told["checksum"]
        assert told["equals_seal"] is True
        assert told["row_count"] == ROWS
        assert len(list(csv.reader(io.StringIO(content.decode())))) == ROWS + 1
        assert {path.name for path in tmp_path.iterdir()} == {
            "codes.csv",
            "codes.csv.manifest.json",
        }

    def test_stdout_has_the_rows_and_nothing_else(self, url, artifact):
        out = done("recover", "export", "orders.legacy_code", "--output", "-", url=url).out
        assert hashlib.sha256(out.encode()).hexdigest() == artifact["checksum"]

    @pytest.mark.newest
    def test_jsonl_and_json(self, url, artifact):
        export = ("recover", "export", artifact["id"], "--output", "-", "--format")
        lines = done(*export, "jsonl", url=url).out.splitlines()
        rows = json.loads(done(*export, "json", url=url).out)
        assert [json.loads(line) for line in lines] == rows
        assert len(rows) == ROWS

    @pytest.mark.newest
    @pytest.mark.parametrize("form", ["gzip", "zstd"])
    def test_compression(self, url, artifact, tmp_path, form):
        file = tmp_path / "rows"
        done(
            *("recover", "export", artifact["id"], "--output", str(file), "--compress", form),
            url=url,
        )
        raw = file.read_bytes()
        plain = (
            gzip.decompress(raw)
            if form == "gzip"
            else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        )
        assert hashlib.sha256(plain).hexdigest() == artifact["checksum"]

    @pytest.mark.newest
    def test_a_directory_takes_a_name_after_the_object(self, url, artifact, tmp_path):
        told = done(
            "recover", "export", artifact["id"], "--output", str(tmp_path), "--json", url=url
        ).json
        assert told["file"].startswith(str(tmp_path))
        assert "legacy_code" in told["file"]

    @pytest.mark.newest
    def test_a_place_that_cannot_be_written_leaves_nothing(self, url, artifact, tmp_path):
        target = tmp_path / "no" / "such" / "codes.csv"
        result = zanith("recover", "export", artifact["id"], "--output", str(target), url=url)
        assert result.code == 1, result
        assert str(target.parent) in result.err
        assert not any(tmp_path.iterdir())

    @pytest.mark.newest
    def test_a_reader_who_leaves_ends_it(self, database):
        database.psql(
            "CREATE TABLE many AS SELECT n AS id, repeat('x', 200) AS pad"
            " FROM generate_series(1, 200000) n; ALTER TABLE many ADD PRIMARY KEY (id)"
        )
        artifact = dropped_table(database.url, "many")
        process = subprocess.Popen(
            [PROGRAM, "recover", "export", artifact["id"], "--output", "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(database.url),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10_000)
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""
        process.stderr.close()

    async def test_the_next_takes_away_what_a_killed_one_left_and_what_no_other_writes(
        self, url, artifact, connection, tmp_path
    ):
        def begin() -> subprocess.Popen:
            before = set(tmp_path.iterdir())
            wanted = ("recover", "export", artifact["id"], "--output", tmp_path / "codes.csv")
            process = subprocess.Popen([PROGRAM, *wanted], env=environment(url), stderr=DEVNULL)
            deadline = time.monotonic() + 30
            while len(set(tmp_path.iterdir()) - before) < 2:  # the rows, and the manifest
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            return process

        async with connection.transaction():  # an export that ends writes there
            await connection.execute("LOCK TABLE zanith._zanith_audit_log IN SHARE MODE")
            killed = begin()
            killed.kill()
            killed.wait()
            left = set(tmp_path.iterdir())
            assert len(left) == 2
            first = begin()
            assert not left & set(tmp_path.iterdir())
            second = begin()
            assert len(list(tmp_path.iterdir())) == 4
        assert [first.wait(30), second.wait(30)] == [0, 0]
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "codes.csv",
            "codes.csv.manifest.json",
        ]


class TestProof:
    """Seal and verify."""

    def test_a_capture_is_sealed_and_verifies(self, url, artifact):
        assert artifact["sealed_at"]
        result = done("recover", "verify", artifact["id"], "--json", url=url).json
        assert result["matches"] is True
        assert result["actual"] == artifact["checksum"]
        again = done("recover", "inspect", artifact["id"], "--json", url=url).json
        assert again["verified_at"]

    def test_what_plain_sql_captured_is_sealed_by_hand(self, database, url):
        database.psql("SELECT zanith.archive_table('carts')")
        assert (
            done("recover", "list", "--json", url=url).json["artifacts"][0]["health"] == "unsealed"
        )
        sealed = done("recover", "seal", "carts", "--json", url=url).json
        assert sealed["row_count"] == 20
        assert len(sealed["checksum"]) == 64
        assert sealed["health"] == "ok"

    def test_a_soft_dropped_column_has_no_seal(self, url):
        done("drop", "column", "orders.note", "--strategy", "soft", "--yes", url=url)
        assert zanith("recover", "seal", "orders.note", url=url).code == 4


class TestPurge:
    """Nothing goes silently, and a tombstone stays."""

    def test_purge_deletes_and_leaves_a_tombstone(self, database, url, artifact):
        done(
            *("recover", "purge", artifact["id"], "--yes", "--reason", "retention", "--json"),
            url=url,
        )
        assert done("recover", "list", "--json", url=url).json["artifacts"] == []
        place = f"{artifact['physical_schema']}.{artifact['physical_name']}"
        assert database.psql(f"SELECT to_regclass('{place}') IS NULL") == "t"
        stone = json.loads(
            database.psql(
                "SELECT detail FROM zanith._zanith_audit_log"
                " WHERE action = 'purge' AND outcome = 'done'"
            )
        )
        assert artifact["checksum"] in json.dumps(stone)
        assert "retention" in json.dumps(stone)
        kept = zanith("recover", "inspect", artifact["id"], url=url)
        assert (kept.code, artifact["checksum"] in kept.out) == (0, True)

    @pytest.mark.newest
    def test_it_is_reviewed_and_typed(self, url, artifact):
        refused = typed("recover", "purge", artifact["id"], url=url, answer="yes")
        assert refused.code == 4
        assert artifact["checksum"] in refused.err
        assert "never" in refused.err  # neither exported nor verified
        done("recover", "export", artifact["id"], "--output", "-", url=url)
        purged = typed("recover", "purge", artifact["id"], url=url, answer="legacy_code")
        assert purged.code == 0, purged
        assert re.search(r"exported +(just now|[\d.]+ ?m?s ago) by ", purged.err), purged.err

    @pytest.mark.newest
    def test_without_a_terminal_or_yes_nothing_goes(self, url, artifact):
        assert zanith("recover", "purge", artifact["id"], url=url).code == 4
        assert len(done("recover", "list", "--json", url=url).json["artifacts"]) == 1

    def test_a_dependent_of_the_archive_refuses(self, database, url):
        table = dropped_table(url, "carts")
        database.psql(
            f"CREATE VIEW v AS SELECT * FROM {table['physical_schema']}.{table['physical_name']}"
        )
        result = zanith("recover", "purge", "carts", "--yes", url=url)
        assert result.code == 4
        assert "v" in result.err


class TestCleanup:
    """By age, one at a time; never and held stay."""

    @pytest.fixture
    def four(self, database, url):
        """An expired one, an expired one on hold, one that stays, and one kept for ever."""
        database.psql("".join(f"CREATE TABLE t{n} (id int PRIMARY KEY);" for n in range(4)))
        made = [
            dropped_table(url, "t0"),
            dropped_table(url, "t1"),
            dropped_table(url, "t2"),
            dropped_table(url, "t3", "--expires-in", "never"),
        ]
        database.psql(
            "UPDATE zanith._zanith_migration_artifacts SET created_at = now() - interval '40 days',"
            " expires_at = now() - interval '10 days' WHERE source_table IN ('t0', 't1')"
        )
        done("recover", "hold", made[1]["id"], "--reason", "audit", url=url)
        return made

    def left(self, url: str) -> set[str]:
        return {
            a["source_table"] for a in done("recover", "list", "--json", url=url).json["artifacts"]
        }

    @pytest.mark.usefixtures("four")
    def test_expired(self, url):
        planned = done("recover", "cleanup", "--expired", "--dry-run", "--json", url=url).json[
            "candidates"
        ]
        assert {p["artifact"]["source_table"]: bool(p["skip"]) for p in planned} == {
            "t0": False,
            "t1": True,
        }
        assert self.left(url) == {"t0", "t1", "t2", "t3"}
        told = done("recover", "cleanup", "--expired", "--yes", "--json", url=url).json["results"]
        assert ("purged", "t0") in {
            (result["outcome"], result["artifact"]["source_table"]) for result in told
        }
        assert self.left(url) == {"t1", "t2", "t3"}

    @pytest.mark.usefixtures("four")
    def test_older_than_takes_a_bare_number_of_days_and_spares_what_has_time_left(
        self, database, url
    ):
        database.psql(
            "UPDATE zanith._zanith_migration_artifacts SET created_at = now() - interval '40 days',"
            " expires_at = now() + interval '50 days' WHERE source_table = 't2'"
        )
        old = ("recover", "cleanup", "--older-than", "30")
        shown = done(*old, "--dry-run", url=url).out
        assert "1 artifact to purge" in shown
        assert "kept until 20" in shown
        assert "--before-expiry also takes those" in shown
        done(*old, "--yes", url=url)
        assert self.left(url) == {"t1", "t2", "t3"}
        done(*old, "--before-expiry", "--yes", url=url)
        assert self.left(url) == {"t1", "t3"}
        assert zanith("recover", "cleanup", "--expired", "--before-expiry", url=url).code == 2
        assert "write 1min for minutes" in zanith(*old[:3], "1m", "--yes", url=url).err

    @pytest.mark.newest
    @pytest.mark.usefixtures("four")
    def test_a_person_types_the_number(self, url):
        assert typed("recover", "cleanup", "--expired", url=url, answer="2").code == 4
        assert typed("recover", "cleanup", "--expired", url=url, answer="1").code == 0
        assert self.left(url) == {"t1", "t2", "t3"}

    @pytest.mark.newest
    def test_nothing_to_do_is_no_fault(self, url):
        assert (
            done("recover", "cleanup", "--expired", "--yes", "--json", url=url).json["results"]
            == []
        )
        assert "Nothing" in done("recover", "cleanup", "--expired", url=url).out


@pytest.mark.newest
class TestList:
    """Filters and references."""

    @pytest.mark.usefixtures("artifact")
    def test_filters(self, database, url):
        dropped_table(url, "carts")

        def listed(*args: str) -> list[str]:
            found = done("recover", "list", *args, "--json", url=url).json["artifacts"]
            return [artifact["source_table"] for artifact in found]

        assert listed() == ["carts", "orders"]
        assert listed("--type", "archive_table") == ["carts"]
        assert listed("--table", "public.orders") == ["orders"]
        assert listed("--table", "carts", "--status", "restored") == []
        assert listed("--limit", "1") == ["carts"]
        assert listed("--older-than", "1d") == []
        database.psql(
            "UPDATE zanith._zanith_migration_artifacts SET created_at = now() - interval '2 days'"
            " WHERE source_table = 'orders'"
        )
        assert listed("--older-than", "1d") == ["orders"]
        assert listed("--older-than", "1") == ["orders"]

    def test_a_unique_prefix_is_enough(self, url, artifact):
        found = done("recover", "inspect", artifact["id"][:6], "--json", url=url).json
        assert found["id"] == artifact["id"]

    def test_an_ambiguous_prefix_names_the_candidates(self, database, url):
        database.psql(TWO_ALIKE)
        result = zanith("recover", "inspect", "gone0", "--json", url=url)
        assert result.code == 2
        assert result.error["detail"] == "gone0001, gone0002"

    def test_a_name_goes_before_the_beginning_of_an_id(self, database, url):
        database.psql(TWO_ALIKE + "CREATE TABLE gone (id int PRIMARY KEY);")
        dropped = dropped_table(url, "gone")["id"]
        assert done("recover", "inspect", "gone", "--json", url=url).json["id"] == dropped

    def test_three_characters_are_no_prefix(self, url, artifact):
        result = zanith("recover", "inspect", artifact["id"][:3], "--json", url=url)
        assert result.code == 3
        assert "at least 4 characters" in result.error["hint"]

    def test_an_empty_list_says_why(self, url):
        assert "Nothing has been dropped yet." in done("recover", "list", url=url).out
        gone = dropped_table(url, "carts")
        done("recover", "purge", gone["id"], "--yes", url=url)
        assert "Nothing is parked. 1 artifact was purged" in done("recover", "list", url=url).out
        assert "No artifacts match." in done("recover", "list", "--table", "x", url=url).out
