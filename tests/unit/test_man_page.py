"""The man page says what the help says, in macros that man takes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from app.cli.tree import command
from scripts.man_page import page
from tests.command_tree import leaves


def test_every_command_and_option_is_on_the_page():
    text = page().replace(r"\-", "-")
    for words, leaf in leaves(command()):
        assert f".SS zanith {' '.join(words)}" in text
        for option in leaf.params:
            for name in option.opts if option.param_type_name == "option" else ():
                assert rf"\fB{name}\fR" in text, (words, name)


def test_options_of_every_command_are_listed_once():
    text = page().replace(r"\-", "-")
    before, listed = text.split(".SH OPTIONS OF EVERY COMMAND")
    listed = listed.split(".SH ")[0]
    for name in ("--json", "--database-url", "--host", "--profile"):
        assert rf"\fB{name}\fR" in listed
    assert r"\fB--profile\fR" not in before


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff on this machine")
def test_man_takes_it_without_a_warning():
    drawn = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww"], input=page().encode(), capture_output=True, check=True
    )
    assert drawn.stderr == b""
    assert b"Restore under this name" in drawn.stdout.replace(b"\n", b" ")
