"""The light machines of `make bench-machines`: what the local inventory needs to find them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench.machines import options

SIZE = 50
INVENTORY = Path(__file__).parents[2] / "ansible/inventories/local/machines.docker.yml"


def first(**host: Any) -> dict[str, Any]:
    """Return the first machine as the engine shows it."""
    name = "beanft-1234-local-m1"
    labels = {
        "beanft": "machine",
        "beanft.checkout": "beanft-1234",
        "beanft.environment": "local",
        "beanft.machine": "m1",
        "beanft.groups": "managers,edge",
    }
    return {
        "Name": f"/{name}",
        "Config": {"Hostname": "m1", "Labels": labels, "Env": ["A=b", "BEANFT_AUTHORIZED_KEY=k"]},
        "NetworkSettings": {"Networks": {"beanft-1234-local": {"IPAddress": "10.7.8.11"}}},
        "HostConfig": {
            "Privileged": False,
            "CapAdd": None,
            "CapDrop": None,
            "SecurityOpt": None,
            "CgroupnsMode": "private",
            "Tmpfs": {"/run": "", "/run/lock": "exec"},
            "Binds": [
                f"{name}-docker:/var/lib/docker:rw",
                "beanft-1234-local-backup:/srv/backup:rw",
            ],
            **host,
        },
    }


def labels(made: list[str]) -> dict[str, str]:
    """Return the labels among options."""
    return dict(
        word.removeprefix("--label=").split("=", 1) for word in made if word.startswith("--label=")
    )


def test_each_is_a_machine_of_its_own_to_the_inventory() -> None:
    made = [options(first(), number) for number in range(2, SIZE + 1)]
    for option in ("--name", "--ip"):
        assert len({words[words.index(option) + 1] for words in made}) == SIZE - 1
    assert made[0][made[0].index("--name") + 1] == "beanft-1234-local-m2"
    assert made[-1][made[-1].index("--ip") + 1] == "10.7.8.60"
    read = set(re.findall(r"Labels\['([^']+)'\]", INVENTORY.read_text(encoding="utf-8")))
    for number, words in enumerate(made, start=2):
        own = labels(words)
        assert read <= set(own)
        assert (own["beanft.machine"], own["beanft.groups"]) == (f"m{number}", "workers")
        # By which `bin/down` finds them.
        assert own["beanft.checkout"] == "beanft-1234"


@pytest.mark.parametrize("privileged", [True, False])
def test_they_boot_as_the_first_one_does(privileged: bool) -> None:
    host = (
        {"Privileged": True}
        if privileged
        else {"CapAdd": ["ALL"], "CapDrop": ["SYS_RESOURCE"], "SecurityOpt": ["seccomp=unconfined"]}
    )
    made = options(first(**host), 2)
    assert ("--privileged" in made) == privileged
    assert (
        {"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined"} <= {*made}
    ) != privileged
    assert {"--cgroupns=private", "--tmpfs=/run", "--tmpfs=/run/lock:exec"} <= {*made}
    # What all share, and not the first one's engine.
    assert [word for word in made if word.startswith("--volume")] == [
        "--volume=beanft-1234-local-backup:/srv/backup:rw"
    ]
