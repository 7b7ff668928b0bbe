"""Fleets at all providers, and Ansible reading their inventories.

A fleet is a list of machines that is the same for every provider. What stands for the provider:

- local: containers on the real Docker engine, in a checkout and environments of their own
- aws: moto's EC2 on loopback
- gcp: `fake_gcp.py` on loopback, behind Google's own endpoint name
- azure: `without_azure_sdk.py`, the plugin's own code on answers of Azure's shape
- static: a file an environment
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROVIDERS = ("local", "aws", "azure", "gcp", "static")
REGION = "eu-central-1"
# A machine that has much to do is no failure.
SECONDS = 300


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine as whoever makes it wants it."""

    environment: str
    number: int
    groups: tuple[str, ...]
    public: bool = True
    running: bool = True
    ours: bool = True

    @property
    def name(self) -> str:
        """Its name."""
        owner = "beanft" if self.ours else "someone"
        return f"{owner}-{self.environment}-m{self.number}"

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, as all clouds have them."""
        return {
            "beanft": "machine" if self.ours else "other",
            "beanft-environment": self.environment,
            "beanft-machine": f"m{self.number}",
            "beanft-groups": "_".join(self.groups),
        }


# Of machines m1 to m5.
GROUPS = (
    *(("managers", "edge"),) * 3,
    ("workers",),
    ("workers", "data", "monitoring", "jenkins"),
)


def fleet(size: int, environment: str) -> list[Machine]:
    """Return a fleet of one, three or five machines."""
    return [
        Machine(
            environment,
            number,
            GROUPS[number - 1],
            # The cloud's own network is enough for a worker.
            public=number <= 3,
        )
        for number in range(1, size + 1)
    ]


# The fleets of one account, engine or project, and what an inventory has to leave out.
MACHINES = [
    *fleet(1, "one"),
    *fleet(3, "three"),
    *fleet(5, "five"),
    Machine("one", 7, ("managers", "edge"), running=False),
    Machine("one", 8, ("managers", "edge"), ours=False),
]


@dataclasses.dataclass
class World:
    """A provider with the machines above, and how Ansible reaches it."""

    provider: str
    variables: dict[str, str]
    addresses: dict[str, str]
    """The address that an inventory has to give, by the machine's name."""
    tools: Path = Path(sys.executable).parent
    state: str = "/nowhere"
    read: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def environment(self, environment: str) -> dict[str, str]:
        """Return the environment variables of a run against an environment."""
        return {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            # Addresses are compared; whatever an inventory yields by mistake, nobody is called.
            "ANSIBLE_SSH_EXECUTABLE": "false",
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "BEANFT_ENVIRONMENT": environment,
            "BEANFT_PROVIDER": self.provider,
            "BEANFT_STATE": f"{self.state}/{self.provider}-{environment}",
            **self.variables,
        }

    def ansible(
        self, tool: str, *arguments: str, environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's tools on this provider's inventory."""
        return subprocess.run(
            [tool, "-i", f"ansible/inventories/{self.provider}", *arguments],
            cwd=ROOT,
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def inventory(self, environment: str) -> dict[str, Any]:
        """Return what the inventory yields for an environment; asked once, since that takes its time."""
        if environment not in self.read:
            done = self.ansible("ansible-inventory", "--list", environment=environment)
            assert done.returncode == 0, done.stderr
            self.read[environment] = json.loads(done.stdout, object_hook=plain)
        return self.read[environment]


def plain(value: dict[str, Any]) -> Any:
    """Unwrap what ansible-inventory marks as not to be templated."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value


@contextlib.contextmanager
def serving(*command: str, announces: str, stream: str) -> Iterator[str]:
    """Run a server until the block ends; yield the port that it prints."""
    pipes = {stream: subprocess.PIPE}
    with subprocess.Popen(
        command,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **pipes},  # type: ignore[call-overload]
    ) as process:
        try:
            for line in process.stdout if stream == "stdout" else process.stderr:
                found = re.search(announces, line)
                if found:
                    yield found[1]
                    return
            raise AssertionError(f"{command[0]} ended without naming its port")
        finally:
            process.kill()


# ---------------------------------------------------------------------- local
def docker(*arguments: str) -> str:
    """Run the docker client."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def base_image() -> str:
    """Return an image that runs `sleep`: the base of this checkout's."""
    shown = subprocess.run(
        ["bash", "-c", 'source bin/_env && echo "$BEANFT_CHECKOUT"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    image = f"{shown.stdout.strip()}/base:trixie"
    assert docker("images", "--quiet", image), f"{image} is not there: run 'make base' first"
    return image


@contextlib.contextmanager
def local(_directory: Path) -> Iterator[World]:
    """Containers with a fleet's labels, and sleep where a machine has sshd."""
    image, checkout = base_image(), f"contract-{uuid.uuid4().hex[:8]}"

    def make(machine: Machine) -> str:
        labels = {
            "beanft": "machine",
            "beanft.checkout": checkout if machine.ours else f"{checkout}-other",
            "beanft.environment": machine.environment,
            "beanft.machine": f"m{machine.number}",
            "beanft.groups": ",".join(machine.groups),
            "beanft.port.http": "80",
            "beanft.port.https": "443",
            "beanft.contract": checkout,
        }
        return docker(
            "run" if machine.running else "create",
            *(["--detach", "--rm"] if machine.running else []),
            *("--name", f"{checkout}-{machine.name}", "--publish", "127.0.0.1::22"),
            *(part for key, value in labels.items() for part in ("--label", f"{key}={value}")),
            *(image, "sleep", "600"),
        )

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(make, MACHINES))
        variables = {"BEANFT_CHECKOUT": checkout}
        if "DOCKER_HOST" in os.environ:
            variables["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
        addresses = {f"{checkout}-{machine.name}": "127.0.0.1" for machine in MACHINES}
        yield World("local", variables, addresses)
    finally:
        made = docker("ps", "--all", "--quiet", "--filter", f"label=beanft.contract={checkout}")
        if made:
            docker("rm", "--force", "--volumes", *made.split())


# ------------------------------------------------------------------------ aws
@contextlib.contextmanager
def aws(_directory: Path) -> Iterator[World]:
    """EC2 of moto on loopback; its addresses are only compared."""
    server = str(Path(sys.executable).parent / "moto_server")
    with serving(
        *(server, "--host", "127.0.0.1", "--port", "0"),
        announces=r"Running on http://127\.0\.0\.1:(\d+)",
        stream="stderr",
    ) as port:
        variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = boto3.client(
            "ec2",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}),
        )
        try:
            subnet = client.describe_subnets()["Subnets"][0]["SubnetId"]
            addresses = {
                machine.name: run_instance(client, machine, subnet) for machine in MACHINES
            }
        finally:
            client.close()
        yield World("aws", variables, addresses)


def run_instance(client: Any, machine: Machine, subnet: str) -> str:
    """Start an instance; return its public address, its private one where it has no other."""
    tags = {"Name": machine.name, **machine.tags}
    instance = client.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": machine.public}
        ],
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["Instances"][0]
    identity = [instance["InstanceId"]]
    if not machine.running:
        client.stop_instances(InstanceIds=identity)
    found = client.describe_instances(InstanceIds=identity)["Reservations"][0]["Instances"][0]
    assert bool(found.get("PublicIpAddress")) == (machine.public and machine.running)
    return str(found.get("PublicIpAddress") or found["PrivateIpAddress"])


# -------------------------------------------------------------- azure and gcp
def written(directory: Path) -> tuple[Path, dict[str, str]]:
    """Write the machines for a fake to read; return the file and the addresses."""
    machines: list[dict[str, Any]] = [
        {
            "name": machine.name,
            "running": machine.running,
            "public": f"203.0.113.{number}" if machine.public else "",
            "private": f"10.0.0.{number}",
            "tags": machine.tags,
        }
        for number, machine in enumerate(MACHINES, start=1)
    ]
    # Accounts also hold machines that carry no tags at all.
    stranger = {"name": "untagged", "running": True, "public": "", "private": "10.0.1.1"}
    file = directory / "fleet.json"
    file.write_text(json.dumps([*machines, {**stranger, "tags": {}}]), encoding="utf-8")
    return file, {item["name"]: item["public"] or item["private"] for item in machines}


@contextlib.contextmanager
def azure(directory: Path) -> Iterator[World]:
    """The plugin's own code without the SDK, in place of Ansible's tools."""
    file, addresses = written(directory)
    tools = directory / "bin"
    tools.mkdir()
    for tool in ("inventory", "playbook"):
        wrapper = tools / f"ansible-{tool}"
        wrapper.write_text(
            f'#!/bin/sh\nexec {sys.executable} {HERE}/without_azure_sdk.py {tool} "$@"\n',
            encoding="utf-8",
        )
        wrapper.chmod(0o755)
    (tools / "ansible").symlink_to(Path(sys.executable).parent / "ansible")
    yield World("azure", {"FLEET": str(file)}, addresses, tools)


@contextlib.contextmanager
def gcp(directory: Path) -> Iterator[World]:
    """Google's endpoint behind a proxy on loopback."""
    file, addresses = written(directory)
    authority = directory / "ca.pem"
    with serving(
        *(sys.executable, str(HERE / "fake_gcp.py"), str(file), str(authority)),
        announces=r"^(\d+)$",
        stream="stdout",
    ) as port:
        variables = {
            "HTTPS_PROXY": f"http://127.0.0.1:{port}",
            "REQUESTS_CA_BUNDLE": str(authority),
            "GCP_PROJECT": "project-of-a-test",
            "GCP_AUTH_KIND": "accesstoken",
            "GCP_ACCESS_TOKEN": "token-of-a-test",
        }
        yield World("gcp", variables, addresses)


# --------------------------------------------------------------------- static
@contextlib.contextmanager
def static(directory: Path) -> Iterator[World]:
    """A list of machines for each environment, as somebody would write it."""
    addresses: dict[str, str] = {}
    lists: dict[str, dict[str, Any]] = {}
    for number, machine in enumerate(MACHINES, start=1):
        if machine.running and machine.ours:
            inside = f"10.0.0.{number}"
            address = f"203.0.113.{number}" if machine.public else inside
            addresses[machine.name] = address
            lists.setdefault(machine.environment, {})[f"m{machine.number}"] = {
                "address": address,
                "inside": inside,
                "groups": list(machine.groups),
            }
    for environment, machines in lists.items():
        file = directory / f"static-{environment}" / "machines.yml"
        file.parent.mkdir()
        file.write_text(json.dumps({"machines": machines}), encoding="utf-8")
    yield World("static", {}, addresses, state=str(directory))


MAKERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[World]]] = {
    "local": local,
    "aws": aws,
    "azure": azure,
    "gcp": gcp,
    "static": static,
}


@pytest.fixture(scope="session", params=PROVIDERS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One provider after the other, with the same machines."""
    directory = tmp_path_factory.mktemp(request.param)
    with MAKERS[request.param](directory) as made:
        made.variables["HOME"] = str(directory)
        yield made


@pytest.fixture
def misled(tmp_path: Path) -> Callable[[str, dict[str, str]], World]:
    """Return a function that makes a provider of nothing but variables, and no way out."""
    nowhere = {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    return lambda provider, variables: World(provider, {**nowhere, **variables}, {})


@pytest.fixture
def checkout(tmp_path: Path, world: World) -> Path:
    """A copy of what `bin/play` reads, whose runs leave nothing in this checkout."""
    shutil.copytree(ROOT / "ansible", tmp_path / "ansible", symlinks=True)
    (tmp_path / "bin").mkdir()
    for name in ("_env", "play"):
        shutil.copy(ROOT / "bin" / name, tmp_path / "bin" / name)
    if world.tools == World.tools:
        # The whole of it: a link to its programs alone would start the system's Python.
        (tmp_path / ".venv").symlink_to(sys.prefix)
    else:
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / "bin").symlink_to(world.tools)
    return tmp_path


@pytest.fixture
def machines() -> Callable[[str], list[Machine]]:
    """Return a function that names the machines an inventory has to yield for an environment."""
    return lambda environment: [
        machine
        for machine in MACHINES
        if machine.environment == environment and machine.running and machine.ours
    ]
