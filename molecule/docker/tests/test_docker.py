"""What a user of role docker gets: an engine that runs, as configured, and starts containers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["journalctl --unit docker --lines 30 --no-pager"]


@pytest.fixture
def info(host: Host) -> dict[str, Any]:
    """Return what the engine says of itself."""
    return dict(json.loads(host.check_output("docker info --format '{{json .}}'")))


def test_engine_is_debians(host: Host) -> None:
    assert host.package("docker.io").is_installed
    assert host.package("iptables").is_installed
    assert host.package("python3-docker").is_installed


def test_engine_runs_now_and_after_a_boot(host: Host) -> None:
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_options_are_in_force(host: Host, info: dict[str, Any]) -> None:
    assert info["LoggingDriver"] == "json-file"
    assert info["LiveRestoreEnabled"] is False
    # The engine reads all of the file or does not start.
    started = host.check_output("systemctl show --property ActiveEnterTimestamp --value docker")
    written = host.check_output("stat --format @%Y /etc/docker/daemon.json")
    assert host.check_output(f"date --date '{started}' +%s") >= written.removeprefix("@")


def test_containers_start_and_gain_no_privileges(host: Host, base_image: str) -> None:
    status = host.check_output("docker run --rm %s cat /proc/self/status", base_image)
    assert "NoNewPrivs:\t1" in status.splitlines()


def test_logs_are_limited(host: Host, base_image: str) -> None:
    name = "logging"
    host.check_output("docker create --name %s %s true", name, base_image)
    limits = host.check_output("docker inspect --format '{{json .HostConfig.LogConfig}}' %s", name)
    host.check_output("docker rm %s", name)
    assert json.loads(limits) == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }


def test_containers_reach_each_other(host: Host, base_image: str) -> None:
    host.check_output("docker network create pair")
    try:
        host.check_output(
            "docker run --detach --name listener --network pair %s perl -MIO::Socket::INET -e %s",
            base_image,
            "IO::Socket::INET->new(LocalPort => 8000, Listen => 5)->accept->print('here')",
        )
        answer = host.check_output(
            "docker run --rm --network pair %s timeout 10 bash -c %s",
            base_image,
            "until exec 3<>/dev/tcp/listener/8000; do sleep 0.2; done 2>/dev/null; cat <&3",
        )
        assert answer == "here"
    finally:
        host.run("docker rm --force listener; docker network rm pair")


def test_a_container_comes_back_after_a_restart_of_the_engine(host: Host, base_image: str) -> None:
    host.check_output("docker run --detach --restart always --name steady %s sleep 600", base_image)
    try:
        host.check_output("systemctl restart docker")
        assert host.service("docker").is_running
        assert host.check_output("docker inspect --format '{{.State.Running}}' steady") == "true"
    finally:
        host.run("docker rm --force steady")
