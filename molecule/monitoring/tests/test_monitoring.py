"""What a user of role monitoring gets: everything is asked, a rule fires, somebody is told, and no port is open.

The application's services are the real images without a release: Prometheus asks them, the entry serves them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from entry_helpers import ask, settles_on
from helpers import ROOT, STATE, Run, apply, entry
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = [
    "docker service ls",
    "docker service ps --no-trunc beanft-monitoring_prometheus",
    "docker service logs --tail 20 beanft-monitoring_prometheus",
    "docker service logs --tail 20 beanft-monitoring_alertmanager",
    "cat /var/lib/prometheus/node-exporter/swarm.prom",
]
FILES = ROOT / "ansible/roles/monitoring/files"
VARIABLES = yaml.safe_load((ROOT / "molecule/monitoring/vars/main.yml").read_text(encoding="utf-8"))
JOBS = {"machine", "entry", "web", "api", "worker", "prometheus", "alertmanager"}
# What other roles hand to node exporter.
FROM_OTHERS = {
    "beanft_certificate_not_after_timestamp_seconds",
    "beanft_backup_copy_last_success_timestamp_seconds",
    "beanft_backup_last_success_timestamp_seconds",
}
# A machine made of a container has the memory and the disk of whoever runs it.
OF_THE_HOST = {"DiskFull", "DiskFullSoon", "MemoryShort", "OutOfMemory"}
METRIC = re.compile(r"\b(?:beanft|haproxy|node|prometheus|alertmanager)_\w+|\bup\b")
ADDRESS = (ROOT / "bin/address_of_service.sh").read_text(encoding="utf-8")
CATCHER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print("CAUGHT", self.path, body, flush=True)
        self.send_response(200)
        self.end_headers()

HTTPServer(("", 8000), Handler).serve_forever()
"""


def image(host: Host, service: str) -> str:
    """Return an image of the application, by digest, as the machine has it."""
    listed = host.check_output(
        "docker image ls --digests --format '{{.Repository}}@{{.Digest}}' %s", f"*/beanft/{service}"
    )
    return str(listed.split()[0])


def start(host: Host, service: str) -> None:
    """Start a service of the application as the release does, as far as Prometheus sees it."""
    host.check_output(
        "docker service create --detach --no-resolve-image --name %s --endpoint-mode dnsrr --network beanft "
        "--mount type=volume,source=monitoring-test,target=/var/lib/beanft --mount type=tmpfs,target=/tmp "
        "--mount type=tmpfs,target=/run/beanft --env BEANFT_ENVIRONMENT=test %s",
        f"beanft_{service}",
        image(host, service),
    )


def ready(host: Host) -> set[str]:
    """Return the services that have all their tasks."""
    listed = host.check_output("docker service ls --format '{{.Name}} {{.Replicas}}'")
    rows = (line.split() for line in listed.splitlines())
    return {name for name, tasks, *_ in rows if len(set(tasks.split("/"))) == 1}


def within(seconds: float, look: Callable[[], Any]) -> Any:
    """Look until there is something, and return what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = None
        with contextlib.suppress(OSError):
            seen = look()
        if seen or time.monotonic() > deadline:
            return seen
        time.sleep(0.5)


class Prometheus:
    """Prometheus behind an SSH tunnel, as `make dashboard` opens it."""

    def __init__(self, host: Host) -> None:
        """Nothing is open yet."""
        self.host = host
        self.tunnel: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def open(self) -> None:
        """Open the tunnel to the container that runs now."""
        self.close()
        address = self.host.check_output("sh -c %s sh beanft-monitoring_prometheus", ADDRESS)
        forward = f"127.0.0.1:{self.port}:{address.strip()}:9090"
        self.tunnel = subprocess.Popen(
            ["ssh", "-F", STATE / "ssh_config", "-o", "ControlPath=none", "m1", "-N", "-L", forward]
        )
        assert within(20, lambda: self.get("/-/ready")), "no tunnel"

    def close(self) -> None:
        """Close it."""
        if self.tunnel:
            self.tunnel.terminate()
            self.tunnel.wait()

    def get(self, path: str) -> str:
        """Return a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def api(self, path: str, **parameters: str) -> Any:
        """Ask its API."""
        found = json.loads(self.get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert found["status"] == "success"
        return found["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives now."""
        return list(self.api("query", query=expression)["result"])

    def targets(self) -> dict[str, set[str]]:
        """Return the health of the targets by job."""
        found: dict[str, set[str]] = {}
        for target in self.api("targets", state="active")["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(target["health"])
        return found

    def alerts(self, state: str = "firing") -> dict[str, dict[str, Any]]:
        """Return the alerts in a state by their names."""
        return {
            alert["labels"]["alertname"]: alert
            for alert in self.api("alerts")["alerts"]
            if alert["state"] == state
        }


def clear(host: Host) -> None:
    """Remove the application, and wait until its volume is in use no more."""
    host.run("docker service rm beanft_web beanft_api beanft_worker beanft_catcher")
    remove = (
        "for i in $(seq 120); do docker volume inspect monitoring-test >/dev/null 2>&1 || exit 0; "
        "docker volume rm monitoring-test; sleep 0.5; done; exit 1"
    )
    assert host.run("sh -c %s", remove).rc == 0


@pytest.fixture(scope="module")
def application(host: Host) -> Iterator[None]:
    """Run web, api and worker on an empty database."""
    clear(host)
    worker = image(host, "worker")
    host.check_output(
        "docker run --rm --mount type=volume,source=monitoring-test,target=/var/lib/beanft "
        "--env BEANFT_ENVIRONMENT=test --no-healthcheck %s db upgrade",
        worker,
    )
    try:
        for service in ("web", "api", "worker"):
            start(host, service)
        # Not by asking the entry until it serves: that would be failures, and an alert.
        assert within(120, lambda: ready(host) >= {"beanft_web", "beanft_api", "beanft_worker"})
        assert settles_on(200) == 200
        yield
    finally:
        clear(host)
    assert settles_on(503) == 503


@pytest.fixture(scope="module")
def prometheus(host: Host, application: None) -> Iterator[Prometheus]:
    """Return a Prometheus that has seen everything once."""
    found = Prometheus(host)
    found.open()
    yield found
    found.close()


def reapply(host: Host, **variables: Any) -> Run:
    """Apply the role again with other variables."""
    return apply(
        "monitoring",
        target="managers[0]",
        variables={**VARIABLES, "monitoring_image": image(host, "prometheus"), **variables},
    )


def test_everything_is_asked_and_answers(prometheus: Prometheus) -> None:
    def all_up() -> bool:
        targets = prometheus.targets()
        return set(targets) == JOBS and all(health == {"up"} for health in targets.values())

    assert within(90, all_up), prometheus.targets()


def test_every_figure_that_rules_and_dashboard_name_is_there(prometheus: Prometheus) -> None:
    ask("/login")
    ask("/api/v1/nothing")
    texts = [(FILES / "rules.yml").read_text(), (FILES / "dashboard/panels.json").read_text()]
    expressions = [
        rule["expr"] for group in yaml.safe_load(texts[0])["groups"] for rule in group["rules"]
    ]
    expressions += [line["query"] for panel in json.loads(texts[1]) for line in panel["lines"]]
    named = {name for expression in expressions for name in METRIC.findall(expression)}
    assert len(named) > 20

    def missing() -> set[str]:
        known = {item["metric"]["__name__"] for item in prometheus.query('{__name__=~".+"}')}
        return named - known - FROM_OTHERS

    assert within(30, lambda: not missing()), missing()
    # What the page draws: no expression is refused, and each line has its label.
    for panel in json.loads(texts[1]):
        for line in panel["lines"]:
            labels = re.findall(r"\{(\w+)\}", line["label"])
            for series in prometheus.query(line["query"]):
                assert set(labels) <= set(series["metric"]), (line, series)


def test_the_engine_says_which_tasks_run(prometheus: Prometheus) -> None:
    def ready() -> dict[str, str]:
        found = prometheus.query("beanft_service_tasks_ready")
        return {item["metric"]["service"]: item["value"][1] for item in found}

    wanted = {
        "beanft_web": "1",
        "beanft_api": "1",
        "beanft_worker": "1",
        "beanft-edge_haproxy": "1",
    }
    assert within(60, lambda: wanted.items() <= ready().items()), ready()


def test_the_dashboard_is_served(prometheus: Prometheus) -> None:
    page = prometheus.get("/user/dashboard.html")
    assert "<h1>What happens</h1>" in page
    for name in re.findall(r'(?:href|src)="([\w.]+)"', page):
        assert prometheus.get(f"/user/{name}") == (FILES / "dashboard" / name).read_text()
    assert json.loads(prometheus.get("/user/panels.json"))
    for path in re.findall(r'href="(/[\w/]+)"', page):
        assert "Prometheus" in prometheus.get(path)


def test_no_port_of_the_machine_leads_there(host: Host, prometheus: Prometheus) -> None:
    sockets = host.check_output("ss --listening --tcp --numeric --no-header")
    ports = {line.split()[3].rpartition(":")[2] for line in sockets.splitlines()}
    assert not ports & {"9090", "9093", "9094", "8404"}
    assert ask("/api/v1/targets")[0] == 404
    assert ask("/metrics")[0] == 404


@pytest.mark.parametrize("service", ["prometheus", "alertmanager"])
def test_containers_have_no_privileges(host: Host, service: str) -> None:
    container = host.check_output("docker ps -q --filter name=%s", f"beanft-monitoring_{service}")
    inspected = json.loads(host.check_output("docker inspect %s", container.strip()))[0]
    assert inspected["HostConfig"]["ReadonlyRootfs"] is True
    assert inspected["HostConfig"]["Memory"] > 0
    assert inspected["HostConfig"]["PidsLimit"] == 100
    status = host.check_output("cat /proc/%s/status", str(inspected["State"]["Pid"])).splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_nothing_fires_where_all_is_well(prometheus: Prometheus) -> None:
    assert within(60, lambda: set(prometheus.alerts()) <= OF_THE_HOST), prometheus.alerts()


def visitor() -> Any:
    """Return somebody who has registered and uploaded data, as `make smoke` does it."""
    smoke = runpy.run_path(str(ROOT / "tests/smoke.py"))
    found = smoke["Smoke"](entry(), None)
    found.register()
    found.upload()
    return found


def test_logs_of_a_request_are_found_on_all_services(host: Host, prometheus: Prometheus) -> None:
    request = f"molecule-{int(time.time())}"
    somebody = visitor()
    somebody.http.headers["X-Request-ID"] = request
    somebody.train()
    assert ask("/api/v1/nothing", **{"X-Request-ID": request})[0] == 404
    done = subprocess.run(
        [sys.executable, ROOT / "bin/logs_of_request.py", request],
        env={**os.environ, "BEANFT_PROVIDER": "local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(None, 3) for line in done.stdout.splitlines()]
    services = {(machine, service) for _, machine, service, _ in lines}
    assert services == {("m1", name) for name in ("edge", "web", "api", "worker")}
    stamps = [stamp for stamp, *_ in lines]
    assert stamps == sorted(stamps)
    assert all(request in text for *_, text in lines)
    events = [
        json.loads(text)["event"]
        for _, _, service, text in lines
        if service != "edge" and "job" in text
    ]
    assert events[0] == "job_queued"
    assert {"job_started", "job_ended"} <= set(events)


def told(host: Host, name: str) -> list[dict[str, Any]]:
    """Return the alerts of a name that the webhook was sent."""
    log = host.check_output("docker service logs --raw beanft_catcher")
    bodies = re.findall("CAUGHT /of-molecule (.*)", log)
    alerts = [alert for body in bodies for alert in json.loads(body)["alerts"]]
    return [alert for alert in alerts if alert["labels"]["alertname"] == name]


def test_a_worker_that_goes_is_noticed_and_somebody_is_told(
    host: Host, prometheus: Prometheus
) -> None:
    host.check_output(
        "docker service create --detach --no-resolve-image --name beanft_catcher --endpoint-mode dnsrr "
        "--network beanft-monitoring_inside --no-healthcheck --entrypoint python %s -c %s",
        image(host, "api"),
        CATCHER,
    )
    hook = {"monitoring_webhook_url": "http://beanft_catcher:8000/of-molecule"}
    try:
        run = reapply(host, **hook)
        assert run.messages == []
        assert run.changed == {"m1": ["monitoring : Prometheus and Alertmanager"]}
        assert reapply(host, **hook).changed == {}
        # A secret is a file, and nothing else.
        inspected = host.check_output("docker service inspect beanft-monitoring_alertmanager")
        assert "of-molecule" not in inspected
        prometheus.open()
        assert within(60, lambda: prometheus.targets().get("worker") == {"up"})

        host.check_output("docker service scale --detach beanft_worker=0")
        assert within(150, lambda: "WorkerDown" in prometheus.alerts()), prometheus.api("alerts")
        assert within(60, lambda: told(host, "WorkerDown")), "nobody was told"
        worker = told(host, "WorkerDown")[0]
        assert worker["labels"]["environment"] == "molecule"
        assert worker["annotations"]["runbook"] == "docs/operations.md#workerdown"
    finally:
        host.check_output("docker service scale --detach beanft_worker=1")
        host.run("docker service rm beanft_catcher")
        assert reapply(host).messages == []
        prometheus.open()
    assert within(60, lambda: "WorkerDown" not in prometheus.alerts())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"monitoring_image": "prometheus:latest"}, "name an image by digest"),
        ({"monitoring_machines": []}, "monitoring_machines has 0 machines"),
        ({"monitoring_retention_size": "much"}, "use a time as 15d, a size as 2GB"),
        ({"monitoring_email_to": ["ops@example.org"]}, "name an address to send from"),
        ({"monitoring_webhook_url": "here"}, "monitoring_webhook_url is no address"),
        ({"monitoring_scrape_seconds": "often"}, "monitoring_scrape_seconds"),
    ],
    ids=["image", "machines", "size", "mail", "webhook", "type"],
)
def test_what_would_not_work_is_refused(variables: dict[str, Any], words: str, host: Host) -> None:
    run = reapply(host, **variables)
    assert run.code != 0
    assert run.changed == {}
    assert any(words in said for said in run.messages), run.messages
