"""The inventory plugins that stand before those of others: what they add."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.template import trust_as_template
from jinja2 import Environment

GONE = 'Error inspecting container x - 404 Client Error: Not Found ("No such container: x")'
Load = Callable[[str], ModuleType]


@pytest.fixture
def delegate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that puts a plugin in place of another's: it fails so often, then parses."""

    def act(module: ModuleType, *failures: Exception) -> list[str]:
        parsed: list[str] = []
        left = list(failures)

        def parse(_inventory: Any, _loader: Any, path: str, _cache: bool) -> None:
            parsed.append(path)
            if left:
                raise left.pop(0)

        found = SimpleNamespace(
            parse=parse, get_option=lambda _option, _hostvars=None: None, _compose=None
        )
        monkeypatch.setattr(module, "inventory_loader", SimpleNamespace(get=lambda _name: found))
        return parsed

    return act


def parse(module: ModuleType, name: str = "machines.yml") -> None:
    module.InventoryModule().parse(object(), object(), name, False)


@pytest.fixture(autouse=True)
def no_extra_variables(plugin: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ansible's command line sets up."""
    monkeypatch.setattr("ansible.plugins.inventory.load_extra_vars", lambda _loader: {})


def test_containers_that_go_meanwhile_are_asked_for_again(plugin: Load, delegate: Any) -> None:
    module = plugin("inventory/docker_machines")
    parsed = delegate(module, *[AnsibleError(GONE)] * 3)
    parse(module)
    assert parsed == ["machines.yml"] * 4


@pytest.mark.parametrize(("failures", "asked"), [([GONE] * 20, 8), (["no engine"] * 20, 1)])
def test_what_does_not_mend_fails(
    plugin: Load, delegate: Any, failures: list[str], asked: int
) -> None:
    module = plugin("inventory/docker_machines")
    parsed = delegate(module, *map(AnsibleError, failures))
    with pytest.raises(AnsibleError, match=failures[0].split(" - ")[0]):
        parse(module)
    assert len(parsed) == asked


def test_a_cloud_that_does_not_answer_is_named(plugin: Load, delegate: Any) -> None:
    module = plugin("inventory/cloud_machines")
    tripped = AttributeError("'ProxyError' object has no attribute 'message'")
    tripped.__context__ = OSError("connection refused")
    delegate(module, tripped)
    with pytest.raises(AnsibleParserError, match="did not answer: connection refused"):
        parse(module, "machines.gcp.yml")


@pytest.mark.parametrize("file", ["machines.aws_ec2.yml", "machines.gcp.yml"])
@pytest.mark.parametrize("prefix", ["cloud_", ""])
def test_what_a_cloud_says_of_a_machine_stays_out_of_its_variables(
    plugin: Load, monkeypatch: pytest.MonkeyPatch, file: str, prefix: str
) -> None:
    module = plugin("inventory/cloud_machines")
    flushed: list[bool] = []

    def fill(inventory: Any, _loader: Any, _path: str, _cache: bool) -> None:
        inventory.add_host("m1", group="machines")
        inventory.set_variable("m1", "cloud_hypervisor", "xen")
        inventory.set_variable("m1", "ansible_host", "192.0.2.1")

    found = SimpleNamespace(
        parse=fill,
        get_option=lambda option, _hostvars=None: (
            prefix if option in {"hostvars_prefix", "vars_prefix"} else None
        ),
        update_cache_if_changed=lambda: flushed.append(True),
        _compose=None,
    )
    monkeypatch.setattr(module, "inventory_loader", SimpleNamespace(get=lambda _name: found))
    inventory = InventoryData()
    inventory.add_group("machines")
    module.InventoryModule().parse(inventory, object(), file, True)
    host = inventory.hosts["m1"]
    assert host.get_vars()["ansible_host"] == "192.0.2.1"
    assert ("cloud_hypervisor" in host.get_vars()) is (prefix == "")
    assert flushed == [True]


def test_an_expression_is_compiled_once_for_all_machines(
    plugin: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = plugin("inventory/cloud_machines")
    compiled: list[str] = []
    whole = Environment.compile_expression

    def counted(self: Environment, source: str, *arguments: Any) -> Any:
        compiled.append(source)
        return whole(self, source, *arguments)

    monkeypatch.setattr(Environment, "compile_expression", counted)
    values = []

    class Cloud(BaseInventoryPlugin, Constructable):
        """One of the clouds' plugins, which finds three machines."""

        def get_option(self, option: str, hostvars: Any = None) -> Any:
            return None

        def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
            super().parse(inventory, loader, path, cache)
            values.extend(
                self._compose(trust_as_template("name ~ '-' ~ kind"), {"name": name, "kind": "x"})
                for name in ("m1", "m2", "m3")
            )
            with pytest.raises(AnsibleError, match="'kind' is undefined"):
                self._compose(trust_as_template("name ~ '-' ~ kind"), {"name": "m4"})

        def update_cache_if_changed(self) -> None:
            pass

    monkeypatch.setattr(module, "inventory_loader", SimpleNamespace(get=lambda _name: Cloud()))
    module.InventoryModule().parse(InventoryData(), DataLoader(), "machines.gcp.yml", True)
    assert values == ["m1-x", "m2-x", "m3-x"]
    assert compiled == ["name ~ '-' ~ kind"]


@pytest.mark.parametrize(
    ("name", "mine", "not_mine"),
    [
        ("docker_machines", "machines.docker.yml", "machines.gcp.yml"),
        ("cloud_machines", "machines.gcp.yml", "machines.docker.yml"),
        ("cloud_machines", "machines.aws_ec2.yml", "machines.azure_rm.yml"),
        ("static_machines", "machines.static.yml", "groups.yml"),
    ],
)
def test_files_are_told_by_their_names(
    plugin: Load, tmp_path: Path, name: str, mine: str, not_mine: str
) -> None:
    for file in (mine, not_mine, "groups.yml"):
        (tmp_path / file).touch()
    verify = plugin(f"inventory/{name}").InventoryModule().verify_file
    assert verify(str(tmp_path / mine))
    assert not verify(str(tmp_path / not_mine))
    assert not verify(str(tmp_path / "groups.yml"))
    assert not verify(str(tmp_path / "absent" / mine))


M1 = {"address": "192.0.2.1", "groups": ["managers", "edge"]}


def test_a_machine_of_a_list_has_what_every_machine_has(plugin: Load) -> None:
    module = plugin("inventory/static_machines")
    machines, variables = module.read({"machines": {"m1": M1}, "variables": {"edge_timeout": 9}})
    assert variables == {"edge_timeout": 9}
    assert module.variables_of(machines["m1"]) == {
        "ansible_host": "192.0.2.1",
        "beanft_address": "192.0.2.1",
        "ansible_user": "deploy",
        "beanft_entry_port": "80",
    }
    told = module.variables_of({**M1, "inside": "10.0.0.1", "port": 2222, "http_port": 8080})
    assert (told["beanft_address"], told["ansible_port"]) == ("10.0.0.1", 2222)
    assert told["beanft_entry_port"] == "8080"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "it has 'machines'"),
        ({"machines": {}, "hosts": {}}, "and nothing else"),
        ({"machines": ["m1"]}, "mappings, by name"),
        ({"machines": {"M-1": M1}}, "'M-1' is no name of a machine"),
        ({"machines": {"m1": {"groups": ["edge"]}}}, "m1 has no address"),
        ({"machines": {"m1": {**M1, "adress": "x"}}}, "m1 has 'adress': a machine has address, "),
        ({"machines": {"m1": {**M1, "groups": ["edges"]}}}, "a list of managers, workers, edge, "),
        ({"machines": {"m1": {**M1, "groups": []}}}, "groups of m1 are []"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(plugin: Load, content: Any, said: str) -> None:
    module = plugin("inventory/static_machines")
    with pytest.raises(ValueError, match=re.escape(said)):
        module.read(content)
