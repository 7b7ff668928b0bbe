"""What a module documents is what it takes and returns."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils.basic
import pytest
import yaml

PLUGINS = Path(__file__).parents[2] / "ansible" / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))


@pytest.fixture
def spec(
    plugin: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Return a function that returns the argument_spec a module hands to Ansible."""

    class Taken(Exception):  # noqa: N818 - not an error
        """Carries the argument_spec."""

    def take(**options: Any) -> None:
        raise Taken(options)

    def act(name: str) -> Any:
        module = plugin(f"modules/{name}")
        monkeypatch.setattr(module, "AnsibleModule", take)
        with pytest.raises(Taken) as taken:
            module.main()
        return taken.value.args[0]

    return act


def described(options: dict[str, Any]) -> dict[str, Any]:
    """Return documented options as an argument_spec has them; each has to be described."""
    assert all(str(option.pop("description")).endswith(".") for option in options.values())
    for option in options.values():
        if "suboptions" in option:
            option["options"] = described(option.pop("suboptions"))
    return options


@pytest.mark.parametrize("name", MODULES)
def test_options(plugin: Callable[[str], ModuleType], spec: Callable[..., Any], name: str) -> None:
    written = yaml.safe_load(plugin(f"modules/{name}").DOCUMENTATION)
    assert written["module"] == name
    taken = spec(name)
    for option in taken["argument_spec"].values():
        option.pop("no_log", None)  # says nothing to who uses it
    assert described(written["options"]) == taken["argument_spec"]
    assert taken["supports_check_mode"]


@pytest.mark.parametrize("name", MODULES)
def test_return_values(plugin: Callable[[str], ModuleType], name: str) -> None:
    module = plugin(f"modules/{name}")
    documented = set(yaml.safe_load(module.RETURN))
    tree = ast.parse((PLUGINS / "modules" / f"{name}.py").read_text(encoding="utf-8"))
    returned = {
        keyword.arg
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("exit_json", "fail_json")
        for keyword in call.keywords
    }
    assert returned - {"msg", "changed"} == documented


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_the_modules_own_options(
    plugin: Callable[[str], ModuleType], name: str
) -> None:
    module = plugin(f"modules/{name}")
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    required = {key for key, option in options.items() if option.get("required")}
    for task in yaml.safe_load(module.EXAMPLES):
        assert required <= set(task[name]) <= set(options)


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("*/*.py")), ids=lambda path: path.stem)
def test_plugins_are_documented_under_their_own_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.parent.name in ("module_utils", "filter"):
        assert "DOCUMENTATION" not in text
        return
    name = re.search(r"^(?:name|module): (\w+)$", text, re.MULTILINE)
    assert name
    assert name[1] == path.stem


def test_every_module_refuses_an_unknown_option(run: Callable[..., Any], docker: object) -> None:
    assert ansible.module_utils.basic.AnsibleModule
    for name in MODULES:
        assert run(name, unknown="x")["failed"]
