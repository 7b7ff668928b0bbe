"""What a user of role edge gets: an entry that finds ready tasks, and lets out nothing else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import apply, entry
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = [
    "journalctl --unit docker --lines 20 --no-pager",
    "docker service logs --tail 20 beanft-edge_haproxy",
]

# Ready, and tells what it was asked for.
BACKEND = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.wfile.write(json.dumps({"path": self.path, "headers": headers}).encode())

ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


def ask(path: str, **headers: str) -> tuple[int, str]:
    """Return the status and body that the entry answers to a request from outside."""
    request = urllib.request.Request(entry() + path, headers=headers)  # noqa: S310 - http by name
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def settles_on(status: int) -> int:
    """Wait until the entry answers with a status, and return what it answers at last."""
    deadline = time.monotonic() + 60
    while True:
        try:
            last = ask("/")[0]
        except OSError:
            last = 0
        if last == status or time.monotonic() > deadline:
            return last
        time.sleep(0.2)


def container(host: Host) -> str:
    """Return the id of the entry's container."""
    return str(host.check_output("docker ps --quiet --filter name=beanft-edge_haproxy")).strip()


@pytest.fixture
def inspected(host: Host) -> dict[str, Any]:
    """Return the entry's container as the engine sees it."""
    return dict(json.loads(host.check_output("docker inspect %s", container(host)))[0])


@pytest.fixture
def image(host: Host) -> str:
    """Return the image that the entry runs, by digest."""
    field = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    found = host.check_output("docker service inspect --format %s beanft-edge_haproxy", field)
    return str(found).strip()


@pytest.fixture(scope="module")
def web(host: Host) -> Iterator[str]:
    """Run a backend under the name of the service that serves pages."""
    python = host.check_output(
        "docker image ls --digests --format '{{.Repository}}@{{.Digest}}' '*/beanft/api'"
    )
    host.check_output(
        "docker service create --detach --no-resolve-image --name beanft_web --endpoint-mode dnsrr "
        "--network beanft --no-healthcheck --entrypoint python %s -c %s",
        python.split()[0],
        BACKEND,
    )
    assert settles_on(200) == 200
    yield "beanft_web"
    host.check_output("docker service rm beanft_web")
    assert settles_on(503) == 503


def test_without_a_ready_task_it_says_unavailable(host: Host) -> None:
    assert container(host)
    assert ask("/")[0] == 503
    assert ask("/api/v1/predict")[0] == 503


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/metrics/", "/%6detrics"])
def test_metrics_are_for_inside(path: str) -> None:
    assert ask(path)[0] == 404


def test_status_port_is_not_on_the_machine(host: Host) -> None:
    assert not host.socket("tcp://0.0.0.0:8404").is_listening
    assert not host.socket("tcp://:::8404").is_listening
    assert host.run("timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8404'").rc != 0


def test_container_has_no_privileges(host: Host, inspected: dict[str, Any]) -> None:
    assert inspected["HostConfig"]["ReadonlyRootfs"] is True
    assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
    assert inspected["HostConfig"]["CapAdd"] is None
    status = host.check_output("cat /proc/%s/status", str(inspected["State"]["Pid"])).splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_haproxy_finds_nothing_to_warn_of(host: Host) -> None:
    checked = host.run("docker exec %s haproxy -c -f /etc/haproxy/haproxy.cfg", container(host))
    assert checked.rc == 0, checked.stderr
    assert "WARNING" not in checked.stdout + checked.stderr


def test_a_ready_task_is_found_by_its_name(web: str) -> None:
    status, body = ask("/some/page")
    assert status == 200
    assert json.loads(body)["path"] == "/some/page"


def test_requests_carry_one_id(web: str) -> None:
    headers = json.loads(ask("/")[1])["headers"]
    assert headers["x-request-id"]
    own = json.loads(ask("/", **{"X-Request-ID": "abcdefgh-1"})[1])["headers"]
    assert own["x-request-id"] == "abcdefgh-1"
    forged = json.loads(ask("/", **{"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "?"})[1])[
        "headers"
    ]
    assert "203.0.113.9" not in forged["x-forwarded-for"]
    assert forged["x-request-id"] != "?"


def test_metrics_are_for_inside_when_a_task_is_ready_too(web: str) -> None:
    assert ask("/metrics")[0] == 404


def test_another_setting_rolls_out(host: Host, image: str, web: str) -> None:
    before = container(host)
    # One that no earlier run had: configurations stay in the Swarm's store.
    other = int(time.time()) % 4000 + 100
    try:
        run = apply(
            "edge",
            target="managers[0]",
            variables={"edge_image": image, "edge_max_connections": other},
        )
        assert run.messages == []
        changes = [
            "edge : Configuration in the Swarm's store",
            "edge : Entry on every edge machine",
        ]
        assert run.changed == {"m1": changes}
        assert container(host) != before
        config = host.check_output("docker exec %s cat /etc/haproxy/haproxy.cfg", container(host))
        assert f"maxconn {other}" in config
    finally:
        assert apply("edge", target="managers[0]", variables={"edge_image": image}).code == 0
    assert settles_on(200) == 200


def test_a_setting_that_haproxy_refuses_leaves_the_entry_as_it_was(image: str, web: str) -> None:
    run = apply(
        "edge",
        target="managers[0]",
        variables={"edge_image": image, "edge_request_timeout": "soon", "edge_timeout": 60},
    )
    assert run.code != 0
    # HAProxy's own words.
    assert "unexpected character 's'" in run.messages[0], run.messages
    assert settles_on(200) == 200
    # What is there is what was there before, so there is nothing to do.
    assert apply("edge", target="managers[0]", variables={"edge_image": image}).changed == {}


def test_an_image_without_digest_is_refused() -> None:
    run = apply("edge", target="managers[0]", variables={"edge_image": "haproxy:latest"})
    assert run.code != 0
    assert "edge_image is 'haproxy:latest': name an image by digest" in run.messages[0]
    assert run.changed == {}
