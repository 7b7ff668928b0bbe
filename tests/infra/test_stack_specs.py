"""What the docker client makes of a stack, told by the client that is used: nothing of it is guessed."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

UTILS = Path(__file__).resolve().parents[2] / "ansible" / "plugins" / "module_utils"
IMAGE = "127.0.0.1:5000/beanft/web@sha256:" + "a" * 64
STACK: dict[str, Any] = {
    "version": "3.9",
    "services": {
        "web": {
            "image": IMAGE,
            "networks": ["shared"],
            "read_only": True,
            "environment": {"A": "1", "EMPTY": ""},
            "secrets": [{"source": "key", "target": "key", "uid": "10001", "mode": 256}],
            "configs": [{"source": "settings", "target": "/etc/settings"}],
            "ports": [{"target": 8080, "published": 80, "protocol": "tcp", "mode": "host"}],
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
            "deploy": {
                "replicas": 2,
                "endpoint_mode": "dnsrr",
                "labels": {"x": "y"},
                "resources": {"limits": {"memory": "512M", "pids": 200}},
            },
        },
        "entry": {"image": IMAGE, "networks": ["shared"], "deploy": {"mode": "global"}},
    },
    "networks": {"shared": {"external": True, "name": "beanft"}},
    "volumes": {"data": {"name": "beanft-data"}},
    "secrets": {"key": {"external": True, "name": "beanft-key-12"}},
    "configs": {"settings": {"external": True, "name": "beanft-settings-34"}},
}


@pytest.fixture(scope="module")
def specs() -> ModuleType:
    """The module, with what it imports where Ansible puts it."""
    for name in ("docker_cli", "stack_specs"):
        full = f"ansible.module_utils.{name}"
        if full not in sys.modules:
            spec = importlib.util.spec_from_file_location(full, UTILS / f"{name}.py")
            assert spec
            assert spec.loader
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
    return sys.modules["ansible.module_utils.stack_specs"]


def test_every_field_is_there(specs: ModuleType) -> None:
    made = specs.service_specs(None, "s", STACK)
    assert set(made) == {"s_web", "s_entry"}
    web = specs.flat(made["s_web"])
    container = "TaskTemplate.ContainerSpec"
    assert web[f"{container}.Image"] == IMAGE
    assert web[f"{container}.Env.A"] == "1"
    assert web[f"{container}.Env.EMPTY"] == ""
    assert web[f"{container}.ReadOnly"] is True
    assert web[f"{container}.Secrets.beanft-key-12.File.Mode"] == 256
    assert web[f"{container}.Configs.beanft-settings-34.File.Name"] == "/etc/settings"
    assert web[f"{container}.Mounts./data.Source"] == "beanft-data"
    assert web["TaskTemplate.Networks.beanft.Aliases"] == ["web"]
    assert web["TaskTemplate.Resources.Limits.MemoryBytes"] == 512 * 2**20
    assert web["Mode.Replicated.Replicas"] == 2
    assert web["EndpointSpec.Ports.8080.PublishedPort"] == 80
    assert web["Labels.x"] == "y"
    assert web["Labels.com.docker.stack.namespace"] == "s"
    assert specs.flat(made["s_entry"])["Mode.Global"] is True


def test_a_network_of_the_stacks_own(specs: ModuleType) -> None:
    stack = copy.deepcopy(STACK)
    stack["networks"]["inside"] = {}
    stack["services"]["web"]["networks"] = ["shared", "inside"]
    web = specs.flat(specs.service_specs(None, "s", stack)["s_web"])
    assert web["TaskTemplate.Networks.s_inside.Aliases"] == ["web"]
    assert web["TaskTemplate.Networks.beanft.Aliases"] == ["web"]


def test_the_same_stack_is_the_same(specs: ModuleType) -> None:
    first, second = (specs.service_specs(None, "s", STACK) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image", IMAGE.replace("a" * 64, "b" * 64)),
        ("environment", {"A": "1", "EMPTY": "", "B": "2"}),
        ("environment", {"A": "1"}),
        ("secrets", []),
        ("read_only", False),
        ("command", ["sh"]),
        ("user", "0"),
        ("stop_grace_period", "3s"),
        ("cap_add", ["ALL"]),
        ("logging", {"driver": "none"}),
        ("extra_hosts", ["a:192.0.2.1"]),
        ("healthcheck", {"disable": True}),
        ("volumes", [{"type": "bind", "source": "/", "target": "/data"}]),
        ("ports", []),
        ("deploy", {**STACK["services"]["web"]["deploy"], "replicas": 3}),
        ("deploy", {**STACK["services"]["web"]["deploy"], "placement": {"constraints": ["a==b"]}}),
    ],
)
def test_any_change_is_a_difference(specs: ModuleType, path: str, value: Any) -> None:
    other = copy.deepcopy(STACK)
    other["services"]["web"][path] = value
    before, after = (
        specs.flat(specs.service_specs(None, "s", stack)["s_web"]) for stack in (STACK, other)
    )
    assert specs.differences(before, before) == []
    assert specs.differences(before, after)


def test_what_is_not_foreseen_is_no_answer(specs: ModuleType) -> None:
    """A config that the stack would make: better no comparison than one of a part."""
    other = copy.deepcopy(STACK)
    other["configs"]["settings"] = {"file": __file__}
    with pytest.raises(specs.DockerError, match="not foreseen"):
        specs.service_specs(None, "s", other)


def test_a_definition_that_is_none(specs: ModuleType) -> None:
    with pytest.raises(specs.DockerError, match="imagee"):
        specs.service_specs(None, "s", {"version": "3.9", "services": {"web": {"imagee": "x"}}})
