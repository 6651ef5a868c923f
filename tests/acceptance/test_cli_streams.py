"""The streams of the command: closed, without a reader, in ASCII, with the data or beside it."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess

import pytest
import zstandard

from tests.acceptance.command import PROGRAM, Result, done, environment, typed, zanith
from tests.acceptance.shop import ORDERS
from tests.acceptance.test_cli_exits import reading

pytestmark = pytest.mark.newest


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


@pytest.fixture
def carts(url):
    """An archived table, as its artifact."""
    return done("drop", "table", "carts", "--strategy", "archive", "--yes", "--json", url=url).json


def shell(line: str, url: str, **env: str) -> Result:
    """Run a line of shell in which zanith is the command."""
    ended = subprocess.run(
        ["bash", "-c", f'zanith() {{ "{PROGRAM}" "$@"; }}; {line}'],
        capture_output=True,
        env=environment(url, **env),
        timeout=120,
        check=False,
    )
    result = Result(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in result.out + result.err, result
    return result


def test_a_closed_stream_is_as_the_null_device(url, carts):
    for args in ("recover list", "recover list --json", "--help", "--version"):
        assert shell(f"zanith {args} >&-", url) == Result(0, "", "")
    assert shell("zanith recover lst 2>&-", url).code == 2
    assert shell("zanith recover list >&- 2>&- <&-", url).code == 0
    lost = shell("zanith recover export carts --output - >&-", url)
    assert lost.code == 2
    assert "stdout is closed" in lost.err
    assert done("recover", "inspect", "carts", "--json", url=url).json["exports"] == []
    shell("zanith drop column orders.note --strategy soft --yes >&-", url)
    assert len(done("recover", "list", "--json", url=url).json["artifacts"]) == 2


def test_a_reader_that_leaves_is_no_error(url, carts):
    for args in ("recover list", "recover list --json", "recover export carts"):
        left = shell(f"zanith {args} | true; echo ${{PIPESTATUS[0]}}", url)
        assert left.out.strip() in {"0", "141"}
        assert "error" not in left.err


def test_a_terminal_of_ascii_shows_everything(url):
    done(
        "drop",
        "column",
        "orders.note",
        "--strategy",
        "soft",
        "--reason",
        "für 🚀",
        "--yes",
        url=url,
    )
    for env in (
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        listed = zanith("recover", "list", url=url, **env)
        assert listed.code == 0, listed
        assert listed.out.isascii()
        assert "+ ok" in listed.out
        shown = zanith("recover", "inspect", "orders.note", url=url, **env)
        assert shown.code == 0, shown
        assert "f\\xfcr \\U0001f680" in shown.out
        found = zanith("recover", "list", "--json", url=url, **env)
        assert found.json["artifacts"][0]["reason"] == "für 🚀"
        assert zanith("--help", **env).code == 0
    printed = zanith("init", "--print", PYTHONIOENCODING="ascii")
    assert printed.out == done("init", "--print").out


def test_the_data_goes_to_a_stdout_that_is_no_terminal(url, carts, tmp_path):
    inside = f"cd {tmp_path} &&"
    redirected = shell(f"{inside} zanith recover export carts > out.csv", url)
    assert redirected.code == 0
    data = (tmp_path / "out.csv").read_bytes()
    assert hashlib.sha256(data).hexdigest() == carts["checksum"]
    assert "stdout: 20 rows" in redirected.err
    assert carts["checksum"] in redirected.err
    assert (
        shell(f"{inside} zanith recover export carts --format jsonl | wc -l", url).out.strip()
        == "20"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv"}
    # nothing would be left of it on the null device, and a document is no data
    assert shell(f"{inside} zanith recover export carts > /dev/null", url).code == 0
    named = tmp_path / f"public.carts-{carts['id']}.csv"
    assert named.read_bytes() == data
    named.unlink()
    assert shell(f"{inside} zanith recover export carts --json", url).json["file"] == named.name
    assert named.read_bytes() == data


def test_a_suffix_says_the_form(url, carts, tmp_path):
    def export(name: str, *more: str) -> bytes:
        done("recover", "export", "carts", "--output", str(tmp_path / name), *more, url=url)
        return (tmp_path / name).read_bytes()

    plain = export("x.csv")
    assert gzip.decompress(export("x.csv.gz")) == plain
    assert zstandard.ZstdDecompressor().decompressobj().decompress(export("x.zst")) == plain
    assert len(json.loads(gzip.decompress(export("x.json.gz")))) == 20
    assert export("x.jsonl").count(b"\n") == 20
    assert gzip.decompress(export("z.csv", "--compress", "gzip")) == plain
    both = zanith("recover", "export", "carts", "-o", "x.csv.gz", "--compress", "zstd", url=url)
    assert both.code == 2
    assert "x.csv.gz" in both.err
    other = zanith("recover", "export", "carts", "-o", "y.json", "--format", "csv", url=url)
    assert (other.code, "--format says csv" in other.err) == (2, True)


def test_a_worker_says_what_it_did(url):
    assert "No job was waiting." in done("worker", "--once", url=url).out
    drop = ("drop", "column", "orders.note", "--strategy", "archive", "--online", "--detach")
    done(*drop, "--yes", url=url)
    assert "1 job: 1 done" in done("worker", "--once", url=url).out


def test_a_wait_for_a_lock_says_whom_it_waits_for(database, url):
    drop = ("drop", "column", "orders.note", "--strategy", "soft")
    quick = {"ZANITH_LOCK_TIMEOUT": "300ms", "ZANITH_LOCK_RETRIES": "3"}
    with reading(database, "orders"):
        result = typed(*drop, url=url, answer="note", columns=80, **quick)
    assert result.code == 5, result
    assert result.err.count("Waiting for a lock of pid ") == 1
    shown = " ".join(result.err.split())
    assert "(postgres psql, idle in transaction, its transaction open for" in shown
    assert "waiting for it, try 3" in shown
    assert "did not get its locks in 4 tries of 300ms: nothing was changed" in shown


def test_an_error_of_sql_is_said_in_options(database, url):
    database.psql("CREATE VIEW codes AS SELECT legacy_code FROM orders")
    drop = ("drop", "column", "orders.legacy_code", "--strategy", "archive", "--yes")
    refused = zanith(*drop, url=url)
    assert "--on-dependents cascade" in refused.err
    assert "--strategy soft" in refused.err
    assert "=>" not in refused.err
    assert "CONTEXT" not in refused.err
    assert "--on-dependents cascade" in zanith(*drop, "--json", url=url).error["hint"]
