"""One version everywhere."""

import tomllib
from pathlib import Path

from app.recovery.core.version import VERSION, as_tuple

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_the_engine_and_the_functions_agree():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert package == VERSION
    assert f"SELECT '{VERSION}'" in (ROOT / "migrations/functions/lib/names.sql").read_text("utf-8")


def test_versions_compare_by_number():
    assert as_tuple("0.10.1") > as_tuple("0.9.9+local")
