"""The plugins, loaded from their files, and a docker client on the PATH that says what a test wrote."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLUGINS = ROOT / "ansible" / "plugins"
Answer = str | dict[str, Any] | list[Any]


def from_file(path: Path, name: str) -> ModuleType:
    """Return the module in a file, under a name by which others may import it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def plugin() -> Callable[[str], ModuleType]:
    """Return a function that loads a plugin by its path below ansible/plugins."""
    # Where Ansible puts the project's module_utils.
    shared = str(PLUGINS / "module_utils")
    if shared not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(shared)

    def load(path: str) -> ModuleType:
        return from_file(PLUGINS / f"{path}.py", f"beanft_plugins.{path.replace('/', '.')}")

    return load


@pytest.fixture(scope="session")
def role_file() -> Callable[[str], ModuleType]:
    """Return a function that loads a Python program that a role puts on machines, by its path below ansible/roles."""
    return lambda path: from_file(ROOT / "ansible" / "roles" / path, Path(path).stem)


@pytest.fixture(scope="session")
def program(plugin: Callable[[str], ModuleType]) -> Callable[[str], ModuleType]:
    """Return a function that loads a Python program of bin/, with what those import from each other."""
    for name in (
        "inside_authority",
        "signatures",
        "vault_file",
        "cloud_credentials",
        "secret_stores",
    ):
        from_file(PLUGINS / "module_utils" / f"{name}.py", name)
    for name in ("bundle_file", "image_archive", "vault"):
        from_file(ROOT / "bin" / f"{name}.py", name)
    return lambda name: from_file(ROOT / "bin" / f"{name}.py", name)


@dataclasses.dataclass
class Docker:
    """What the docker client on the PATH says and was asked."""

    directory: Path

    def says(self, *steps: dict[str, Answer], advance: str = "service ls", **every: Answer) -> None:
        """Write the answers; those in `every` hold in all steps, with _ for a blank."""
        always = {key.replace("_", " "): value for key, value in every.items()}
        script = {"advance": advance, "steps": [{**always, **step} for step in steps or ({},)]}
        (self.directory / "answers.json").write_text(json.dumps(script), encoding="utf-8")

    def calls(self, beginning: str = "") -> list[dict[str, Any]]:
        """Return what it was asked, what it got on stdin, and when."""
        log = self.directory / "calls.jsonl"
        if not log.exists():
            return []
        calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return [call for call in calls if call["command"].startswith(beginning)]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """A docker client that knows no answer yet."""
    directory = tmp_path / "bin"
    directory.mkdir()
    client = directory / "docker"
    text = (HERE / "fake_docker.py").read_text(encoding="utf-8")
    # This Python, without what its site packages would cost at every call.
    client.write_text(
        text.replace("#!/usr/bin/env python3", f"#!{sys.executable} -IS", 1), encoding="utf-8"
    )
    client.chmod(0o755)
    rest = str(Path(shutil.which("env") or "/usr/bin/env").parent)
    monkeypatch.setenv("PATH", f"{directory}:{rest}")
    fake = Docker(directory)
    fake.says()
    return fake


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(plugin: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a module as Ansible does and returns its result."""

    def act(name: str, /, *, check: bool = False, **parameters: Any) -> dict[str, Any]:
        module = plugin(f"modules/{name}")
        with (
            patch_module_args({**parameters, "_ansible_check_mode": check}),
            pytest.raises(SystemExit) as end,
        ):
            module.main()
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert end.value.code == (1 if result.get("failed") else 0)
        return dict(result)

    return act
