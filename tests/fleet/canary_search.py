"""Searches a machine for a text that must not be on it, in the forms in which it could hide.

Standard library only: canary.py sends this file to each machine and runs it there. What is searched for
comes in on stdin, so that the search does not find its own command line.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 2**20
TIMED_OUT = 124
# What a command says of something that has gone meanwhile, or that keeps no log.
GONE = (b"no such", b"not found", b"marked for removal", b"does not support reading")


def forms(needle: str) -> dict[str, list[bytes]]:
    """Return what to look for, by the name of the form.

    Of base64 there are three, by where in its groups of three bytes the text begins; what also
    depends on the bytes around it is cut off.
    """
    data = needle.encode()
    found = {"raw": {data, urllib.parse.quote(needle).encode(), json.dumps(needle)[1:-1].encode()}}
    found["hex"] = {data.hex().encode(), data.hex().upper().encode()}
    found["base64"] = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        first = (0, 2, 3)[before]
        last = (None, -3, -2)[(before + len(data)) % 3]
        inner = encoded[first:last]
        found["base64"] |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return {name: sorted(texts) for name, texts in found.items()}


@dataclass
class Search:
    """What is searched for, where it was found, and how much was looked at."""

    needle: str
    found: list[str] = field(default_factory=list)
    looked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.needle) < 16:
            raise ValueError("a canary of less than 16 letters is found by chance")
        self.forms = forms(self.needle)
        self.longest = max(len(text) for texts in self.forms.values() for text in texts)

    def look(self, kind: str, place: str, chunks: Iterable[bytes]) -> None:
        """Search a stream of bytes, of which there may be more than fits into memory."""
        self.looked[kind] = self.looked.get(kind, 0) + 1
        before, seen = b"", set()
        for chunk in chunks:
            window = before + chunk
            seen |= {
                name for name, texts in self.forms.items() if any(text in window for text in texts)
            }
            before = window[-self.longest :]
        self.found += [f"{kind}: {place} ({name})" for name in sorted(seen)]

    def command(self, kind: str, place: str, *command: str) -> None:
        """Search what a command prints; it has to succeed, unless what it is about has gone meanwhile."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            last = b""

            def chunks() -> Iterator[bytes]:
                nonlocal last
                assert process.stdout is not None
                while chunk := process.stdout.read(CHUNK):
                    last = (last + chunk)[-2000:]
                    yield chunk

            self.look(kind, place, chunks())
        timed_out = command[0] == "timeout" and process.returncode == TIMED_OUT
        if process.returncode and not timed_out and not any(word in last.lower() for word in GONE):
            raise RuntimeError(f"{' '.join(command)} failed: {last.decode(errors='replace')}")

    def processes(self) -> None:
        """Search environment and command line of every process."""
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            for name in ("environ", "cmdline"):
                try:
                    data = (process / name).read_bytes()
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue  # it has ended, or this is not root and it is somebody else's
                self.look("process", f"{name} of {process.name}", [data])

    def docker(self) -> None:
        """Search what the engine says of all it has, and the logs of containers and services."""
        is_manager = lines("docker", "info", "--format", "{{.Swarm.ControlAvailable}}") == ["true"]
        for container in lines("docker", "ps", "--all", "--quiet", "--no-trunc"):
            self.command("inspect", f"container {container[:12]}", "docker", "inspect", container)
            self.command("log", f"container {container[:12]}", "docker", "logs", container)
        for image in set(lines("docker", "image", "ls", "--quiet", "--no-trunc")):
            self.command("image", image[7:19], "docker", "image", "inspect", image)
            history = ("docker", "history", "--no-trunc", "--format", "{{json .}}", image)
            self.command("image", f"history of {image[7:19]}", *history)
        for kind in ("network", "volume"):
            for name in lines("docker", kind, "ls", "--quiet"):
                self.command("inspect", f"{kind} {name[:12]}", "docker", kind, "inspect", name)
        if is_manager:
            self.swarm()

    def swarm(self) -> None:
        """Search services and their logs, tasks, configs decoded, and what is known of secrets."""
        for service in lines("docker", "service", "ls", "--format", "{{.Name}}"):
            self.command("inspect", f"service {service}", "docker", "service", "inspect", service)
            # The engine waits for ever for the log of a task whose machine has died.
            command = ("timeout", "20", "docker", "service", "logs", "--raw", service)
            self.command("log", f"service {service}", *command)
            for task in lines("docker", "service", "ps", "--quiet", "--no-trunc", service):
                command = ("docker", "inspect", "--type", "task", task)
                self.command("inspect", f"task {task[:12]} of {service}", *command)
        for secret in lines("docker", "secret", "ls", "--quiet"):
            self.command("inspect", f"secret {secret}", "docker", "secret", "inspect", secret)
        for config in lines("docker", "config", "ls", "--quiet"):
            self.command("inspect", f"config {config}", "docker", "config", "inspect", config)
            for known in json.loads("\n".join(lines("docker", "config", "inspect", config))):
                self.record(known["Spec"])

    def record(self, spec: dict[str, Any]) -> None:
        """Search what is in a config, such as a release record."""
        data = base64.b64decode(spec.get("Data") or "")
        self.look("record", f"config {spec['Name']}", [data])

    def journal(self) -> None:
        """Search the journal, all fields of it."""
        self.command("journal", "all of it", "journalctl", "--no-pager", "--output", "export")

    def folder(self, folder: Path, skip: Iterable[str] = ()) -> None:
        """Search files and their names below a folder, but not files of these names."""
        for path in sorted(folder.rglob("*")):
            self.look("name", str(path), [str(path.relative_to(folder)).encode()])
            if path.is_symlink() or not path.is_file() or path.name in skip:
                continue
            try:
                with path.open("rb") as file:
                    self.look("file", str(path), iter(lambda: file.read(CHUNK), b""))
            except FileNotFoundError:
                continue  # it has gone meanwhile


def lines(*command: str) -> list[str]:
    """Return the lines that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def machine(needle: str) -> None:
    """Search the machine that this runs on, and print what was found as JSON."""
    search = Search(needle)
    search.processes()
    search.docker()
    search.journal()
    # Where something on a machine leaves what it is told.
    for name in ("/etc", "/home", "/root", "/tmp", "/var/log", "/var/tmp"):  # noqa: S108
        search.folder(Path(name))
    json.dump({"found": search.found, "looked": search.looked}, sys.stdout)
