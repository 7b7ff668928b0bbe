"""A machine with a kernel of its own, from its first boot to one more: user data, site, deploy, smoke, reboot.

`make test-vm`; without hardware virtualisation it takes long, so it is not part of `make test`. The tests are the
steps, in order; where one fails, those after it mean nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.fleet.checkout import ROOT, Checkout
from tests.fleet.fleet import docker
from tests.fleet.load import SAMPLE, Account
from tests.vm.machine import VARIABLES, Machine

BOOT_SECONDS = 900
SERVE_SECONDS = 1200
rows: list[dict[str, Any]] = []


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Note how long something took."""
    print(f"\n== {name}", flush=True)
    begun = time.monotonic()
    yield
    took = round(time.monotonic() - begun, 1)
    rows.append({"name": name, "value": took, "unit": "s", "bound": None, "holds": None})


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine that is described and not yet there, in a checkout of its own."""
    checkout = Checkout.make(ROOT / "build" / "vm-test")
    checkout.variables.update(CLOUD="static", ENV="staging", WATCH="10")
    try:
        checkout.run("bin/engine")
        with phase("image of the machine"):
            checkout.run("bin/images", "vm")
        made = Machine(checkout)
        made.describe()
        checkout.make_target("user-data")
        yield made
    finally:
        if rows:
            subprocess.run([ROOT / "bin/report", "test-vm", *map(json.dumps, rows)], check=True)
        checkout.run("bin/down", ok=False)


def schema(machine: Machine, text: str) -> subprocess.CompletedProcess[str]:
    """Have cloud-init, as it is in the machine, say what it thinks of user data."""
    check = "cat >/machine/tmp/it && chroot /machine cloud-init schema --config-file /tmp/it"
    command = ["docker", "run", "--rm", "-i", "--network", "none", "--entrypoint", "sh"]
    return subprocess.run(
        [*command, f"{machine.project}/vm", "-c", check],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_user_data_is_what_cloud_init_knows(machine: Machine) -> None:
    text = machine.user_data.read_text()
    assert machine.user_data.stat().st_mode & 0o077 == 0
    good = schema(machine, text)
    assert good.returncode == 0, good.stdout + good.stderr
    for line, said in (
        ("ssh_pwauth: [false]", "is not of type 'boolean'"),
        ("ssh_pwaut: false", "'ssh_pwaut' was unexpected"),
    ):
        bad = schema(machine, text.replace("ssh_pwauth: false", line))
        assert bad.returncode == 1, f"{line} is let pass"
        assert said in bad.stdout + bad.stderr


def test_it_boots_as_the_one_that_is_expected(machine: Machine) -> None:
    with phase("first boot, to SSH"):
        machine.start()
        machine.wait_ssh(BOOT_SECONDS)
        said = machine.try_ssh("cloud-init", "status", "--wait", "--format", "json")
    status = json.loads(said.stdout)
    assert (status["status"], status["errors"], status["recoverable_errors"]) == ("done", [], {})
    assert machine.on("hostname").strip() == "m1"
    # The first connection was one to a key that was known before there was a machine.
    offered = subprocess.run(
        ["ssh-keyscan", "-p", str(machine.ports[0]), "127.0.0.1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = (machine.state / "known_hosts").read_text().split()[1:3]
    assert [line.split()[1:3] for line in offered.splitlines() if line[0] != "#"] == [expected]


def test_nobody_reads_what_was_secret_in_it(machine: Machine) -> None:
    places = "/etc/ssh /var/lib/cloud /run/cloud-init /var/log /dev/vdb"
    look = f"grep -rlsF 'OPENSSH PRIVATE KEY' {places}"
    assert "user-data.txt" in machine.on(f"sudo {look}")
    assert machine.try_ssh("sudo", "-u", "nobody", look).stdout == ""


def test_site(machine: Machine) -> None:
    with phase("site"):
        machine.checkout.make_target("site")
    with phase("site again"):
        again = machine.checkout.make_target("site")
    assert re.search(r"^ok: changed=0 failed=0 ", again, re.MULTILINE)


def test_deploy_and_smoke(machine: Machine) -> None:
    with phase("images of the application"):
        machine.checkout.run("bin/images")
    with phase("deploy"):
        machine.checkout.make_target("deploy")
    with phase("smoke"):
        machine.checkout.run("bin/smoke", "--train-seconds", "900")


def check_kernel(machine: Machine) -> None:
    """What a container can't show: that is its own kernel's."""
    wanted = machine.on("cat /etc/sysctl.d/60-beanft-hardening.conf")
    settings = dict(re.findall(r"^-([a-z][\w.-]+) *= *(\S+)$", wanted, re.MULTILINE))
    assert {name.split(".")[0] for name in settings} >= {"dev", "fs", "kernel", "net", "vm"}
    values = machine.on(f"sudo sysctl --values {' '.join(settings)}").split()
    assert dict(zip(settings, values, strict=True)) == settings

    rules = machine.on("sudo auditctl -l")
    files = machine.on("sudo cat /etc/audit/rules.d/beanft.rules")
    keys = set(re.findall(r"(?:-k |key=)(\S+)", files))
    assert keys
    assert set(re.findall(r"(?:-k |key=)(\S+)", rules)) == keys

    swap = machine.on("cat /proc/swaps").splitlines()[1].split()
    assert swap[1] == "file"
    assert abs(int(swap[2]) - int(VARIABLES["common_swap_mib"]) * 1024) <= 4

    assert machine.on("sudo aa-status --enabled && echo on").strip() == "on"
    profiles = machine.on(
        "sudo docker ps -q | xargs sudo docker inspect --format '{{.AppArmorProfile}}'"
    )
    assert set(profiles.split()) == {"docker-default"}
    assert "cgroup2fs" in machine.on("stat --file-system --format %T /sys/fs/cgroup")
    assert 'tcp dport 22 accept comment "SSH"' in machine.on("sudo nft list table inet beanft")
    assert machine.on("systemctl --failed --no-legend").strip() == ""


def test_the_kernel_is_as_the_roles_want_it(machine: Machine) -> None:
    check_kernel(machine)


def test_it_serves_by_itself_after_a_reboot(machine: Machine) -> None:
    account = Account.register(machine.url)
    path = f"{machine.url}/api/v1/datasets"
    csv = {**account.headers, "Content-Type": "text/csv"}
    stored = requests.post(f"{path}?name=kept", data=SAMPLE, headers=csv, timeout=60)
    stored.raise_for_status()
    before = requests.get(f"{machine.url}/version", timeout=60).json()
    boot = machine.on("cat /proc/sys/kernel/random/boot_id").strip()

    with phase("reboot, to SSH"):
        # The connection may end before it answers.
        machine.try_ssh("sudo", "systemctl", "reboot")
        machine.wait_ssh(BOOT_SECONDS, boot)
    with phase("SSH, to the same version served"):
        deadline = time.monotonic() + SERVE_SECONDS
        while (served := version(machine.url)) != before:
            assert time.monotonic() < deadline, f"{served}\n{machine.on('sudo docker ps -a')}"
            time.sleep(2)
        while version(f"{machine.url}/api/v1") is None:
            assert time.monotonic() < deadline, machine.on("sudo docker ps -a")
            time.sleep(2)
    content = requests.get(
        f"{path}/{stored.json()['id']}/content", headers=account.headers, timeout=60
    )
    assert content.content == SAMPLE
    check_kernel(machine)
    assert docker("inspect", "--format", "{{.RestartCount}}", machine.container) == "0"


def version(url: str) -> dict[str, Any] | None:
    """Return what serves, or None."""
    try:
        answer = requests.get(f"{url}/version", timeout=30)
        return dict(answer.json()) if answer.ok else None
    except (requests.RequestException, ValueError):
        return None
