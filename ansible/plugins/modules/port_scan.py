#!/usr/bin/python
"""Ansible module: connects to every TCP port of a machine, and says which ones answer."""

from __future__ import annotations

import errno
import resource
import select
import socket
import time
from collections.abc import Iterable

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: port_scan
short_description: Find open ports from outside
description:
  - Connects to every TCP port of an address, many at once, and names those that accept. It sends nothing.
  - UDP has no connections. What shows whether a firewall is there is a port on which nobody listens, which the machine
    itself would refuse.
options:
  address:
    description: IPv4 address to connect to.
    type: str
    required: true
  first:
    description: The first port.
    type: int
    default: 1
  last:
    description: The last port.
    type: int
    default: 65535
  seconds:
    description: Seconds to wait for answers, long enough for a second try of the kernel's.
    type: float
    default: 1.6
"""

EXAMPLES = r"""
- name: Connect to every port of the next machine
  port_scan:
    address: 192.0.2.12
"""

RETURN = r"""
open:
  description: Ports that accepted.
  returned: success
  type: list
  elements: int
refused:
  description: How many ports refused; the machine answered that nobody listens, and no firewall was in between.
  returned: success
  type: int
source:
  description: The address that was connected from.
  returned: success
  type: str
is_udp_filtered:
  description: Whether ports for UDP on which nobody listens keep silent.
  returned: success
  type: bool
"""

AT_ONCE = 8192
# File descriptors that something else needs.
SPARE = 64
# Where hardly anybody listens; if somebody does, there are others.
UNUSED_UDP = (9, 19, 1900, 33435, 40007, 50021, 61007)
UDP_SECONDS = 0.5


def batches(ports: range, size: int) -> Iterable[range]:
    """Yield the ports in pieces of a size."""
    for start in range(0, len(ports), size):
        yield ports[start : start + size]


def at_once() -> int:
    """Return how many sockets this process may have, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = AT_ONCE + SPARE if hard == resource.RLIM_INFINITY else min(AT_ONCE + SPARE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - SPARE, 1)


def scan(address: str, ports: range, seconds: float) -> tuple[list[int], int]:
    """Connect to ports at once; return those that accepted, and how many refused.

    Raises:
        OSError: there is no way to the address.
    """
    answers: dict[int, int] = {}
    waiting: dict[int, tuple[int, socket.socket]] = {}
    poll = select.epoll()
    try:
        for port in ports:
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            waiting[client.fileno()] = (port, client)
            code = client.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                poll.register(client.fileno(), select.EPOLLOUT)
            else:
                answers[port] = code
        deadline = time.monotonic() + seconds
        while len(answers) < len(ports) and (left := deadline - time.monotonic()) > 0:
            for number, _ in poll.poll(left):
                poll.unregister(number)
                port, client = waiting[number]
                answers[port] = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    finally:
        poll.close()
        for _, client in waiting.values():
            client.close()
    for code in answers.values():
        if code in (errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL):
            raise OSError(code, "connecting is not possible from here")
    return [port for port, code in answers.items() if code == 0], list(answers.values()).count(
        errno.ECONNREFUSED
    )


def udp_is_filtered(address: str) -> bool:
    """Tell whether unused ports for UDP keep silent."""
    clients = []
    try:
        for port in UNUSED_UDP:
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.connect((address, port))
            client.settimeout(UDP_SECONDS)
            client.send(b"")
            clients.append(client)
        time.sleep(UDP_SECONDS)
        for client in clients:
            client.setblocking(False)
            try:
                client.recv(1)
            except ConnectionRefusedError:
                return False
            except OSError:
                continue
        return True
    finally:
        for client in clients:
            client.close()


def source(address: str) -> str:
    """Return the address of this machine from which that one is reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, 9))
        return str(client.getsockname()[0])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "first": {"type": "int", "default": 1},
            "last": {"type": "int", "default": 65535},
            "seconds": {"type": "float", "default": 1.6},
        },
        supports_check_mode=True,
    )
    values = module.params
    address, found, refused = values["address"], [], 0
    try:
        origin, filtered = source(address), udp_is_filtered(address)
        for ports in batches(range(values["first"], values["last"] + 1), at_once()):
            accepted, denied = scan(address, ports, values["seconds"])
            found += accepted
            refused += denied
    except OSError as error:
        module.fail_json(msg=f"the ports of {address} could not be looked at: {error}")
    module.exit_json(
        changed=False, open=sorted(found), refused=refused, source=origin, is_udp_filtered=filtered
    )


if __name__ == "__main__":
    main()
