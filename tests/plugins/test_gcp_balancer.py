"""What the fake of Compute Engine does not show of a load balancer: operations that take time, other links."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
GROUP = "projects/p/zones/z/instanceGroups/lb"
MACHINES = "https://compute.googleapis.com/compute/v1/projects/p/zones/z/instances/"


class Session:
    """The API, where a change takes some looks and each link has another host than ours."""

    def __init__(self, looks: int = 0, error: str = "") -> None:
        """Have one group with two machines."""
        self.looks, self.error = looks, error
        self.changes: list[tuple[str, Any]] = []

    def full_get(self, url: str) -> Any:
        """Return a group, an operation, or 404."""
        if "/operations/" in url:
            assert url.endswith("/projects/p/zones/z/operations/o")
            return answer(self.operation())
        if url.endswith(GROUP):
            network = "https://compute.googleapis.com/compute/v1/projects/p/global/networks/n"
            return answer({"description": "ours", "network": network})
        return answer({}, 404)

    def post(self, url: str, body: Any) -> Any:
        """List the machines, or begin a change."""
        if url.endswith("/listInstances"):
            return answer({"items": [{"instance": MACHINES + name} for name in ("m1", "m2")]})
        self.changes.append((url.rsplit("/", 1)[-1], body))
        return answer(self.operation())

    def operation(self) -> dict[str, Any]:
        """Return an operation that is done after some looks."""
        self.looks -= 1
        if self.looks >= 0:
            return {"name": "o", "status": "RUNNING"}
        errors = {"error": {"errors": [{"code": "C", "message": self.error}]}} if self.error else {}
        return {"name": "o", "status": "DONE", **errors}


def answer(content: dict[str, Any], status: int = 200) -> Any:
    """Return an answer as the library has it."""
    return SimpleNamespace(status_code=status, json=lambda: content, content=b"{}")


def balancer(plugin: Load, session: Session, machines: tuple[str, ...], **more: Any) -> Any:
    """Return the load balancer, with a moment between looks."""
    loaded = plugin("modules/gcp_balancer")
    loaded.__dict__["POLL_SECONDS"] = 0.0

    def fail_json(msg: str) -> None:
        raise ValueError(msg)

    module = SimpleNamespace(
        params={
            "project": "p",
            "region": "r",
            "zones": ["z"],
            "network": "n",
            "name": "lb",
            "description": "ours",
            "target_tags": [],
            "ports": [80],
            "drain_seconds": 0,
            "machines": dict.fromkeys(machines, "z"),
        },
        check_mode=False,
        fail_json=fail_json,
        raise_for_status=lambda _: None,
    )
    module.__dict__.update(more)
    return loaded.Balancer(module, session)


def test_a_change_that_takes_time_is_waited_for(plugin: Load) -> None:
    session = Session(looks=3)
    found = balancer(plugin, session, ("m1",))
    found.drained()
    assert found.changed
    ((action, body),) = session.changes
    assert action == "removeInstances"
    assert [item["instance"].rsplit("/", 1)[-1] for item in body["instances"]] == ["m2"]
    assert session.looks == -1


def test_what_fails_in_the_end_is_said(plugin: Load) -> None:
    found = balancer(plugin, Session(looks=2, error="no more of it"), ("m1",))
    with pytest.raises(ValueError, match=r"load balancer lb: .*no more of it"):
        found.drained()


def test_check_mode_takes_nothing_off(plugin: Load) -> None:
    session = Session()
    found = balancer(plugin, session, ("m1",), check_mode=True)
    found.drained()
    assert (found.changed, session.changes) == (True, [])


def test_a_link_by_another_host_is_the_same(plugin: Load) -> None:
    session = Session()
    found = balancer(plugin, session, ("m1", "m2"))
    found.ensure(found.groups["z"])
    found.members("z")
    assert (found.changed, session.changes) == (False, [])


@pytest.mark.parametrize(
    ("wanted", "there", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": 1}}, {"a": {}}, False),
        ({"a": 1}, {}, False),
        (["80", "443"], ["443", "80"], True),
        (["80"], ["443", "80"], False),
        (["80", "443"], None, False),
    ],
)
def test_what_the_api_adds_is_no_difference(
    plugin: Load, wanted: Any, there: Any, same: bool
) -> None:
    assert plugin("module_utils/gcp_answers").same(wanted, there) is same
