"""Options of `zanith migrate` that contradict each other, or would have no effect, are refused."""

from __future__ import annotations

import pytest

from tests.acceptance.command import zanith


@pytest.fixture
def place(tmp_path):
    """Two directories of migrations, one/ and two/."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0001_a.sql").write_text("CREATE TABLE a (id int);\n")
    return tmp_path


NEW = "generate new --dir {}/one"
FROM_DIFF = "needs --from-diff"
ONE_OR_AFTER = "a file and --after exclude each other"
REMOVES = "--remove-kept does no more"
REFUSED = [
    (f"{NEW} --check", f"--check {FROM_DIFF}"),
    (f"{NEW} --rename a=b", f"--rename {FROM_DIFF}"),
    (f"{NEW} --drop a", f"--drop {FROM_DIFF}"),
    (f"{NEW} --shadow embedded", f"--shadow {FROM_DIFF}"),
    (f"{NEW} --shadow-url postgresql://h/x", f"--shadow-url {FROM_DIFF}"),
    (f"{NEW} --schema s.sql", "--from-diff and --schema need each other"),
    ("plan {}/one --dir {}/two", "and --dir names another"),
    ("plan {}/one/0001_a.sql --dir {}/one --after 0001", ONE_OR_AFTER),
    ("plan - --after 0001", ONE_OR_AFTER),
    ("plan {}/one --preflight-time 5s", "--preflight-time needs --preflight"),
    ("verify {}/one --dir {}/two", "and --dir names another"),
    ("verify {}/one/0001_a.sql --dir {}/one --after 0001", ONE_OR_AFTER),
    ("verify {}/one --shadow embedded --shadow-url postgresql://h/x", "--shadow embedded makes"),
    ("verify {}/one --remove-kept", f"{REMOVES}, and PATH"),
    ("verify --remove-kept --keep", f"{REMOVES}, and --keep"),
    ("verify --remove-kept --replay live", f"{REMOVES}, and --replay live"),
    ("verify --remove-kept --markdown", f"{REMOVES}, and --markdown"),
    ("baseline --dir {}/one --to 0001 --tool flyway", "--tool and --to exclude each other"),
    ("snapshot show --json --no-owner", "--no-owner has no effect"),
    ("snapshot diff live --json --sql", "--json and --sql exclude each other"),
]


@pytest.mark.newest
@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_options_that_would_be_ignored_are_refused(place, line, message):
    refused = zanith("migrate", *(word.format(place) for word in line.split()))
    assert refused.code == 2, refused
    assert message in refused.out + refused.err
    assert "hint" in refused.out + refused.err
    assert [path.name for path in (place / "one").iterdir()] == ["0001_a.sql"]


@pytest.mark.newest
@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("plan {}/one --dir {}/one", {}),
        ("plan {}/one", {"ZANITH_MIGRATIONS": "{}/two"}),
        ("plan {}/one/0001_a.sql --dir {}/one", {}),
        ("generate new --dir {}/one", {"SHADOW_DATABASE_URL": "postgresql://h/x"}),
    ],
)
def test_a_setting_contradicts_nothing(place, line, settings):
    known = {name: value.format(place) for name, value in settings.items()}
    result = zanith("migrate", *(word.format(place) for word in line.split()), **known)
    assert result.code == 0, result
