"""swarm_labels: all nodes in one call, and only those that differ are changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]
NO_MANAGER = {"err": "Error response: This node is not a swarm manager.", "code": 1}


def node(name: str, labels: dict[str, str] | None, state: str = "ready") -> dict[str, Any]:
    """Return a node as the engine shows it; one without labels may have no word about them."""
    spec = {"Role": "worker"} if labels is None else {"Role": "worker", "Labels": labels}
    return {"Description": {"Hostname": name}, "Spec": spec, "Status": {"State": state}}


@pytest.fixture
def fifty(docker: Any) -> list[dict[str, Any]]:
    """Fifty nodes, of which two have labels of before."""
    nodes = [node(f"m{number}", {"beanft.edge": "false"}) for number in range(1, 51)]
    nodes[0]["Spec"]["Labels"] = {"beanft.edge": "true", "old": "1"}
    nodes[49] = node("m50", None)
    docker.says(
        {
            "node ls": "\n".join(f"id{number}" for number in range(1, 51)),
            "node inspect": json.dumps(nodes),
            "node update": "",
        }
    )
    return [
        {"hostname": f"m{number}", "labels": {"beanft.edge": str(number < 3).lower()}}
        for number in range(1, 51)
    ]


def test_only_those_that_differ_are_changed(docker: Any, run: Run, fifty: Any) -> None:
    result = run("swarm_labels", nodes=fifty)
    assert result["changed_nodes"] == ["m1", "m2", "m50"]
    assert [call["command"] for call in docker.calls("node update")] == [
        "node update --label-rm old m1",
        "node update --label-add beanft.edge=true m2",
        "node update --label-add beanft.edge=false m50",
    ]
    # Whatever their number, the engine is asked twice.
    assert len(docker.calls()) == 2 + 3


def test_a_check_changes_nothing(docker: Any, run: Run, fifty: Any) -> None:
    result = run("swarm_labels", check=True, nodes=fifty)
    assert (result["changed"], result["changed_nodes"]) == (True, ["m1", "m2", "m50"])
    assert docker.calls("node update") == []


def test_nothing_to_do(docker: Any, run: Run, fifty: Any) -> None:
    result = run("swarm_labels", nodes=fifty[2:49])
    assert (result["changed"], result["changed_nodes"]) == (False, [])
    assert docker.calls("node update") == []


def test_a_node_that_is_not_there_is_named(docker: Any, run: Run) -> None:
    docker.says(
        {"node ls": "a b", "node inspect": json.dumps([node("m1", {}), node("m2", {}, "down")])}
    )
    wanted = [{"hostname": name, "labels": {}} for name in ("m1", "m2", "m3")]
    result = run("swarm_labels", nodes=wanted)
    assert result["msg"] == "the Swarm has no node m2, m3 that is up"
    # It may join in the run that is being checked.
    assert run("swarm_labels", check=True, nodes=wanted)["changed_nodes"] == ["m2", "m3"]


def test_before_there_is_a_swarm(docker: Any, run: Run) -> None:
    docker.says({"node ls": NO_MANAGER})
    wanted = [{"hostname": "m1", "labels": {}}]
    assert run("swarm_labels", check=True, nodes=wanted)["changed_nodes"] == ["m1"]
    assert "not a swarm manager" in run("swarm_labels", nodes=wanted)["msg"]


def test_a_value_is_text(run: Run, docker: Any) -> None:
    docker.says({"node ls": "a", "node inspect": json.dumps([node("m1", {"zone": "1"})])})
    assert not run("swarm_labels", nodes=[{"hostname": "m1", "labels": {"zone": 1}}])["changed"]
