"""The callback: what a run has built for machines serves the next one, and nothing of another content."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - said:
"""
SAID = """
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.words import WORD
AnsibleModule({}).exit_json(msg=WORD)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with the callback, a module and what that imports."""
    for folder in ("callback", "modules", "module_utils"):
        (tmp_path / "ansible/plugins" / folder).mkdir(parents=True)
    name = "plugins/callback/built_modules.py"
    shutil.copy(ROOT / "ansible" / name, tmp_path / "ansible" / name)
    (tmp_path / "ansible/plugins/modules/said.py").write_text(SAID)
    (tmp_path / "ansible/plugins/module_utils/words.py").write_text("WORD = 'first'\n")
    (tmp_path / "ansible/play.yml").write_text(PLAY)
    (tmp_path / "ansible/ansible.cfg").write_text(
        "[defaults]\nlibrary = plugins/modules\nmodule_utils = plugins/module_utils\n"
        "callback_plugins = plugins/callback\ncallbacks_enabled = built_modules\n"
    )
    return tmp_path


def play(tree: Path) -> str:
    """Run the module, and return what it said."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-v", "play.yml"],
        cwd=tree / "ansible",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tree),
            "LANG": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def kept(tree: Path) -> dict[Path, int]:
    """Return what is kept, and when it was built."""
    found = (tree / ".cache/beanft/modules").glob("*/*-none")
    return {path: path.stat().st_mtime_ns for path in found}


def test_what_was_built_serves_the_next_run(tree: Path) -> None:
    assert '"msg": "first"' in play(tree)
    built = kept(tree)
    assert [path.name.split("-")[0] for path in built] == ["ansible.legacy.said"]
    assert '"msg": "first"' in play(tree)
    assert kept(tree) == built
    # It is what runs.
    (path,) = built
    path.write_bytes(path.read_bytes()[:-9])
    assert '"msg": "first"' not in play(tree)


def test_another_content_is_built_anew(tree: Path) -> None:
    play(tree)
    before = set(kept(tree))
    (tree / "ansible/plugins/module_utils/words.py").write_text("WORD = 'other'\n")
    assert '"msg": "other"' in play(tree)
    assert len(set(kept(tree)) - before) == 1


@pytest.fixture
def callback(
    plugin: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The callback, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    return plugin("callback/built_modules")


def test_a_run_in_which_a_plugin_was_edited_leaves_nothing(
    callback: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = callback.keep(tmp_path / "run")
    assert (tmp_path / "run/ansiballz_cache").resolve() == folder
    monkeypatch.setattr(callback, "KEPT", folder)
    callback.CallbackModule().v2_playbook_on_stats(None)
    assert folder.is_dir()
    monkeypatch.setattr(callback, "content", lambda: "of-another")
    callback.CallbackModule().v2_playbook_on_stats(None)
    assert not folder.exists()


def test_nothing_of_somebody_else_is_run(
    callback: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert callback.keep(tmp_path / "run") is None
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("installed", [True, False])
def test_nothing_is_kept_of_what_is_not_known(
    callback: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if not installed:
        monkeypatch.setattr(callback, "INSTALLED", tmp_path / "none")
    assert bool(callback.keep(tmp_path / "run")) == installed


def test_what_no_run_used_for_a_week_goes(callback: ModuleType, tmp_path: Path) -> None:
    modules = tmp_path / "cache/beanft/modules"
    for name, days in (("old", 8), ("young", 6)):
        (modules / name).mkdir(parents=True)
        moment = callback.time.time() - days * 24 * 3600
        os.utime(modules / name, (moment, moment))
    folder = callback.keep(tmp_path / "run")
    assert {path.name for path in modules.iterdir()} == {"young", folder.name}
