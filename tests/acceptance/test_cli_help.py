"""What a newcomer meets: help with examples, the version, completion, and words on a wrong line."""

from __future__ import annotations

import re

import pytest

from app.cli.tree import command as command_tree
from tests.acceptance.command import done, zanith

pytestmark = pytest.mark.newest

GROUPS = [(), ("drop",), ("recover",), ("jobs",)]
COMMANDS = [
    ("init",),
    ("coverage",),
    ("demo",),
    ("studio",),
    ("worker",),
    ("uninstall",),
    *((verb,) for verb in ("list", "status", "inspect", "doctor")),
    *(("jobs", verb) for verb in ("list", "show", "cancel", "pause", "resume")),
    *(("drop", verb) for verb in ("column", "table", "rebuild")),
    *(
        ("recover", verb)
        for verb in (
            "list",
            "inspect",
            "status",
            "doctor",
            "restore",
            "restore-column",
            "restore-table",
            "restore-migration",
            "export",
            "seal",
            "verify",
            "hold",
            "release",
            "erase",
            "purge",
            "cleanup",
        )
    ),
]
ONLINE = {("drop", "column"), ("recover", "restore"), ("recover", "restore-column")}


def _leaf(words):
    tree = command_tree()
    for word in words:
        tree = tree.commands[word]
    return tree


@pytest.mark.parametrize("command", GROUPS + COMMANDS, ids=" ".join)
def test_every_help_has_an_example_and_fits_80_columns(command):
    shown = done(*command, "--help", COLUMNS="80").out
    assert "Example:" in shown
    short = command[1:] if command[1:] in COMMANDS else command
    examples = [f"$ {' '.join(('zanith', *words))}" for words in (command, short)]
    assert any(line in shown for line in examples) or not command or "ZANITH_" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert not re.search(r"<bool>|<str>|<list|\[x>=|<=x<=|\{", shown)
    assert not re.search(r"--[\w-]+…", shown), "an option is cut"
    lines = [line.strip() for line in shown.splitlines()]
    texts = [line.strip() for line in (_leaf(command).help or "").splitlines()]
    assert [each for each in texts if each.startswith("$ ") and each not in lines] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_offers_only_what_works(command):
    shown = done(*command, "--help", COLUMNS="120").out
    assert ("--online" in shown) == (command in ONLINE)
    assert ("--rehearse" in shown) == (command[-1].startswith("restore"))


def test_version_names_the_program():
    assert done("--version").out.startswith("zanith ")


@pytest.mark.parametrize("args", [(), ("recover",), ("drop",), ("jobs",)], ids=" ".join)
def test_without_a_verb_the_help_is_shown(args):
    result = done(*args, COLUMNS="80")
    assert f"Usage: {' '.join(('zanith', *args))}" in result.out
    assert "Commands" in result.out
    assert result.err == ""
    # each command is told of in whole sentences, whose lines fill the width
    assert "a shop with history, and the studio" in " ".join(done().out.replace("│", " ").split())


@pytest.mark.parametrize(
    "args",
    [
        ("recover", "lst"),
        ("recover", "list", "--limit", "many"),
        ("recover", "list", "--limit", "0"),
        ("recover", "list", "--type", "column"),
        ("recover", "list", "--older-than", "soon"),
        ("recover", "list", "--nonsense"),
        ("recover", "inspect"),
        ("recover", "inspect", "a", "b"),
        ("drop", "column", "orders.legacy_code"),
        ("drop", "column", "orders", "--strategy", "soft"),
        ("drop", "column", 'a"b', "--strategy", "soft"),
        ("drop", "table", "a.b.c", "--strategy", "soft"),
        ("drop", "table", "", "--strategy", "soft"),
        ("drop", "table", "orders", "--strategy", "soft", "--expires-in", "tomorrow"),
        ("recover", "cleanup"),
        ("recover", "cleanup", "--older-than", "never"),
        ("recover", "erase", "x"),
        ("recover", "erase", "x", "--column", "a", "--column", "A"),
        ("recover", "erase", "x", "--column", "a.b"),
        ("recover", "erase", "x", "--column", "a", "--confirm", "x"),
        ("recover", "erase", "x", "--column", "a", "--rows", "0"),
        ("recover", "export", "x", "--output", "-", "--json"),
        ("studio", "--port", "70000"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_a_hint(args):
    result = zanith(*args)
    assert result.code == 2, result
    assert result.out == "" or "--json" in args
    assert "hint: " in result.err or "--json" in args


def test_wrong_usage_with_json_is_one_document():
    result = zanith("recover", "list", "--limit", "many", "--json")
    assert result.code == 2
    assert result.error["code"] == "usage"
    assert set(result.error) == {"code", "message", "detail", "hint", "sqlstate"}
    assert result.err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_the_program(shell):
    script = done("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").out
    assert "_ZANITH_COMPLETE" in script


def test_verbs_complete():
    offered = zanith(
        _ZANITH_COMPLETE="complete_bash", COMP_WORDS="zanith recover re", COMP_CWORD="2"
    ).out.split()
    assert {"restore-column", "restore-table", "restore-migration", "release"} <= set(offered)


def test_completion_of_an_artifact_is_silent_without_a_database():
    result = zanith(
        _ZANITH_COMPLETE="complete_bash",
        COMP_WORDS="zanith recover inspect ",
        COMP_CWORD="3",
        PGHOST="127.0.0.1",
        PGPORT="1",
    )
    assert result.out.strip() == ""
    assert result.err == ""
