"""Lookup that finds free TCP ports on this machine's loopback."""

from __future__ import annotations

import hashlib
import socket

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: free_ports
short_description: Free TCP ports on 127.0.0.1
description:
  - Finds ports that nothing listens on, starting at a place that derives from a name, so that
    the same name tends to get the same ports.
options:
  _terms:
    description: The name.
    required: true
  count:
    description: How many ports.
    type: int
    default: 1
"""

# Below the range from which Linux hands out ports to connections (32768 on).
FIRST, LAST = 20000, 32000


def is_free(port: int) -> bool:
    """Tell whether nothing listens on 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(name: str, count: int) -> list[int]:
    """Return `count` ports, ascending from one that derives from `name`, none of them in use."""
    span = LAST - FIRST
    start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % (span // 10) * 10
    found: list[int] = []
    for step in range(span):
        port = FIRST + (start + step) % span
        if is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise AnsibleLookupError(f"free_ports: no {count} free ports between {FIRST} and {LAST}")


class LookupModule(LookupBase):
    """The lookup."""

    def run(
        self, terms: list[str], variables: dict[str, object] | None = None, **options: object
    ) -> list[int]:
        """Return the free ports for the one name in `terms`."""
        self.set_options(var_options=variables, direct=options)
        return free_ports(str(terms[0]), int(self.get_option("count")))
