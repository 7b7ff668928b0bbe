#!/usr/bin/env python3
"""The way of ssh to a machine through a bastion, whose host key has to be the one that is known.

through_bastion.py ADDRESS PORT USER HOST_KEY MACHINE PORT    ssh's ProxyCommand, see ansible/plugins/filter/bastion.py
through_bastion.py ADDRESS PORT USER HOST_KEY                 says what is wrong with the bastion, if anything is

ssh's own ProxyJump hands none of its options on, and would ask the user's known_hosts. The login is the user's own, by
an agent or a file, as ssh finds it.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tempfile

NAME = "beanft-bastion"
# What ssh itself exits with.
FAILED = 255
# RFC 4253, section 11.1.
DISCONNECT, BY_PROTOCOL_ERROR = 1, 2


def command(address: str, port: str, user: str, host_key: str) -> list[str]:
    """Return ssh to a bastion, and to no other machine at its address."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        # A connection that is open already was checked by somebody else.
        "ControlPath": "none",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": NAME,
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": f"/bin/echo {NAME} {host_key}",
        # What a bastion answers about a machine is no error to ssh.
        "LogLevel": "INFO",
    }
    pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", "-p", port, "-l", user, *pairs, address]


def sentence(words: str, bastion: list[str], machine: str = "") -> str:
    """Return why there is no way, from the words of ssh."""
    address, port, user = bastion[:3]
    where = f"the bastion {address}"
    if "Host key verification failed" in words:
        return (
            f"{where} has another host key than beanft_bastion says, and nothing was sent there:"
            " ask who runs it which of them is right"
        )
    if re.search("Permission denied|Too many authentication failures", words):
        return f"{where} does not let {user} in by a key of yours: 'ssh-add -l' lists them"
    if found := re.search("open failed: (.+)", words):
        return f"{where} has no way to {machine} ({found[1].strip()}): look at both machines' firewalls"
    last = (words.strip().splitlines() or ["ssh said nothing"])[-1].strip()
    return f"{where} does not answer at port {port} ({last}): look whether it runs and lets you in"


def goodbye(said: str) -> bytes:
    """Return what an SSH server sends that ends a connection with a sentence.

    What a ProxyCommand writes to stderr is lost where ssh keeps its connection for others (ControlPersist), as Ansible
    has it. The server's own words are printed always.
    """
    text = f"beanft: {said}".encode()
    payload = struct.pack(">BII", DISCONNECT, BY_PROTOCOL_ERROR, len(text)) + text + bytes(4)
    padding = 4 + -(len(payload) + 9) % 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
    return b"SSH-2.0-beanft\r\n" + packet


def lead(bastion: list[str], machine: str, port: str) -> int:
    """Lead ssh, at stdin and stdout, to a machine."""
    way = command(*bastion)
    way[1:1] = ["-W", f"[{machine}]:{port}"]
    answered = False
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as file:
        with subprocess.Popen(way, stdout=writing, stderr=file) as ssh:
            os.close(writing)
            while chunk := os.read(reading, 1 << 16):
                answered = True
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        file.seek(0)
        words = file.read().decode(errors="replace")
    # After the machine's first byte, all that comes is the machine's.
    if ssh.returncode and not answered:
        sys.stdout.buffer.write(goodbye(sentence(words, bastion, machine)))
        sys.stdout.buffer.flush()
        # ssh reads it if it can still write.
        sys.stdin.buffer.read()
    return ssh.returncode


def look(bastion: list[str]) -> int:
    """Say what is wrong with a bastion; it may let nobody run anything there."""
    done = subprocess.run(
        [*command(*bastion), "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == FAILED:
        print(f"beanft: {sentence(done.stderr, bastion)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    bastion, way_on = sys.argv[1:5], sys.argv[5:]
    sys.exit(lead(bastion, *way_on) if way_on else look(bastion))
