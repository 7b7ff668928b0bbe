"""The way to machines through another one: what ssh makes of it, what is refused, and what is said of it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVr"
BASTION = {"address": "192.0.2.10", "user": "jump", "host_key": KEY}


def settings(*arguments: str) -> dict[str, str]:
    """Return what ssh takes arguments for."""
    command = ["ssh", "-F", "none", "-G", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def test_ssh_goes_through_a_bastion(plugin: Callable[[str], ModuleType]) -> None:
    line = plugin("filter/bastion").bastion_line({**BASTION, "port": 2222})
    inner = settings(*shlex.split(line), "m1")["proxycommand"]
    program, *rest = shlex.split(inner)
    assert Path(program).is_file()
    assert rest == ["192.0.2.10", "2222", "jump", KEY, "%h", "%p"]


def test_a_bastion_has_the_host_key_that_is_known(program: Callable[[str], ModuleType]) -> None:
    jump = settings(*program("through_bastion").command("192.0.2.10", "2222", "jump", KEY)[1:])
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
    with pytest.raises(ValueError, match="beanft_bastion: ") as refused:
        plugin("filter/bastion").bastion_line(bastion)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "Host key for beanft-bastion has changed\r\nHost key verification failed.\r\n",
            "has another host key than beanft_bastion says, and nothing was sent there",
        ),
        ("jump@192.0.2.10: Permission denied (publickey).", "does not let jump in by a key of"),
        (
            "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed",
            "has no way to 192.0.2.20 (connect failed: Connection refused): look at both",
        ),
        (
            "ssh: connect to host 192.0.2.10 port 22: Connection timed out\r\n",
            "does not answer at port 22 (ssh: connect to host 192.0.2.10 port 22: Connection timed",
        ),
        ("", "does not answer at port 22 (ssh said nothing): look whether it runs"),
    ],
)
def test_why_there_is_no_way(program: Callable[[str], ModuleType], words: str, said: str) -> None:
    text = program("through_bastion").sentence(
        words, ["192.0.2.10", "22", "jump", KEY], "192.0.2.20"
    )
    assert text.startswith("the bastion 192.0.2.10 ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize("length", range(8))
def test_ssh_prints_what_a_bastion_says_also_where_it_keeps_its_connection(
    program: Callable[[str], ModuleType], tmp_path: Path, length: int
) -> None:
    said = tmp_path / "said"
    said.write_bytes(program("through_bastion").goodbye("sentence" + "." * length))
    proxy = f"sh -c 'cat {said}; cat >/dev/null'"
    # A socket's path may have some hundred characters, which pytest's folder has already.
    with tempfile.TemporaryDirectory() as folder:
        kept = ("ControlMaster=auto", "ControlPersist=60s", f"ControlPath={folder}/%C")
        options = [part for option in (*kept, f"ProxyCommand={proxy}") for part in ("-o", option)]
        done = subprocess.run(
            ["ssh", "-F", "none", *options, "m1"], capture_output=True, text=True, check=False
        )
    assert done.returncode == 255
    assert f"beanft: sentence{'.' * length}\n" in done.stderr.replace("\r", "")


def test_a_bastion_that_is_down_is_one_sentence(
    plugin: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        bastion = {**BASTION, "address": "127.0.0.1", "port": taken.getsockname()[1]}
        filters = plugin("filter/bastion")
        environment = {**os.environ, "HOME": str(tmp_path)}
        looked = subprocess.run(
            filters.bastion_command(bastion),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        tried = subprocess.run(
            [
                "ssh",
                "-F",
                "none",
                "-o",
                "LogLevel=ERROR",
                *filters.bastion_arguments(bastion),
                "m1",
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    said = f"beanft: the bastion 127.0.0.1 does not answer at port {bastion['port']} ("
    assert (looked.returncode, looked.stderr.count("\n")) == (1, 1)
    assert looked.stderr.startswith(said)
    assert (tried.returncode, tried.stderr.count("\n")) == (255, 1)
    assert said in tried.stderr
