"""The way to machines through another one: what ssh makes of it, and what is refused."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVr"
BASTION = {"address": "192.0.2.10", "user": "jump", "host_key": KEY}


def settings(*arguments: str) -> dict[str, str]:
    """Return what ssh takes arguments for."""
    command = ["ssh", "-F", "none", "-G", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def test_ssh_goes_through_a_bastion_and_knows_its_key(plugin: Callable[[str], ModuleType]) -> None:
    line = plugin("filter/bastion").bastion_line({**BASTION, "port": 2222})
    inner = settings(*shlex.split(line), "m1")["proxycommand"]
    # What ssh itself fills in for the machine.
    command = shlex.split(inner.replace("%h", "192.0.2.20").replace("%p", "22"))
    assert command[:3] == ["ssh", "-W", "[192.0.2.20]:22"]
    jump = settings(*command[1:])
    assert (jump["hostname"], jump["port"], jump["user"]) == ("192.0.2.10", "2222", "jump")
    assert jump["stricthostkeychecking"] == "true"
    assert jump["userknownhostsfile"] == "/dev/null"
    asked = shlex.split(jump["knownhostscommand"])
    known = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert known == f"{jump['hostkeyalias']} {KEY}\n"


def test_no_bastion(plugin: Callable[[str], ModuleType]) -> None:
    assert plugin("filter/bastion").bastion_line({}) == ""


@pytest.mark.parametrize(
    ("bastion", "said"),
    [
        ("192.0.2.10", "beanft_bastion: it is '192.0.2.10': use {address: 192.0.2.10, user: jump"),
        ({**BASTION, "key": "x"}, "it has 'key': it can have address, user, host_key, port"),
        ({**BASTION, "address": "-oProxyCommand=x"}, "its address is '-oProxyCommand=x'"),
        ({**BASTION, "user": "a b"}, "its user is 'a b'"),
        ({**BASTION, "host_key": f"{KEY}\nx"}, "its host_key is no public key"),
        ({"address": "192.0.2.10", "user": "jump"}, "its host_key is no public key"),
        ({**BASTION, "port": "ssh"}, "its port is 'ssh'"),
    ],
)
def test_what_can_not_be_is_refused(
    plugin: Callable[[str], ModuleType], bastion: Any, said: str
) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        plugin("filter/bastion").bastion_line(bastion)
    assert said in str(refused.value)
