"""The files for CI in docs/ci: they are YAML, and their commands run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CI = Path(__file__).resolve().parents[2] / "docs" / "ci"
SAFE = "ALTER TABLE t ADD COLUMN b int;\n"
DANGEROUS = "ALTER TABLE t DROP COLUMN a;\n"


@pytest.fixture
def repository(tmp_path):
    """A repository with one migration in its main branch."""
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/0001_a.sql").write_text("CREATE TABLE t (id int, a int);\n")
    run(tmp_path, "git init -q -b main && git add . && git commit -qm a && git checkout -qb work")
    return tmp_path


def run(directory, script: str, *args: str, **environment: str) -> subprocess.CompletedProcess:
    bin_dir = str(Path(sys.executable).parent)
    names = {
        f"GIT_{who}_{part}": "x@y.example"
        for who in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    known = {**os.environ, **names, "PATH": f"{bin_dir}:{os.environ['PATH']}", **environment}
    known.pop("ZANITH_MIGRATIONS", None)
    known["PYTHONPATH"] = str(CI.parents[1])
    return subprocess.run(
        ["sh", "-ec", script, "sh", *args],
        cwd=directory,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("sql", "code"), [(SAFE, 0), (DANGEROUS, 1)])
def test_the_hook_of_pre_commit(repository, sql, code):
    (hook,) = yaml.safe_load((CI / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (repository / "migrations/0002_b.sql").write_text(sql)
    result = run(
        repository, f'{hook["entry"]} "$@"', "migrations/0001_a.sql", "migrations/0002_b.sql"
    )
    assert result.returncode == code, result
    assert "drop_column" in result.stdout or code == 0


def plan_in_github(repository) -> tuple[int, list[str], str]:
    """Run the step of the workflow; the exit code, what each SARIF file is of, and the summary."""
    jobs = yaml.safe_load((CI / "github-action.yml").read_text())["jobs"]
    (step,) = [step for step in jobs["plan"]["steps"] if step.get("id") == "plan"]
    run(repository, "git add . && git commit -qm b")
    summary = repository / "summary.md"
    result = run(
        repository, 'exec bash -e -c "$1"', step["run"],
        BASE="main", GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip
    found = sorted((repository / "sarif").iterdir(), key=lambda path: int(path.stem))
    results = [json.loads(path.read_text())["runs"][0]["results"] for path in found]
    return result.returncode, [one[0]["ruleId"] if one else "" for one in results], (
        summary.read_text()
    )  # fmt: skip


@pytest.mark.parametrize(("sql", "code"), [(SAFE, 0), (DANGEROUS, 4)])
def test_the_workflow_of_github(repository, sql, code):
    (repository / "migrations/0002_b.sql").write_text(sql)
    ended, found, summary = plan_in_github(repository)
    assert (ended, found) == (code, ["drops_column_with_data" if code else ""])
    assert summary.startswith("### Migrations: ")


def test_the_workflow_keeps_apart_files_of_one_name(repository):
    """Each migration of Prisma is in a file migration.sql."""
    for name, sql in (("1_a", SAFE), ("2 é", DANGEROUS), ("3_c", SAFE.replace("b", "c"))):
        (repository / "migrations" / name).mkdir()
        (repository / "migrations" / name / "migration.sql").write_text(sql)
    ended, found, summary = plan_in_github(repository)
    assert (ended, found) == (4, ["", "drops_column_with_data", ""])
    assert summary.count("### Migrations: ") == 3


@pytest.mark.parametrize(("down", "code"), [("DROP TABLE u;", 0), ("not SQL", 1)])
def test_the_hook_does_not_judge_a_down_part_as_an_up(repository, down, code):
    (hook,) = yaml.safe_load((CI / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    names = [f"migrations/0002_b.{direction}.sql" for direction in ("up", "down")]
    (repository / "migrations/0001_a.sql").rename(repository / "migrations/0001_a.up.sql")
    (repository / names[0]).write_text("CREATE TABLE u (id int);\n")
    (repository / names[1]).write_text(down)
    result = run(repository, f'{hook["entry"]} "$@"', *names)
    assert result.returncode == code, result
