"""text_files writes what differs, in content, mode or kind, and nothing else; read_texts reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]


def test_files_are_made_with_their_folders(run: Run, tmp_path: Path) -> None:
    files = [
        {"path": str(tmp_path / "a/b.conf"), "content": "x\n"},
        {"path": str(tmp_path / "c"), "content": "é", "mode": "0640"},
    ]
    assert run("text_files", files=files)["changed_paths"] == [file["path"] for file in files]
    assert (tmp_path / "a/b.conf").read_text(encoding="utf-8") == "x\n"
    assert (tmp_path / "a/b.conf").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640
    again = run("text_files", files=files)
    assert (again["changed"], again["changed_paths"]) == (False, [])


@pytest.mark.parametrize("spoil", ["content", "mode", "link"])
def test_only_what_differs_is_written(run: Run, tmp_path: Path, spoil: str) -> None:
    files = [{"path": str(tmp_path / name), "content": name} for name in ("a", "b")]
    run("text_files", files=files)
    before = (tmp_path / "a").stat().st_ino
    if spoil == "content":
        (tmp_path / "b").write_text("other")
    elif spoil == "mode":
        (tmp_path / "b").chmod(0o666)
    else:
        (tmp_path / "b").rename(tmp_path / "elsewhere")
        (tmp_path / "b").symlink_to(tmp_path / "elsewhere")
    assert run("text_files", files=files)["changed_paths"] == [str(tmp_path / "b")]
    assert (tmp_path / "a").stat().st_ino == before
    assert (tmp_path / "b").read_text() == "b"
    assert not (tmp_path / "b").is_symlink()
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o644


def test_check_mode_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a"
    result = run("text_files", check=True, files=[{"path": str(path), "content": "x"}])
    assert result["changed_paths"] == [str(path)]
    assert not path.exists()


def test_what_can_not_be_written_fails_with_its_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file/b")
    result = run("text_files", files=[{"path": path, "content": "x"}])
    assert result["failed"]
    assert result["msg"].startswith(f"{path} could not be written")


def test_texts_are_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("é\n", encoding="utf-8")
    paths = [str(tmp_path / "a"), str(tmp_path / "none")]
    result = run("read_texts", paths=paths)
    assert (result["changed"], result["texts"]) == (False, {paths[0]: "é\n", paths[1]: ""})
    assert run("read_texts", paths=[str(tmp_path)])["failed"]
