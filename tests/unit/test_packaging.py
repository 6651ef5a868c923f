"""What the repository may hold, and what the wheel must."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.clusters import run

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "app" / "static" / "vendor" / "htmx.js"
CARRIED = {
    "app/templates": "app/templates",
    "app/static": "app/static",
    "migrations": "app/migrations",
}

# The user chooses where packages come from, so no host of one is named.
REGISTRY = re.compile(
    r"\b(pypi|pythonhosted|npmjs|yarnpkg|jsdelivr|unpkg|cdnjs|docker|ghcr|quay|debian)\.(org|com|net|io)\b"
)
MACHINE = re.compile(r"(?<![\w.:])/(?:root|(?:home|Users)/[a-z]\w*)/")


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """Return path and text of every committed file."""
    try:
        listed = run(["git", "-C", ROOT, "ls-files", "-z"])
    except Exception as error:  # noqa: BLE001 - a source archive, or no git at all
        pytest.skip(f"not a checkout: {error}")
    paths = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text("utf-8", "replace") for name in paths}


def matches(files: dict[str, str], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}: {found.group()}"
        for name, text in files.items()
        for found in pattern.finditer(text)
    ]


def test_no_file_names_a_package_host(tracked):
    assert matches(tracked, REGISTRY) == []


def test_no_file_names_a_place_on_one_machine(tracked):
    assert matches(tracked, MACHINE) == []
    assert matches(tracked, re.compile(re.escape(f"{ROOT}/"))) == []


def test_nothing_built_or_fetched_is_committed(tracked):
    unwanted = ("app/static/vendor/", "node_modules/", "dist/", ".venv/")
    assert [name for name in tracked if name.startswith(unwanted)] == []


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-install.lock", "requirements-dev.lock"]
)
def test_every_pinned_package_has_a_hash(name):
    pinned = re.split(r"^(?=\w)", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert pinned
    assert [package for package in pinned if "--hash=sha256:" not in package] == []


def test_the_image_has_no_server_in_it():
    assert "pgserver" not in (ROOT / "requirements.lock").read_text("utf-8")


def test_the_bundle_has_htmx_before_its_extension():
    text = BUNDLE.read_text("utf-8")
    assert 0 <= text.index("var htmx=") < text.index('defineExtension("sse"')


def test_the_wheel_carries_pages_styles_scripts_and_sql(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())

    expected = {
        str(Path(target) / path.relative_to(ROOT / source))
        for source, target in CARRIED.items()
        for path in (ROOT / source).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert expected - carried == set()
    assert "app/static/vendor/htmx.js" in carried
    assert [name for name in carried if name.endswith("/data/share/man/man1/zanith.1")]
    assert [name for name in carried if not name.startswith(("app/", "zanith-"))] == []
