"""A file has its name when it is whole; what nobody writes any more is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.recovery.core.atomic_file import give_name, settle, unfinished


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_is_hidden_until_it_is_named(tmp_path):
    with unfinished(tmp_path / "a.csv") as file:
        [name] = names(tmp_path)
        assert name.startswith(".a.csv.")
        file.write(b"whole")
        settle(file)
        give_name(file, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"whole"
    assert names(tmp_path) == ["a.csv"]


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="x"), unfinished(tmp_path / "a.csv"):
        raise ValueError("x")
    assert names(tmp_path) == []


def test_only_what_is_left_of_the_same_file_is_taken_away(tmp_path):
    path = tmp_path / "a.csv"
    mine = [".b.csv.00112233.part", ".a.csv.mine.part", ".a.csv.00112233", "a.csv.00112233.part"]
    for name in [*mine, ".a.csv.00112233.part", ".a.csv.44556677.part"]:
        (tmp_path / name).touch()
    (tmp_path / ".a.csv.8899aabb.part").symlink_to(tmp_path / ".b.csv.00112233.part")
    (tmp_path / ".a.csv.ccddeeff.part").mkdir()
    with unfinished(path):
        pass
    assert names(tmp_path) == sorted([*mine, ".a.csv.8899aabb.part", ".a.csv.ccddeeff.part"])


def test_what_is_being_written_stays(tmp_path):
    path = tmp_path / "a.csv"
    with unfinished(path) as first, unfinished(path) as second:
        assert names(tmp_path) == sorted(Path(file.name).name for file in (first, second))
    assert names(tmp_path) == []


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".a.csv.00112233.part").touch()
    with unfinished(tmp_path / "a.csv") as file:
        file.write(b"x")
    assert names(tmp_path) == [".a.csv.00112233.part"]
