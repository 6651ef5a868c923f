"""Every command's --json is one document of one shape, whatever came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.cli.tree import command
from tests.acceptance.command import Result, zanith
from tests.acceptance.shop import ORDERS
from tests.command_tree import leaves

pytestmark = pytest.mark.newest

WITHOUT = {"studio", "demo", "worker"}
"""Commands that run until they are told to stop."""

DROP = ("drop", "column", "orders.legacy_code", "--strategy", "archive")
# In the order in which they are run on one database; {job} is the last that was handed over,
# {artifact} the one of the document before; with {other_person} another person runs it.
STORY = [
    ("init",),
    (*DROP, "--dry-run"),
    (*DROP, "--yes"),
    ("drop", "table", "carts", "--strategy", "soft", "--migration-id", "0042", "--yes"),
    ("drop", "rebuild", "orders", "--keep-rows", "--yes"),
    ("coverage",),
    ("rewrite", "{migration}"),
    ("migrate", "plan", "{migration}"),
    ("migrate", "status", "--dir", "{migrations}"),
    ("migrate", "up", "--dir", "{migrations}"),
    ("migrate", "history"),
    ("migrate", "generate", "add_code", "--dir", "{migrations}"),
    ("migrate", "snapshot", "take"),
    ("migrate", "snapshot", "list"),
    ("migrate", "snapshot", "show", "1"),
    ("migrate", "snapshot", "diff", "1", "live"),
    ("migrate", "down", "--dir", "{migrations}", "--dry-run"),
    ("migrate", "baseline", "--dir", "{migrations}", "--to", "0001", "--dry-run"),
    ("migrate", "verify", "{migration}", "--shadow", "same-server", "--replay", "live", "-d", "{url}"),
    ("list",),
    ("status",),
    ("inspect", "orders.legacy_code"),
    ("doctor",),
    ("recover", "list", "orders"),
    ("recover", "status"),
    ("recover", "inspect", "orders.legacy_code"),
    ("recover", "diff", "orders", "--show", "same"),
    ("recover", "doctor"),
    ("recover", "seal", "carts"),
    ("recover", "verify", "orders.legacy_code"),
    ("recover", "seal", "--all"),
    ("recover", "verify", "--all"),
    ("recover", "verify", "--all", "--older-than", "7d", "--limit-rate", "50MB"),
    ("recover", "hold", "carts", "--reason", "legal"),
    ("recover", "release", "carts"),
    ("recover", "export", "orders.legacy_code", "--output", "{tmp}"),
    ("recover", "erase", "carts", "--column", "id", "--values-from", "{values}", "--dry-run"),
    ("recover", "erase", "carts", "--column", "id", "--values-from", "{values}", "--rows", "1",
     "--confirm", "carts"),
    ("recover", "restore-rows", "orders.legacy_code", "--where", "id = 1", "--print", "csv"),
    ("approvals", "request-erase", "carts", "--column", "id", "--values-from", "{other}",
     "--reason", "request 4711"),
    ("approvals", "request-restore", "orders.legacy_code", "--reason", "the seal is broken"),
    ("approvals", "request-purge", "orders.legacy_code", "--reason", "retention is over"),
    ("approvals", "list"),
    ("approvals", "show", "{approval}"),
    ("approvals", "withdraw", "{approval}"),
    ("approvals", "approve", "{approval}", "--yes"),
    ("approvals", "reject", "{approval}"),
    ("recover", "restore-column", "orders.legacy_code", "--dry-run"),
    ("recover", "restore-column", "orders.legacy_code", "--detach", "--yes"),
    ("jobs", "list"),
    ("jobs", "show", "{job}"),
    ("jobs", "pause", "{job}"),
    ("jobs", "resume", "{job}"),
    ("jobs", "cancel", "{job}"),
    ("recover", "restore-column", "orders.legacy_code", "--rehearse"),
    ("recover", "restore-column", "orders.legacy_code", "--yes"),
    ("recover", "restore-table", "carts", "--dry-run"),
    ("recover", "restore-table", "carts", "--as", "carts_again", "--yes"),
    ("recover", "restore-migration", "0042", "--dry-run"),
    ("recover", "restore-migration", "0042", "--yes"),
    ("recover", "purge", "orders", "-n"),
    ("recover", "purge", "orders", "--yes"),
    ("recover", "cleanup", "--older-than", "0s", "--dry-run"),
    ("recover", "cleanup", "--older-than", "0s", "--before-expiry", "--yes"),
    ("list", "--purged"),
    (*DROP, "--yes"),
    ("recover", "restore", "--last", "--dry-run"),
    ("recover", "restore", "--last", "--yes"),
    ("recover", "purge", "{artifact}", "--yes"),
    ("webhooks", "list"),
    ("webhooks", "test"),
    ("webhooks", "retry"),
    ("guard", "on"),
    ("guard", "status"),
    ("guard", "test", "ALTER TABLE orders DROP COLUMN legacy_code"),
    ("guard", "truncate", "orders"),
    ("guard", "truncate", "orders", "--off"),
    ("guard", "pin", "orders"),
    ("guard", "pin", "orders", "--off"),
    ("guard", "on", "--schema", "public", "--mode", "warn"),
    ("guard", "reset", "--schema", "public"),
    ("guard", "database", "on"),
    ("guard", "database", "off"),
    ("guard", "off", "--yes"),
    ("approvals", "require", "erase"),
    ("uninstall", "--yes"),  # refused: a rule is in force
    ("approvals", "lift", "erase", "--reason", "nobody asks for it"),
    ("approvals", "approve", "{approval}", "--yes", "--database-url", "{other_person}"),
    ("uninstall", "--yes"),
]  # fmt: skip


TREE = dict(leaves(command()))
JSON = {words for words, leaf in TREE.items() if any("--json" in p.opts for p in leaf.params)}


def named(args: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a line that name its command."""
    return next(args[:n] for n in (1, 2, 3) if args[:n] in TREE)


def check(result: Result, words: tuple[str, ...]) -> dict[str, Any]:
    """Assert that stdout is one document of the one shape, and return it."""
    document = result.json
    assert isinstance(document, dict)
    assert list(document)[:2] == ["format_version", "command"]
    assert (document["format_version"], document["command"]) == (1, " ".join(words))
    for key, value, beside in pairs(document):
        assert key != "rows" or isinstance(value, list), (words, key)
        if key.endswith("_by") and value is not None and not key.endswith("requested_by"):
            assert f"{key}_role" in beside, (words, key)
        assert key != "actor" or "actor_role" in beside, words
    return document


def pairs(value: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Return every key of a document with its value and what is beside it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner, value
            yield from pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pairs(inner)


def test_every_command_has_a_document():
    assert {words for words in TREE if words not in JSON} == {(name,) for name in WITHOUT}
    assert {named(args) for args in STORY} == JSON


@pytest.mark.timeout(900)  # about a hundred commands, each a process of its own
def test_every_document_has_the_one_shape(bare_database, create_role, tmp_path):
    bare_database.psql(ORDERS)
    (tmp_path / "values").write_text("3\n")
    (tmp_path / "other").write_text("2\n")
    (tmp_path / "0043.sql").write_text("DROP TABLE carts;")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_more.sql").write_text("CREATE TABLE more (a int);")
    known = {
        "tmp": str(tmp_path),
        "values": str(tmp_path / "values"),
        "other": str(tmp_path / "other"),
        "migration": str(tmp_path / "0043.sql"),
        "migrations": str(tmp_path / "migrations"),
        "other_person": bare_database.server.url(
            bare_database.name, create_role("bob", "LOGIN SUPERUSER")
        ),
        "url": bare_database.url,
    }
    for line in STORY:
        args = [arg.format(**known) for arg in line]
        other = {"LOGNAME": "bob"} if "{other_person}" in line else {}
        result = zanith(*args, "--json", url=bare_database.url, **other)
        assert result.code == 0 or (result.code == 4 and "--detach" not in line), result
        document = check(result, named(line))
        assert not document.get("error") or result.code == 4
        known["artifact"] = document.get("artifact", {}).get("id", "")
        known["approval"] = document.get("approval", {}).get("id") or known.get("approval", "")
        if document.get("job", {}).get("state") == "queued":
            known["job"] = document["job"]["id"]
    assert result.code == 0, result
    assert "zanith.version()" in document["removed"], result


@pytest.mark.parametrize("words", sorted(JSON), ids=" ".join)
def test_an_error_has_it_too(words):
    result = zanith(*words, "--json", "--no-such-option")
    assert result.code == 2
    assert check(result, words)["error"]["code"] == "usage"
    assert result.err == ""
