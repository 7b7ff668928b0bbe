"""swarm_drift: whatever a hand changed on services, tasks and nodes is found, with what puts it right."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Json = dict[str, Any]
Run = Callable[..., Json]
IMAGE = "127.0.0.1:5000/beanft/web@sha256:" + "a" * 64
OTHER = "127.0.0.1:5000/beanft/web@sha256:" + "b" * 64
DEFINITION: Json = {"version": "3.9", "services": {"web": {"image": IMAGE}}}
NODE: Json = {"hostname": "m1", "role": "manager", "labels": {"beanft.edge": "true"}}


def spec(**labels: str) -> Json:
    """The service as the client hands it over."""
    return {
        "Name": "s_web",
        "Labels": {"beanft.definition": "HASH", "beanft.release": "7", **labels},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": IMAGE,
                "Env": ["A=1"],
                "Secrets": [
                    {
                        "SecretName": "key-1",
                        "SecretID": "key-1",
                        "File": {"Name": "key", "Mode": 256},
                    }
                ],
            },
            "Networks": [{"Target": "beanft", "Aliases": ["web"]}],
        },
        "Mode": {"Replicated": {"Replicas": 2}},
    }


def task(number: int, image: str = IMAGE, state: str = "running", desired: str = "running") -> Json:
    return {
        "ID": f"task{number}",
        "ServiceID": "service1",
        "DesiredState": desired,
        "Status": {"State": state},
        "Spec": {"ContainerSpec": {"Image": image}},
    }


def node(name: str = "m1", **status: Any) -> Json:
    return {
        "ID": f"id-of-{name}",
        "Spec": {"Labels": {"beanft.edge": "true"}, "Role": "manager", "Availability": "active"},
        "Description": {"Hostname": name},
        "Status": {"State": "ready"},
        "ManagerStatus": {"Reachability": "reachable"},
        **status,
    }


class Swarm:
    """A Swarm with one service as it should be; tests change `service`, `tasks` and `nodes`."""

    def __init__(self, docker: Any, run: Run) -> None:
        """All is as it should be."""
        self.docker, self.run = docker, run
        self.expected = spec()
        self.service: Json | None = {"ID": "service1", "Spec": copy.deepcopy(self.expected)}
        # The engine's own way to say it: ids of networks and secrets, and what it fills in.
        template = self.service["Spec"]["TaskTemplate"]
        template["Networks"][0]["Target"] = "n1"
        template["ContainerSpec"]["Secrets"][0]["SecretID"] = "kliq"
        template |= {"Runtime": "container", "ForceUpdate": 3}
        self.replicas = "2/2"
        self.tasks = [task(1), task(2), task(3, OTHER, "shutdown", "shutdown")]
        self.nodes = [node()]
        self.extra: list[Json] = []

    def look(self, nodes: list[Json] | None = None, **stack: Any) -> Json:
        """Run the module."""
        services = [*([self.service] if self.service else []), *self.extra]
        self.docker.says(
            {
                "network ls": "n1 beanft\nn2 ingress\n",
                "service ls": "".join(
                    f"{item['Spec']['Name']} {self.replicas}\n" for item in services
                ),
                "service inspect": json.dumps(services),
                "--host unix://": {"out": "", "creates": [self.expected]},
                "stack ps": "".join(f"{item['ID']}\n" for item in self.tasks),
                "inspect --type task": json.dumps(self.tasks),
                "node ls": "".join(f"{item['ID']}\n" for item in self.nodes),
                "node inspect": json.dumps(self.nodes),
            }
        )
        chosen = {"name": "s", "definition": DEFINITION, "labels": {"beanft.release": "7"}, **stack}
        return self.run("swarm_drift", stacks=[chosen], nodes=[NODE] if nodes is None else nodes)

    def findings(self, **options: Any) -> list[tuple[str, str, str, str, str]]:
        """Return what the module finds."""
        return [
            (item["where"], item["what"], item["expected"], item["found"], item["mend"])
            for item in self.look(**options)["findings"]
        ]

    @property
    def container(self) -> Json:
        """The part of the service that is about its containers."""
        assert self.service
        return dict(self.service["Spec"]["TaskTemplate"])["ContainerSpec"]  # type: ignore[no-any-return]


@pytest.fixture
def swarm(docker: Any, run: Run) -> Swarm:
    return Swarm(docker, run)


UPDATE = "on a manager: docker service update --detach"


def test_nothing_differs(swarm: Swarm) -> None:
    result = swarm.look()
    assert (result["changed"], result["findings"]) == (False, [])
    assert result["images"] == {"s_web": IMAGE}
    assert result["looked_at"] == {"services": 1, "tasks": 3, "nodes": 1}


def test_the_hash_is_the_one_that_deploys_write(
    swarm: Swarm, docker: Any, plugin: Callable[[str], ModuleType]
) -> None:
    swarm.look()
    handed = json.loads(docker.calls("--host unix://")[0]["stdin"])
    deployed = plugin("modules/swarm_stack").labelled(DEFINITION, {"beanft.release": "7"})
    assert handed == deployed
    assert len(handed["services"]["web"]["deploy"]["labels"]["beanft.definition"]) == 64


def test_a_variable_by_hand_is_named_and_its_value_is_not(swarm: Swarm) -> None:
    swarm.container["Env"] += ["PASSWORD=hunter2"]
    assert swarm.findings() == [
        (
            "s_web",
            "environment PASSWORD",
            "none",
            "set by hand",
            f"{UPDATE} --env-rm PASSWORD s_web",
        )
    ]
    swarm.container["Env"] = ["A=hunter2"]
    assert swarm.findings() == [
        ("s_web", "environment A", "1", "another value", f"{UPDATE} --env-add A=1 s_web")
    ]
    swarm.container["Env"] = []
    assert swarm.findings() == [
        ("s_web", "environment A", "1", "none", f"{UPDATE} --env-add A=1 s_web")
    ]


def test_another_scale(swarm: Swarm) -> None:
    assert swarm.service
    swarm.service["Spec"]["Mode"]["Replicated"]["Replicas"] = 1
    swarm.replicas, swarm.tasks = "1/1", [task(1)]
    assert swarm.findings() == [
        ("s_web", "replicas", "2", "1", "on a manager: docker service scale --detach s_web=2")
    ]


def test_another_image(swarm: Swarm) -> None:
    swarm.container["Image"] = OTHER
    swarm.tasks = [task(1, OTHER), task(2, OTHER)]
    assert swarm.findings() == [
        ("s_web", "image", IMAGE, OTHER, f"{UPDATE} --no-resolve-image --image {IMAGE} s_web")
    ]


def test_secrets_are_named(swarm: Swarm) -> None:
    secret = swarm.container["Secrets"][0]
    secret["SecretName"] = "key-2"
    assert [item[:4] for item in swarm.findings()] == [
        ("s_web", "secret key-1", "as defined", "none"),
        ("s_web", "secret key-2", "none", "another file, owner or mode"),
    ]
    secret |= {"SecretName": "key-1", "File": {"Name": "key", "Mode": 511}}
    assert [item[:4] for item in swarm.findings()] == [
        ("s_web", "secret key-1", "as defined", "another file, owner or mode")
    ]


@pytest.mark.parametrize(
    ("part", "value", "what"),
    [
        ("User", "0", "User"),
        ("Mounts", [{"Target": "/x", "Source": "/"}], "Mounts./x.Source"),
        ("CapabilityAdd", ["ALL"], "CapabilityAdd"),
    ],
)
def test_any_field(swarm: Swarm, part: str, value: Any, what: str) -> None:
    swarm.container[part] = value
    found = swarm.findings()
    assert what in [item[1] for item in found]
    assert all("docker service rollback --detach s_web" in item[4] for item in found)


@pytest.mark.parametrize("label", ["beanft.release", "beanft.definition"])
def test_another_release_is_put_right_by_a_deploy(swarm: Swarm, label: str) -> None:
    assert swarm.service
    swarm.service["Spec"]["Labels"][label] = "6"
    swarm.container["Env"] = []
    found = swarm.findings()
    assert f"label {label}" in [item[1] for item in found]
    assert {item[4] for item in found} == {"make deploy"}


def test_services_that_are_missing_or_too_many(swarm: Swarm) -> None:
    more = copy.deepcopy(swarm.service)
    assert more
    more["ID"], more["Spec"]["Name"] = "service2", "s_mine"
    swarm.service, swarm.extra = None, [more]
    assert [item[:4] for item in swarm.findings()] == [
        ("s_mine", "service", "none", "there"),
        ("s_web", "service", "there", "none"),
    ]


def test_tasks_that_do_not_run_or_run_something_else(swarm: Swarm) -> None:
    swarm.tasks = [task(1, OTHER), task(2, state="starting")]
    assert [item[:4] for item in swarm.findings()] == [
        ("s_web", "running tasks", "2", "1"),
        ("s_web", "image of task task1", IMAGE, OTHER),
    ]


def test_an_update_that_is_not_over(swarm: Swarm) -> None:
    assert swarm.service
    swarm.service["UpdateStatus"] = {"State": "paused"}
    assert [item[:4] for item in swarm.findings()] == [("s_web", "update", "completed", "paused")]
    swarm.service["UpdateStatus"] = {"State": "rollback_completed"}
    assert swarm.findings() == []


def test_an_image_that_no_record_names_is_proven_by_the_hash(swarm: Swarm, docker: Any) -> None:
    unnamed = {**DEFINITION, "services": {"web": {"image": ""}}}
    assert swarm.look(definition=unnamed)["images"] == {"s_web": IMAGE}
    proven = json.loads(docker.calls("--host unix://")[-1]["stdin"])["services"]["web"]
    assert proven["image"] == IMAGE
    before = proven["deploy"]["labels"]["beanft.definition"]
    swarm.container["Image"] = OTHER
    swarm.look(definition=unnamed)
    after = json.loads(docker.calls("--host unix://")[-1]["stdin"])["services"]["web"]
    # So the label that the service still has does not fit.
    assert after["deploy"]["labels"]["beanft.definition"] != before


def test_nodes(swarm: Swarm) -> None:
    swarm.nodes = [node(Status={"State": "down"}, ManagerStatus={"Reachability": "unreachable"})]
    swarm.nodes[0]["Spec"] = {"Labels": {"mine": "1"}, "Role": "worker", "Availability": "drain"}
    assert [item[:4] for item in swarm.findings()] == [
        ("m1", "state", "ready", "down"),
        ("m1", "availability", "active", "drain"),
        ("m1", "role", "manager", "worker"),
        ("m1", "manager", "reachable", "unreachable"),
        ("m1", "label beanft.edge", "true", "none"),
        ("m1", "label mine", "none", "1"),
    ]


def test_nodes_that_are_missing_strange_or_there_twice(swarm: Swarm) -> None:
    swarm.nodes = [node("m9", Status={"State": "down"})]
    assert [item[:4] for item in swarm.findings()] == [
        ("m1", "node", "in the Swarm", "none"),
        ("m9", "node", "none", "in the Swarm, down"),
    ]
    # A name that could not be asked for may be this one's.
    assert swarm.findings(nodes=[{**NODE, "hostname": ""}]) == []
    swarm.nodes = [node(Status={"State": "down"}), node(ID="younger")]
    assert [item[:4] for item in swarm.findings()] == [
        ("m1", "node", "once", "again as id-of-m1, down")
    ]


def test_what_the_client_does_not_say_is_no_agreement(swarm: Swarm) -> None:
    swarm.expected = {**swarm.expected, "Name": "s_other"}
    assert swarm.look()["msg"] == (
        "the Swarm could not be compared with what is on record: "
        "the client did not say what the services of s are: []"
    )


@pytest.mark.parametrize(
    "command",
    [
        "network ls",
        "service ls",
        "service inspect",
        "--host",
        "stack ps",
        "node ls",
        "node inspect",
    ],
)
def test_what_cannot_be_asked_for_is_no_agreement(swarm: Swarm, docker: Any, command: str) -> None:
    swarm.look()
    answers = json.loads((docker.directory / "answers.json").read_text(encoding="utf-8"))
    answers["steps"][0] = {
        key: {"err": "context deadline exceeded\n", "code": 1} if key.startswith(command) else said
        for key, said in answers["steps"][0].items()
    }
    (docker.directory / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    result = swarm.run(
        "swarm_drift", stacks=[{"name": "s", "definition": DEFINITION}], nodes=[NODE]
    )
    assert result["msg"].endswith("context deadline exceeded")
