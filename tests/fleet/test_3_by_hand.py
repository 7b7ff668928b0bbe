"""What somebody did by hand on machines is found, from outside as open ports and from inside as drift, and put back."""

from __future__ import annotations

import json
import re

from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet

LISTENER, PUBLISHED = 8100, 8101


def opened(checkout: Checkout) -> set[str]:
    """Return the ports that the last scan found open, as "m1 22/tcp"."""
    report = json.loads((checkout.path / "build/reports/scan.json").read_text())
    return {
        f"{machine.rsplit('-', 1)[-1]} {port['port']}/{port['protocol']}"
        for machine, ports in report["ports"].items()
        for port in ports
        if port["open"]
    }


def drifted(checkout: Checkout) -> set[tuple[str, str]]:
    """Return where something is not what is on record, and what, as the last look for drift found it."""
    report = json.loads((checkout.path / "build/reports/drift.json").read_text())
    assert report["not_looked_at"] == []
    return {(item["where"], item["what"]) for item in report["findings"]}


def connects(fleet: Fleet, machine: str, target: str, port: int) -> bool:
    """Tell whether a machine can connect to a port of another one."""
    address = fleet.on(target, "hostname", "--ip-address").split()[0]
    connect = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo yes || echo no"
    return fleet.on(machine, "bash", "-c", connect) == "yes"


def test_what_was_done_by_hand_is_found_and_put_back(fleet: Fleet, checkout: Checkout) -> None:
    server = ["systemd-run", "--quiet", "--collect", "--unit", "undeclared"]
    fleet.on("m2", *server, "python3", "-m", "http.server", str(LISTENER))
    field = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    image = fleet.manager("service", "inspect", "--format", field, "beanft_web")
    fleet.on(
        "m3",
        *("docker", "run", "--detach", "--name", "undeclared", "--publish", f"{PUBLISHED}:8000"),
        *("--no-healthcheck", "--entrypoint", "python", image, "-m", "http.server", "8000"),
    )
    try:
        # Both listen, and are closed.
        text = checkout.make_target("scan")
        assert "NOT DECLARED" not in text
        ports = {"22/tcp", "80/tcp", "2377/tcp", "7946/tcp", "7946/udp", "4789/udp"}
        everywhere = {f"{machine} {port}" for machine in ("m1", "m2", "m3") for port in ports}
        # Database and queue besides, where a machine has them.
        assert opened(checkout) - {"m1 5432/tcp", "m1 6379/tcp"} == everywhere
        assert not connects(fleet, "m1", "m2", LISTENER)

        # Where somebody wanted them open, and something else in a service.
        for machine in ("m2", "m3"):
            fleet.on(machine, "nft", "delete", "table", "inet", "beanft")
        fleet.manager("service", "update", "--quiet", "--env-add", "BY=hand", "beanft_api")
        text = checkout.fails("make", "scan")
        assert f"m2 {LISTENER}/tcp (python3)" in text
        assert f"m3 {PUBLISHED}/tcp (docker-proxy)" in text
        assert connects(fleet, "m1", "m2", LISTENER)
        text = checkout.fails("bin/drift")
        assert drifted(checkout) == {
            ("m2", "firewall : Rules are in force"),
            ("m3", "firewall : Rules are in force"),
            ("m3", "container undeclared"),
            ("beanft_api", "environment BY"),
        }
        assert "hand" not in re.sub("by hand", "", text), "the value is not shown"

        checkout.make_target("site")
        assert not connects(fleet, "m1", "m2", LISTENER)
        assert not connects(fleet, "m1", "m3", PUBLISHED)
        assert connects(fleet, "m1", "m2", 22)
    finally:
        fleet.on("m2", "systemctl", "stop", "undeclared")
        fleet.on("m3", "docker", "rm", "--force", "undeclared")
        fleet.manager("service", "update", "--quiet", "--env-rm", "BY", "beanft_api")
    checkout.run("bin/drift")
    assert drifted(checkout) == set()
