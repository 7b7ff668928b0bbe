"""An object store for tests: moto's server on loopback, which asks for rights, and machines that have an identity."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from helpers import ROOT, STATE, machine
from testinfra.host import Host

PORT = 9322
BUCKET = "a-bucket-of-the-tests"
GONE = "a-bucket-that-is-gone"
# rclone asks AWS for a bucket by a name of its own, whatever force_path_style says, so the store has names, too.
NAME = "store.test"
ENDPOINT = f"http://{NAME}:{PORT}"
ROLE = "of-a-machine"
REGION = "eu-central-1"
# What a machine at AWS asks who it is (IMDSv2), on the machine's own loopback: it answers with keys that end.
IDENTITY = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.say("a-token" if self.path == "/latest/api/token" else None, 200)
    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "a-token":
            return self.say("", 401)
        known = {"": "role", "role": sys.argv[1]}
        self.say(known.get(self.path.removeprefix("/latest/meta-data/iam/security-credentials/")), 200)
    def say(self, text, status):
        self.send_response(404 if text is None else status)
        self.send_header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
        self.send_header("Content-Length", str(len(text or "")))
        self.end_headers()
        self.wfile.write((text or "").encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler).serve_forever()
"""


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rights() -> dict[str, Any]:
    """Return what role cloud_aws lets machines with data do."""
    variables = ROOT / "ansible/roles/cloud_aws/vars/main.yml"
    target = STATE / "rights.json"
    given = {
        "ansible_python_interpreter": sys.executable,
        "cloud_aws_store": BUCKET,
        "cloud_aws_policy": {},
    }
    arguments = {"content": "{{ _cloud_aws_store_rights | to_json }}", "dest": str(target)}
    subprocess.run(
        [
            *("ansible", "localhost", "--connection", "local", "--inventory", "localhost,"),
            *("--extra-vars", f"@{variables}", "--extra-vars", json.dumps(given)),
            *("--module-name", "ansible.builtin.copy", "--args", json.dumps(arguments)),
        ],
        check=True,
        capture_output=True,
    )
    return dict(json.loads(target.read_text(encoding="utf-8")))


@dataclass
class Store:
    """The store, as somebody who may do everything in it sees it."""

    port: int

    def client(self, service: str, **credentials: str) -> Any:
        """Return a client; without credentials, of who owns all."""
        keys = credentials or {
            "aws_access_key_id": self.owner["AccessKeyId"],
            "aws_secret_access_key": self.owner["SecretAccessKey"],
        }
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name=REGION, **keys
        )

    def begin(self) -> None:
        """Make owner, bucket and the machines' role; from then on nothing is allowed that a policy doesn't."""
        anyone = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anyone"}
        iam = self.client("iam", **anyone)
        iam.create_user(UserName="owner")
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.put_user_policy(UserName="owner", PolicyName="all", PolicyDocument=document)
        self.owner: dict[str, str] = iam.create_access_key(UserName="owner")["AccessKey"]
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)
        self.role: dict[str, Any] = self.client("sts", **anyone).assume_role(
            RoleArn=f"arn:aws:iam::123456789012:role/{ROLE}", RoleSessionName="i-0123456789"
        )["Credentials"]
        self.client("s3", **anyone).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.document = rights()
        self.allow_again()
        call = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/moto-api/reset-auth",
            data=b"0",
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(call, timeout=30).close()  # noqa: S310 - of loopback

    def allow(self, document: dict[str, Any]) -> None:
        """Let machines do this and nothing else."""
        self.client("iam").put_role_policy(
            RoleName=ROLE, PolicyName="store", PolicyDocument=json.dumps(document)
        )

    def allow_again(self) -> None:
        """Let machines do what role cloud_aws lets them."""
        self.allow(self.document)

    def names(self) -> list[str]:
        """Return the names of all objects."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    @property
    def identity(self) -> str:
        """Return what a machine is told when it asks who it is."""
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": self.role["AccessKeyId"],
                "SecretAccessKey": self.role["SecretAccessKey"],
                "Token": self.role["SessionToken"],
                "LastUpdated": "2026-01-01T00:00:00Z",
                "Expiration": "2099-01-01T00:00:00Z",
            }
        )


@contextmanager
def serving(log: Path) -> Iterator[Store]:
    """Serve a store on the control machine's loopback."""
    port = free_port()
    with (
        log.open("w") as stream,
        subprocess.Popen(
            ["moto_server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=stream,
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.5)
            store = Store(port)
            store.begin()
            yield store
        finally:
            server.terminate()


@contextmanager
def reachable(store: Store, *names: str) -> Iterator[None]:
    """Lead a port of machines' loopback to the store, and its names to that."""
    forward = ["-R", f"127.0.0.1:{PORT}:127.0.0.1:{store.port}", "-o", "ControlPath=none"]
    forward += ["-o", "ExitOnForwardFailure=yes"]
    tunnels = [
        subprocess.Popen(["ssh", "-F", STATE / "ssh_config", "-N", *forward, name])
        for name in names
    ]
    listens = f"import socket; socket.create_connection(('127.0.0.1', {PORT}), timeout=5)"
    known = " ".join([NAME, *(f"{bucket}.{NAME}" for bucket in (BUCKET, GONE))])
    try:
        for name in names:
            # Mounted into machines made of containers: written in place.
            machine(name).check_output(
                f"cp /etc/hosts /root/hosts && echo '127.0.0.1 {known}' >>/etc/hosts"
            )
            deadline = time.monotonic() + 60
            while machine(name).run("python3 -c %s", listens).rc:
                assert time.monotonic() < deadline, name
                time.sleep(0.5)
        yield
    finally:
        for name in names:
            machine(name).run("cat /root/hosts >/etc/hosts && rm /root/hosts")
        for tunnel in tunnels:
            tunnel.terminate()
            tunnel.wait()


@contextmanager
def identified(store: Store, *hosts: Host) -> Iterator[None]:
    """Let machines know who they are, as machines at AWS do."""
    for host in hosts:
        host.check_output("ip address replace 169.254.169.254/32 dev lo")
        host.check_output(
            "systemd-run --quiet --collect --unit=identity python3 -c %s %s",
            IDENTITY,
            store.identity,
        )
    try:
        yield
    finally:
        for host in hosts:
            host.run("systemctl stop identity; ip address del 169.254.169.254/32 dev lo")
