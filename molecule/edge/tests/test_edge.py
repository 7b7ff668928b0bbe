"""What a user of role edge gets: an entry that finds ready tasks, and lets out nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from entry_helpers import ask, container
from helpers import apply, entry
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = [
    "journalctl --unit docker --lines 20 --no-pager",
    "docker service logs --tail 20 beanft-edge_haproxy",
]


def test_without_a_ready_task_it_says_unavailable(host: Host) -> None:
    assert container(host)
    status, page = ask("/")
    assert status == 503
    assert "<h1>We will be back soon</h1>" in page
    address = entry().removeprefix("http://")
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", "/api/v1/models")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (503, 503)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "10"


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


def test_the_log_names_the_request(host: Host, web: str) -> None:
    ask("/logged", **{"X-Request-ID": "logged-1234"})
    (line,) = host.check_output(
        "docker logs --since 1m %s 2>&1 | grep /logged", container(host)
    ).splitlines()
    assert ' {logged-1234} "GET /logged HTTP/1.1"' in line


def test_metrics_are_for_inside_when_a_task_is_ready_too(web: str) -> None:
    assert ask("/metrics")[0] == 404


@pytest.fixture
def silent(host: Host, web: str) -> Iterator[Callable[[], None]]:
    """Two tasks behind the entry; return what makes one of them fall silent, as a machine without power does."""
    host.check_output("docker service scale --detach %s=2", web)
    deadline = time.monotonic() + 60
    tasks: set[str] = set()
    while len(tasks) < 2:
        assert time.monotonic() < deadline, f"only {tasks} answered"
        status, body = ask("/")
        tasks |= {json.loads(body)["task"]} if status == 200 else set()
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' %s", tasks.pop())
    link = f"nsenter --target {pid} --net ip"
    overlay = host.check_output(f"{link} -4 -oneline address").split(" 10.")[0].split()[-2]
    try:
        yield lambda: host.check_output(f"{link} link set {overlay} down")
    finally:
        host.check_output(f"{link} link set {overlay} up")
        host.check_output("docker service scale --detach %s=1", web)


def test_a_task_that_falls_silent_holds_nobody_up(silent: Callable[[], None]) -> None:
    """Also not where its connection is one that is kept, and what is sent is never acknowledged."""
    clients = [http.client.HTTPConnection(entry().removeprefix("http://")) for _ in range(8)]

    def request(client: http.client.HTTPConnection) -> tuple[int, float]:
        begun = time.monotonic()
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        return answer.status, time.monotonic() - begun

    with ThreadPoolExecutor(len(clients)) as pool:
        for _ in range(3):
            assert {status for status, _ in pool.map(request, clients)} == {200}
        silent()
        answers = list(pool.map(request, clients))
    for client in clients:
        client.close()
    assert {status for status, _ in answers} == {200}
    slowest = max(seconds for _, seconds in answers)
    # Nobody waited: then none of them was sent to the silent task, and nothing is tested here.
    assert slowest > 1
    # Two repetitions without acknowledgement, on a busy machine; it would be sixty seconds.
    assert slowest < 10


@pytest.mark.parametrize(("key", "answer"), [("a key", 200), ("", 502)])
def test_what_may_be_sent_again_is_where_its_body_comes_after_its_head(
    web: str, key: str, answer: int
) -> None:
    address = urlsplit(entry())
    head = [f"POST /dies/{answer} HTTP/1.1", "Host: entry", "Content-Length: 5"]
    head += [f"Idempotency-Key: {key}"] if key else []
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        # As clients do it. What went on to a task by then could not be sent again.
        time.sleep(0.2)
        connection.sendall(b"a=1&b")
        assert connection.recv(4096).split()[1] == str(answer).encode()


def test_a_setting_that_haproxy_refuses_never_gets_to_an_entry(
    host: Host, image: str, web: str
) -> None:
    before = container(host)
    run = apply(
        "edge",
        target="managers[0]",
        variables={"edge_image": image, "edge_request_timeout": "soon"},
    )
    assert run.code != 0
    assert run.changed == {}
    # HAProxy's own words.
    (message,) = run.messages
    assert message.startswith("HAProxy refuses this configuration, and nothing was changed.")
    assert "unexpected character 's'" in message
    assert container(host) == before
    assert ask("/")[0] == 200
    assert apply("edge", target="managers[0]", variables={"edge_image": image}).changed == {}


def test_an_image_without_digest_is_refused() -> None:
    run = apply("edge", target="managers[0]", variables={"edge_image": "haproxy:latest"})
    assert run.code != 0
    assert "edge_image is 'haproxy:latest': name an image by digest" in run.messages[0]
    assert run.changed == {}
