"""Another configuration or image of the entry: no request is lost, on the very port of the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from entry_helpers import ask, container, running_image
from helpers import ROOT, apply, entry, publish
from load import Load
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = [
    "docker service ps --no-trunc beanft-edge_haproxy",
    "docker service logs --tail 20 beanft-edge_haproxy",
    "iptables -t nat -S PREROUTING",
    "systemctl list-timers --all --no-pager",
]
# A stopping entry may take its stop_grace_period, and with nothing in flight it does not.
GRACE_SECONDS = 65


@pytest.fixture(scope="module")
def image(host: Host) -> Iterator[str]:
    """Return the image that the entry runs, and put the entry back when all is done."""
    found = running_image(host)
    yield found
    assert apply("edge", target="managers[0]", variables={"edge_image": found}).messages == []


def traces(host: Host) -> list[str]:
    """Return what of a replacement is there: rules, timers, the spare entry."""
    rules = host.check_output("iptables -t nat -S PREROUTING; iptables -S DOCKER-USER")
    timers = host.check_output("systemctl list-units --all --plain --no-legend 'beanft-*'")
    services = host.check_output("docker service ls --format '{{.Name}}'")
    return [
        *(line for line in rules.splitlines() if "beanft" in line),
        *timers.splitlines(),
        *(line for line in services.splitlines() if "spare" in line),
    ]


def other() -> int:
    """Return a number of connections that no earlier run had: configurations stay in the Swarm's store."""
    return int(time.time()) % 4000 + 100


def test_a_change_of_configuration_loses_no_request(host: Host, image: str, web: str) -> None:
    before, number = container(host), other()
    variables = {"edge_image": image, "edge_max_connections": number}
    with Load(entry()) as load:
        started = time.monotonic()
        run = apply("edge", target="managers[0]", variables=variables)
        seconds = time.monotonic() - started
        assert run.messages == []
        assert run.changed == {
            "m1": [
                "edge : Configuration in the Swarm's store",
                "edge : Spare entry on every edge machine",
                "edge : Diversion to the spare entry: present on m1",
                "edge : Entry on every edge machine",
                "edge : Diversion to the spare entry: absent on m1",
                "edge : Remove the spare entry",
            ]
        }
        assert apply("edge", target="managers[0]", variables=variables).changed == {}
        assert container(host) != before
        config = host.check_output("docker exec %s cat /etc/haproxy/haproxy.cfg", container(host))
        assert f"maxconn {number}" in config
    assert load.failures == []
    assert load.requests > 500
    assert seconds < GRACE_SECONDS
    assert traces(host) == []


def test_a_change_of_image_loses_no_request(host: Host, image: str, web: str) -> None:
    base = f"{os.environ['BEANFT_CHECKOUT']}/edge"
    changed = publish(host, f"FROM {base}\nLABEL changed={time.time()}\n", "beanft/edge")
    with Load(entry()) as load:
        run = apply("edge", target="managers[0]", variables={"edge_image": changed})
        assert run.messages == []
    used = host.check_output("docker inspect --format {{.Config.Image}} %s", container(host))
    assert used.strip() == changed
    assert load.failures == []
    assert traces(host) == []


@pytest.fixture
def killed_run(host: Host, image: str, web: str) -> dict[str, object]:
    """Kill a run when connections go to the spare entry; return what it was to bring about."""
    variables = {"edge_image": image, "edge_max_connections": other()}
    extra = {"role": "edge", "target": "managers[0]", "tasks_from": "main", "made_up": {}}
    with subprocess.Popen(
        [
            "ansible-playbook",
            "--inventory",
            str(ROOT / "ansible/inventories/local"),
            "--extra-vars",
            json.dumps(extra | variables),
            ROOT / "molecule/shared/role.yml",
        ],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not any("DNAT" in line for line in traces(host)) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    return dict(variables)


def test_what_a_killed_run_left_does_no_harm_and_the_next_one_ends_it(
    host: Host, killed_run: dict[str, object]
) -> None:
    left = traces(host)
    assert any("DNAT" in line for line in left), left
    # What would take the rule away by itself, were there no next run.
    assert any("beanft-entry-divert-80.timer" in line for line in left), left
    with Load(entry()) as load:
        assert ask("/")[0] == 200
        assert apply("edge", target="managers[0]", variables=killed_run).messages == []
        assert traces(host) == []
        assert apply("edge", target="managers[0]", variables=killed_run).changed == {}
    assert load.failures == []
