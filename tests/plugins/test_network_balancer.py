"""What moto does not show of a load balancer: it drains at once."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
GROUP = {"TargetGroupArn": "group"}


class Client:
    """The API, of which a machine that is taken off drains for some looks."""

    exceptions = SimpleNamespace(
        LoadBalancerNotFoundException=KeyError, TargetGroupNotFoundException=KeyError
    )

    def __init__(self, states: dict[str, str], looks: int) -> None:
        """Know machines by their states."""
        self.states, self.looks = states, looks
        self.calls: list[tuple[str, list[str]]] = []

    def describe_load_balancers(self, **_: Any) -> dict[str, Any]:
        """There is none; nobody asks here."""
        raise KeyError

    def describe_target_groups(self, **_: Any) -> dict[str, Any]:
        """Return the one target group."""
        return {"TargetGroups": [GROUP]}

    def describe_target_health(self, **_: Any) -> dict[str, Any]:
        """Return the states; who drains does so for some looks."""
        self.looks -= 1
        if self.looks < 0:
            self.states = {key: it for key, it in self.states.items() if it != "draining"}
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": key}, "TargetHealth": {"State": it}}
                for key, it in self.states.items()
            ]
        }

    def deregister_targets(self, **asked: Any) -> dict[str, Any]:
        """Let machines drain."""
        targets = [target["Id"] for target in asked["Targets"]]
        self.calls.append(("deregister", targets))
        self.states |= dict.fromkeys(targets, "draining")
        return {}


def balancer(plugin: Load, client: Client, *targets: str, check_mode: bool = False) -> Any:
    """Return the load balancer, with a moment between looks."""
    module = plugin("modules/network_balancer")
    module.__dict__["POLL_SECONDS"] = 0.0
    values = {"name": "beanft", "ports": [80], "targets": list(targets), "drain_seconds": 70}
    return module.Balancer(client, values, check_mode)


def test_a_machine_is_taken_off_and_waited_for(plugin: Load) -> None:
    client = Client({"i-1": "healthy", "i-2": "healthy"}, looks=4)
    found = balancer(plugin, client, "i-1")
    found.drained()
    assert found.changed
    assert client.calls == [("deregister", ["i-2"])]
    assert client.states == {"i-1": "healthy"}


def test_one_that_is_draining_is_waited_for_and_not_taken_off_again(plugin: Load) -> None:
    client = Client({"i-1": "healthy", "i-2": "draining"}, looks=3)
    found = balancer(plugin, client, "i-1")
    found.drained()
    assert not found.changed
    assert client.states == {"i-1": "healthy"}


def test_check_mode_takes_nothing_off(plugin: Load) -> None:
    client = Client({"i-1": "healthy", "i-2": "healthy"}, looks=1)
    found = balancer(plugin, client, "i-1", check_mode=True)
    found.drained()
    assert (found.changed, client.calls) == (True, [])


def test_one_that_never_ends_is_an_error(plugin: Load) -> None:
    client = Client({"i-2": "draining"}, looks=10**9)
    found = balancer(plugin, client)
    found.values["drain_seconds"] = -31
    with pytest.raises(TimeoutError):
        found.drained()
