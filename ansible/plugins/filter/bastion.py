"""Filter that makes ssh's arguments for a way through another machine."""

from __future__ import annotations

import re
import shlex
from typing import Any

NAME = "beanft-bastion"
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


def bastion_arguments(bastion: dict[str, Any]) -> list[str]:
    """Return arguments by which ssh goes through a bastion, whose host key has to be the one that is known.

    ssh's own C(ProxyJump) hands none of its options on, and would ask the user's known_hosts. The login is the user's
    own, by an agent or a file, as ssh finds it.

    Args:
        bastion: C(address), C(user), C(host_key), and C(port); nothing for no bastion.
    """
    if not bastion:
        return []
    if said := problem(bastion):
        raise ValueError(f"beanft_bastion: {said}")
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": NAME,
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": f"/bin/echo {NAME} {bastion['host_key']}",
        "LogLevel": "ERROR",
    }
    jump = ["ssh", "-W", "[%h]:%p", "-p", str(bastion.get("port", 22)), "-l", bastion["user"]]
    jump += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["-o", f"ProxyCommand={shlex.join([*jump, bastion['address']])}"]


def bastion_line(bastion: dict[str, Any]) -> str:
    """Return the same as one line, quoted, which is how Ansible takes it."""
    from ansible.errors import AnsibleFilterError

    try:
        return shlex.join(bastion_arguments(bastion))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filter by its name."""
        return {"bastion_line": bastion_line}
