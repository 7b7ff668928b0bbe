"""Filters about a way through another machine: what ssh is told, and what looks whether there is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).resolve().parents[3] / "bin" / "through_bastion.py"
USUAL: dict[str, Any] = {"address": "", "user": "", "host_key": "", "port": 22}
KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]+=*")


def problem(bastion: object) -> str:
    """Return what is wrong with a bastion, or ''."""
    if not isinstance(bastion, dict):
        return (
            f"it is {bastion!r}: use {{address: 192.0.2.10, user: jump, host_key: ssh-ed25519 …}}"
        )
    if unknown := sorted(set(bastion) - set(USUAL)):
        return f"it has '{unknown[0]}': it can have {', '.join(USUAL)}"
    for name in ("address", "user"):
        if not re.fullmatch(r"[A-Za-z0-9_][\w.:-]*", str(bastion.get(name, ""))):
            return f"its {name} is {bastion.get(name, '')!r}"
    if not KEY.fullmatch(str(bastion.get("host_key", ""))):
        return "its host_key is no public key: use its /etc/ssh/ssh_host_ed25519_key.pub without the comment"
    if not str(bastion.get("port", 22)).isdigit():
        return f"its port is {bastion['port']!r}"
    return ""


def bastion_command(bastion: dict[str, Any]) -> list[str]:
    """Return the command that says what is wrong with a bastion, as far as it can be reached.

    Args:
        bastion: C(address), C(user), C(host_key), and C(port); nothing for no bastion.

    Raises:
        ValueError: it can't be one.
    """
    if said := problem(bastion):
        raise ValueError(f"beanft_bastion: {said}")
    values = {**USUAL, **bastion}
    return [str(PROGRAM), *(str(values[name]) for name in ("address", "port", "user", "host_key"))]


def bastion_arguments(bastion: dict[str, Any]) -> list[str]:
    """Return arguments by which ssh goes through a bastion; none for no bastion."""
    if not bastion:
        return []
    # ssh fills in %h and %p, the machine and its port.
    command = shlex.join(bastion_command(bastion)).replace("%", "%%")
    return ["-o", f"ProxyCommand={command} %h %p"]


def bastion_line(bastion: dict[str, Any]) -> str:
    """Return the same as one line, quoted, which is how Ansible takes it."""
    return shlex.join(bastion_arguments(bastion))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by their names."""
        return {"bastion_line": bastion_line, "bastion_command": bastion_command}
