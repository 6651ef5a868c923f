"""The files for CI in docs/ci: they are YAML, and their commands run."""

from __future__ import annotations

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


@pytest.mark.parametrize(("sql", "code"), [(SAFE, 0), (DANGEROUS, 4)])
def test_the_workflow_of_github(repository, sql, code):
    jobs = yaml.safe_load((CI / "github-action.yml").read_text())["jobs"]
    (step,) = [step for step in jobs["plan"]["steps"] if step.get("id") == "plan"]
    (repository / "migrations/0002_b.sql").write_text(sql)
    run(repository, "git add . && git commit -qm b")
    summary = repository / "summary.md"
    result = run(repository, step["run"], BASE="main", GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == code, result
    assert [path.name for path in (repository / "sarif").iterdir()] == ["0002_b.sql.sarif"]
    assert summary.read_text().startswith("### Migrations: ")
