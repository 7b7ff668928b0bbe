"""The action plugin that calls modules of clouds in a fork, and the callback that imports them before."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

# Python 3.12 warns of a fork beside threads, which are the test runner's.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")

SEEN: list[str] = []
NAME = "ansible_collections.amazon.aws.plugins.modules.ec2_key"


def module_main() -> None:
    """Be a module: tell what was asked, where and by whom."""
    module = AnsibleModule({"name": {"type": "str"}, "size": {"type": "int", "default": 1}})
    if module.params["name"] == "breaks":
        raise ValueError("it broke")
    if module.params["name"] == "fails":
        module.fail_json(msg="it may not be")
    SEEN.append(module.params["name"])
    module.exit_json(
        changed=False,
        seen=SEEN,
        process=os.getpid(),
        directory=str(Path.cwd()),
        much="x" * module.params["size"],
    )


@pytest.fixture
def call(plugin: Callable[[str], ModuleType], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that calls the module."""

    def act(**parameters: Any) -> tuple[int, str, str]:
        content = json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode()
        done = plugin("action/normal").forked(module_main, content, tmp_path)
        assert isinstance(done, tuple)
        return done

    return act


def test_a_module_has_a_process_of_its_own(call: Callable[..., Any], tmp_path: Path) -> None:
    here, before = Path.cwd(), os.getpid()
    # More than a pipe holds.
    code, out, err = call(name="one", size=300_000)
    told = json.loads(out)
    assert (code, err, told["seen"], told["directory"]) == (0, "", ["one"], str(tmp_path))
    assert len(told["much"]) == 300_000
    assert told["process"] != before
    # Nothing of it is left for the next one.
    assert json.loads(call(name="two")[1])["seen"] == ["two"]
    assert (SEEN, Path.cwd()) == ([], here)


def test_a_module_that_fails_says_why(call: Callable[..., Any]) -> None:
    code, out, _ = call(name="fails")
    assert (code, json.loads(out)["msg"]) == (1, "it may not be")
    code, out, _ = call(size="much")
    assert code == 1
    assert "argument 'size' is of type" in json.loads(out)["msg"]


def test_a_module_that_breaks_is_no_worker_of_ansible(call: Callable[..., Any]) -> None:
    code, out, err = call(name="breaks")
    assert (code, out) == (1, "")
    assert "ValueError: it broke" in err


def action(plugin: Callable[[str], ModuleType], **task: Any) -> Any:
    """Return the action plugin for a task on the control machine."""
    wanted = {"async_val": 0, "delegate_to": None, "environment": [], "become": False, **task}
    made = object.__new__(plugin("action/normal").ActionModule)
    made._task = SimpleNamespace(**wanted)
    made._play_context = SimpleNamespace(become=wanted["become"])
    made._connection = SimpleNamespace(
        transport=wanted.get("transport", "local"),
        is_pipelining_enabled=lambda wrap_async: not wrap_async,
    )
    made._templar = SimpleNamespace(template=lambda value: value)
    return made


def test_which_modules_are_called_here(plugin: Callable[[str], ModuleType]) -> None:
    own = {"ansible_python_interpreter": sys.executable}
    found = action(plugin)._importable("amazon.aws.ec2_key", own)
    assert found is sys.modules[NAME].main
    assert action(plugin)._importable("ansible.builtin.file", own) is None
    assert action(plugin)._importable("amazon.aws.ec2_key", {}) is None
    for task in (
        {"async_val": 10},
        {"delegate_to": "another"},
        {"environment": [{"AWS_REGION": "elsewhere"}]},
        {"become": True},
        {"transport": "ssh"},
    ):
        assert action(plugin, **task)._importable("amazon.aws.ec2_key", own) is None


def test_modules_are_imported_before_their_tasks(plugin: Callable[[str], ModuleType]) -> None:
    callback = plugin("callback/clouds_in_memory").CallbackModule()
    sys.modules.pop(NAME, None)
    for name in ("ansible.builtin.file", "amazon.aws.no_such_module", "amazon.aws.ec2_key"):
        callback.v2_playbook_on_task_start(SimpleNamespace(action=name), False)
    assert NAME in sys.modules
