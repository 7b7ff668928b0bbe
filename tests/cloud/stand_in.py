"""What stands in for clouds, on loopback, and this project's verbs against it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.cloud import azure_fake, azure_secrets, gcp_fake
from tests.cloud.aws_faults import Proxy

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
DEBIAN = "136693071363"
Fleet = dict[str, dict[str, Any]]

# As Debian publishes them: "Debian images for Amazon EC2", with an older one and somebody else's.
IMAGES = [
    {
        "ami_id": f"ami-0000000000000{number:04d}",
        "state": "available",
        "public": True,
        "owner_id": owner,
        "image_location": "amazon/debian",
        "sriov": "simple",
        "root_device_type": "ebs",
        "root_device_name": "/dev/xvda",
        "description": "Debian 13",
        "image_type": "machine",
        "platform": None,
        "architecture": "x86_64",
        "name": name,
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "creation_date": date,
    }
    for number, owner, name, date in [
        (1, DEBIAN, "debian-13-amd64-20250814-2204", "2025-08-14T00:00:00.000Z"),
        (2, DEBIAN, "debian-13-amd64-20251006-2257", "2025-10-06T00:00:00.000Z"),
        (3, DEBIAN, "debian-12-amd64-20251006-2257", "2025-10-06T00:00:00.000Z"),
        (4, "999999999999", "debian-13-amd64-20260101-9999", "2026-01-01T00:00:00.000Z"),
    ]
]
NEWEST = "ami-00000000000000002"
# A play after playbook machines, as site and deploy are.
SHOWS_DATABASE = """
- ansible.builtin.import_playbook: machines.yml
- hosts: localhost
  connection: local
  tasks:
    - ansible.builtin.debug:
        msg: "the database is at {{ beanft_database_server.host }}"
"""


@dataclasses.dataclass
class Run:
    """What a run said, changed and took."""

    code: int
    said: str
    seconds: float

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        found = re.search(r"changed=(\d+) failed=\d+ on \d+ host", self.said)
        assert found, self.said
        return int(found[1])

    @property
    def sentence(self) -> str:
        """All that was said, in one line."""
        return " ".join(self.said.split())


@dataclasses.dataclass
class Cloud:
    """Verbs of this project against a cloud."""

    tree: Path
    rows: list[dict[str, Any]]
    provider = ""

    def credentials(self) -> dict[str, str]:
        """Return the environment variables that lead to the cloud."""
        raise NotImplementedError

    def variables(self, environment: str, **more: str) -> dict[str, str]:
        """Return the environment variables of a run."""
        return {
            "PATH": f"{self.tree}/.venv/bin:{os.environ['PATH']}",
            "HOME": str(self.tree),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            "CLOUD": self.provider,
            "ENV": environment,
            **self.credentials(),
            **more,
        }

    def play(
        self,
        verb: str,
        *arguments: str,
        environment: str = "staging",
        fleet: Fleet | None = None,
        machines: bool = False,
        settings: dict[str, Any] | None = None,
        **more: str,
    ) -> Run:
        """Run a playbook; with `machines` also the plays that talk to them."""
        values = {"beanft_ssh_from": ["192.0.2.7/32"], **(settings or {})}
        if fleet is not None:
            values["beanft_fleet"] = fleet
        options = ["-e", json.dumps(values), *arguments]
        if not machines:
            options += ["--skip-tags", "machines"]
        return self.program("play", verb, *options, environment=environment, **more)

    def program(
        self,
        name: str,
        *arguments: str,
        environment: str = "staging",
        tree: Path | None = None,
        **more: str,
    ) -> Run:
        """Run a program of bin/, in this tree or another."""
        begun = time.monotonic()
        done = subprocess.run(
            [(tree or self.tree) / "bin" / name, *arguments],
            env=self.variables(environment, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr, time.monotonic() - begun)

    def inventory(self, environment: str = "staging", **more: str) -> dict[str, Any]:
        """Return what the inventory yields, as the project's programs read it."""
        command = (
            f". bin/_env; ANSIBLE_CONFIG=$BEANFT_ROOT/ansible/ansible.cfg"
            f" exec ansible-inventory -i ansible/inventories/{self.provider} --list"
        )
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.tree,
            env=self.variables(environment, **more),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout, object_hook=plain))

    def groups(self, environment: str = "staging") -> dict[str, set[str]]:
        """Return each machine's groups in the inventory, by its short name."""
        return groups_of(self.inventory(environment), environment)

    def note(self, name: str, value: float, unit: str, bound: float | None = None) -> None:
        """Add a row to the table."""
        holds = None if bound is None else value <= bound
        self.rows.append(
            {"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds}
        )

    def called(self) -> list[str]:
        """Return the addresses that somebody tried to reach."""
        log = self.tree / "called"
        return log.read_text().split() if log.exists() else []


def groups_of(inventory: dict[str, Any], environment: str) -> dict[str, set[str]]:
    """Return each machine's groups in an inventory, by its short name."""
    found: dict[str, set[str]] = {}
    for group, content in inventory.items():
        for host in content.get("hosts", []):
            found.setdefault(host.removeprefix(f"beanft-{environment}-"), set()).add(group)
    return {host: groups - {"machines", "aws_ec2", "ungrouped"} for host, groups in found.items()}


def plain(value: dict[str, Any]) -> Any:
    """Unwrap what ansible-inventory marks as not to be templated."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value


@dataclasses.dataclass
class Aws(Cloud):
    """EC2, IAM, STS and Secrets Manager: moto's server behind a proxy."""

    proxy: Proxy
    port: int
    provider = "aws"

    def credentials(self) -> dict[str, str]:
        """Return the environment variables that lead to the cloud."""
        return {
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Return a client that goes around the proxy."""
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}),
        )

    def instances(self, environment: str = "staging") -> dict[str, dict[str, Any]]:
        """Return the fleet's machines that are not terminated, by name."""
        client = self.client("ec2")
        found = client.describe_instances(
            Filters=[
                {"Name": "tag:beanft-environment", "Values": [environment]},
                {"Name": "tag:beanft", "Values": ["machine"]},
            ]
        )
        client.close()
        return {
            {tag["Key"]: tag["Value"] for tag in machine["Tags"]}["Name"]: machine
            for reservation in found["Reservations"]
            for machine in reservation["Instances"]
            if machine["State"]["Name"] not in ("terminated", "shutting-down")
        }


@dataclasses.dataclass
class Gcp(Cloud):
    """Compute Engine and Secret Manager: a fake behind a proxy."""

    fake: gcp_fake.Fake
    provider = "gcp"

    def credentials(self) -> dict[str, str]:
        """Return the environment variables that lead to the cloud."""
        return {
            "HTTPS_PROXY": self.fake.url,
            "REQUESTS_CA_BUNDLE": str(self.fake.authority),
            "GCP_PROJECT": gcp_fake.PROJECT,
            "GCP_AUTH_KIND": "accesstoken",
            "GCP_ACCESS_TOKEN": gcp_fake.TOKEN,
        }


@dataclasses.dataclass
class Azure(Cloud):
    """Azure Resource Manager and Key Vault: a fake behind a proxy."""

    fake: azure_fake.Fake
    provider = "azure"

    def credentials(self) -> dict[str, str]:
        """Return the environment variables that lead to the cloud."""
        return {
            "HTTPS_PROXY": self.fake.url,
            "REQUESTS_CA_BUNDLE": str(self.fake.authority),
            "PYTHONPATH": f"{self.tree}/.venv/azure",
            "AZURE_SUBSCRIPTION_ID": azure_fake.SUBSCRIPTION,
            "AZURE_TENANT": azure_fake.TENANT,
            "AZURE_CLIENT_ID": azure_fake.CLIENT,
            "AZURE_SECRET": azure_fake.SECRET,
            "AZURE_KEY_VAULT": azure_secrets.NAME,
        }


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[int]:
    """Serve AWS's services on 127.0.0.1 until the block ends; yield the port."""
    images, log = directory / "images.json", directory / "moto.log"
    images.write_text(json.dumps(IMAGES))
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [Path(sys.executable).parent / "moto_server", "--host", "127.0.0.1", "--port", "0"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONUNBUFFERED": "1",
                "MOTO_AMIS_PATH": str(images),
            },
            stdout=subprocess.DEVNULL,
            stderr=stream,
        ) as server,
    ):
        try:
            yield port_of(log)
        finally:
            server.kill()


def undocumented(aws: Aws) -> list[str]:
    """Return the calls that were made and are not among the rights in docs/clouds.md."""
    text = (ROOT / "docs" / "clouds.md").read_text(encoding="utf-8")
    services = "autoscaling|ec2|elasticloadbalancing|iam|rds|s3|secretsmanager"
    granted = set(re.findall(rf"\b(?:{services}):[A-Z]\w+", text))
    # Who one is may be asked by everybody.
    return sorted(set(aws.proxy.calls) - granted - {"sts:GetCallerIdentity"})


def port_of(log: Path) -> int:
    """Return the port that moto's server says it has."""
    # A machine that is busy may take its time.
    for _ in range(1200):
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError(f"moto did not start: {log.read_text()}")
