"""kernel_settings: sets what differs, where it may be set, and says what may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def proc(
    plugin: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder in place of /proc/sys."""
    monkeypatch.setattr(plugin("modules/kernel_settings"), "ROOT", tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net/ports").write_text("32768\t60999\n")
    (tmp_path / "net/forward").write_text("1\n")
    return tmp_path


def test_what_differs_is_set(run: Callable[..., Any], proc: Path) -> None:
    wanted = {"net.ports": "32768 60999", "net.forward": 0}
    result = run("kernel_settings", settings=wanted)
    assert (result["changed"], result["set"]) == (True, ["net.forward"])
    assert (proc / "net/forward").read_text() == "0\n"
    assert run("kernel_settings", settings=wanted)["changed"] is False


def test_check_mode_says_what_it_would_do(run: Callable[..., Any], proc: Path) -> None:
    result = run("kernel_settings", check=True, settings={"net.forward": 0})
    assert result["set"] == ["net.forward"]
    assert (proc / "net/forward").read_text() == "1\n"


def test_what_is_not_there_is_no_failure(run: Callable[..., Any], proc: Path) -> None:
    result = run("kernel_settings", settings={"kernel.none": 1})
    assert result["missing"] == ["kernel.none"]
    assert not result["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_what_can_not_be_opened_is_no_change(
    plugin: Callable[[str], ModuleType],
    run: Callable[..., Any],
    proc: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: bool,
) -> None:
    """Root may write any file of a folder, so a kernel that refuses is played."""
    monkeypatch.setattr(plugin("modules/kernel_settings"), "opens", lambda path: False)
    result = run("kernel_settings", check=check, settings={"net.forward": 0})
    assert (result["changed"], result["refused"]) == (False, ["net.forward"])


def test_a_value_that_does_not_hold_is_refused(
    plugin: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module = plugin("modules/kernel_settings")
    assert module.write(Path("/dev/null"), "1") is False
    assert module.write(tmp_path / "no/such", "1") is False
    assert module.opens(tmp_path / "no/such") is False
