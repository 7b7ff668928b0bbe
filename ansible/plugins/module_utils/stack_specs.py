"""What the services of a stack are in the Swarm's own terms, and in what two of them differ.

The translation from Compose is the docker client's own: it is asked to deploy the stack to an engine that
only takes notes. So every field of a service can be compared, and none is forgotten here.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import socketserver
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from ansible.module_utils.docker_cli import DockerError, Module, docker

HASH = "beanft.definition"
RELEASE = "beanft.release"
Flat = dict[str, Any]
# What the engine fills in where the client says nothing.
DEFAULTS: Flat = {
    "TaskTemplate.Runtime": "container",
    "TaskTemplate.ContainerSpec.Isolation": "default",
    "TaskTemplate.ContainerSpec.Privileges.NoNewPrivileges": False,
    "TaskTemplate.ContainerSpec.StopGracePeriod": 10 * 10**9,
    "TaskTemplate.RestartPolicy.Condition": "any",
    "TaskTemplate.RestartPolicy.Delay": 5 * 10**9,
    "TaskTemplate.RestartPolicy.MaxAttempts": 0,
    "EndpointSpec.Mode": "vip",
    **{
        f"{part}.{field}": value
        for part in ("UpdateConfig", "RollbackConfig")
        for field, value in {
            "Parallelism": 1,
            "FailureAction": "pause",
            "Monitor": 5 * 10**9,
            "MaxFailureRatio": 0,
            "Order": "stop-first",
        }.items()
    },
}
# By this a list's items are told apart; ids are the store's and say nothing.
KEYS = ("SecretName", "ConfigName", "TargetPort", "Target")
IDS = ("SecretID", "ConfigID")


def labelled(definition: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Return the definition with a hash of each service's part of it as a label of the service."""
    result = copy.deepcopy(definition)
    shared = {key: value for key, value in definition.items() if key != "services"}
    for name, service in result["services"].items():
        text = json.dumps([definition["services"][name], shared], sort_keys=True)
        deploy = service.setdefault("deploy", {})
        deploy["labels"] = {
            **deploy.get("labels", {}),
            **{key: str(value) for key, value in labels.items()},
            HASH: hashlib.sha256(text.encode()).hexdigest(),
        }
    return result


def for_engine(module: Module, definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition as this machine's client and engine know it.

    Before version 25 there is no interval of its own for a starting task: all come more often instead.
    """
    services = definition["services"].values()
    if not any("start_interval" in service.get("healthcheck", {}) for service in services):
        return definition
    version = docker(module, "version", "--format", "{{.Server.APIVersion}}").strip()
    if tuple(int(part) for part in version.split(".")) >= (1, 44):
        return definition
    result = {**copy.deepcopy(definition), "version": "3.9"}
    for service in result["services"].values():
        if service.get("healthcheck", {}).pop("start_interval", None):
            service["healthcheck"]["interval"] = "2s"
    return result


class NoteTaker(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An engine that has whatever it is asked for, and keeps what it is told to create."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        """Listen on a socket."""
        super().__init__(path, Answers)
        self.created: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []


class Answers(BaseHTTPRequestHandler):
    """What a manager would answer while a stack is deployed for the first time."""

    server: NoteTaker
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: stdout is Ansible's."""

    def answer(self, value: Any, status: int = 200) -> None:
        """Send a value as JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer a question: names that are asked for exist."""
        url = urllib.parse.urlsplit(self.path)
        path = re.sub(r"^/v[0-9.]+", "", url.path)
        filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
        if path == "/_ping":
            self.answer("OK")
        elif path == "/info":
            self.answer({"Swarm": {"LocalNodeState": "active", "ControlAvailable": True}})
        elif path.startswith("/networks/"):
            name = urllib.parse.unquote(path.split("/")[2])
            self.answer({"Name": name, "Id": name, "Scope": "swarm", "Driver": "overlay"})
        elif path in ("/secrets", "/configs"):
            self.answer([{"ID": name, "Spec": {"Name": name}} for name in filters.get("name", [])])
        elif path in ("/services", "/networks"):
            self.answer([])
        else:
            self.refuse()

    def do_HEAD(self) -> None:
        """Answer a question without its body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Note a service that is to be created; a network of the stack's own is made at once."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/services/create"):
            spec = json.loads(data)
            self.server.created[spec["Name"]] = spec
            self.answer({"ID": spec["Name"]}, 201)
        elif self.path.endswith("/networks/create"):
            self.answer({"Id": json.loads(data)["Name"]}, 201)
        else:
            self.refuse()

    def refuse(self) -> None:
        """Answer what is not foreseen here, so that nothing is taken for looked at that was not."""
        self.server.refused.append(f"{self.command} {self.path}")
        self.answer({"message": f"not foreseen: {self.command} {self.path}"}, 501)


def service_specs(
    module: Module, stack: str, definition: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the spec of every service of a stack as the client would hand it to the engine.

    Raises:
        DockerError: the client did not take the definition.
    """
    definition = for_engine(module, definition)
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "engine.sock")
        with NoteTaker(path) as engine:
            # Its own pause, of half a second, would be waited for at the end.
            thread = threading.Thread(target=engine.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                docker(
                    module, "--host", f"unix://{path}",
                    "stack", "deploy", "--resolve-image", "never", "--compose-file", "-", stack,
                    data=json.dumps(definition),
                )  # fmt: skip
            finally:
                engine.shutdown()
                thread.join()
    wanted = {f"{stack}_{name}" for name in definition["services"]}
    if set(engine.created) != wanted or engine.refused:
        raise DockerError(
            f"the client did not say what the services of {stack} are: {engine.refused}"
        )
    return engine.created


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a spec that says something, with the path to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in IDS:
                yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and path.endswith(".Env"):
        for item in value:
            name, _, text = str(item).partition("=")
            yield f"{path}.{name}", text
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        seen: set[str] = set()
        for number, item in enumerate(value):
            name = str(next((item[key] for key in KEYS if key in item), number))
            # One secret may be mounted twice: none hides another.
            name = f"{name}#{number}" if name in seen else name
            seen.add(name)
            yield from leaves(item, f"{path}.{name}")
    elif value not in (None, {}, [], ""):
        yield path, value


def flat(spec: dict[str, Any], networks: dict[str, str] | None = None) -> Flat:
    """Return a spec as values by path, with networks by their names and what the engine fills in."""
    spec = copy.deepcopy(spec)
    template = spec.get("TaskTemplate", {})
    for network in template.get("Networks") or []:
        network["Target"] = (networks or {}).get(network["Target"], network["Target"])
    # A forced update restarts tasks and changes nothing else.
    template.pop("ForceUpdate", None)
    if not (spec.get("Mode") or {}).get("Replicated"):
        spec["Mode"] = dict.fromkeys(spec.get("Mode") or {}, True)
    return {**DEFAULTS, **dict(leaves(spec))}


def differences(expected: Flat, found: Flat) -> list[tuple[str, Any, Any]]:
    """Return path, expected and found value where two specs differ; None where there is none."""
    return [
        (path, expected.get(path), found.get(path))
        for path in sorted(set(expected) | set(found))
        if expected.get(path) != found.get(path)
    ]
