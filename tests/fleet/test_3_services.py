"""Services beside the application: each is deployed and rolled back alone."""

from __future__ import annotations

import http.client
import re
import subprocess
import time
from urllib.parse import urlsplit

import requests

from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet

CARS = {"beanft-cars_api", "beanft-cars_dashboard"}
APPLICATION = {"beanft_api", "beanft_web", "beanft_worker"}
ENTRY = "beanft-edge_haproxy"


def tasks(fleet: Fleet) -> dict[str, set[str]]:
    """Return the ids of the tasks that the engine wants, by service."""
    wanted = ("--quiet", "--no-trunc", "--filter", "desired-state=running")
    names = fleet.manager("service", "ls", "--format", "{{.Name}}").split()
    return {name: set(fleet.manager("service", "ps", *wanted, name).split()) for name in names}


def moved(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[str]:
    """Return the services that have other tasks than before."""
    return {name for name in before | after if before.get(name) != after.get(name)}


def answered(url: str) -> requests.Response:
    """Ask until there is an answer of 200; an entry knows a new service when it has looked."""
    until = time.monotonic() + 20
    while (answer := requests.get(url, timeout=10)).status_code != 200:
        assert time.monotonic() < until, f"{url}: {answer.status_code} {answer.text}"
        time.sleep(0.5)
    return answer


def cars_answer(fleet: Fleet) -> None:
    """Ask both services through every entry."""
    for url in fleet.urls():
        answered(f"{url}/cars/api/readyz")
        assert requests.get(f"{url}/cars/api/cars?mpg_gt=20", timeout=10).json()["count"] == 14
        problem = requests.get(f"{url}/cars/api/cars?mpg_gt=abc", timeout=10)
        assert problem.status_code == 400
        assert problem.headers["Content-Type"] == "application/problem+json"
        page = answered(f"{url}/cars/dashboard")
        assert page.url == f"{url}/cars/dashboard/", "a page without the slash has wrong addresses"
        assert "Cars of 1974" in page.text
        assert upgraded(f"{url}/cars/dashboard/websocket/") == 101
        assert requests.get(f"{url}/carsapi", timeout=10).status_code == 404
        hidden = requests.get(f"{url}/cars/api//metrics", timeout=10)
        assert (hidden.status_code, hidden.headers["Content-Type"]) == (404, "text/html")


def upgraded(url: str) -> int:
    """Ask for a websocket, and return the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    try:
        connection.request("GET", parts.path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_image_comes_to_a_machine_as_a_file(fleet: Fleet, checkout: Checkout) -> None:
    """To one that has none of its layers, no tools, and no network while it is loaded."""
    checkout.make_target("image-save", "IMAGE=cars")
    (path,) = (checkout.path / "dist").glob("cars-*.tar.*[!6g]")
    received = "/root/received"
    fleet.on("m1", "mkdir", "--parents", received)
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60")
    fleet.on("m1", *apt, "update")
    fleet.on("m1", *apt, "install", "--no-install-recommends", "zstd")
    names = [f"dist/{path.name}{suffix}" for suffix in ("", ".sha256", ".sha256.sig")]
    names += ["bin", "ansible/plugins/module_utils", ".local/local-local/allowed_signers"]
    pack = ["tar", "--create", *names]
    unpack = [
        "docker",
        "exec",
        "--interactive",
        fleet.machines()["m1"],
        "tar",
        "-x",
        "-C",
        received,
    ]
    with subprocess.Popen(pack, cwd=checkout.path, stdout=subprocess.PIPE) as packer:
        subprocess.run(unpack, stdin=packer.stdout, check=True)
    assert packer.returncode == 0
    alone = ("env", f"--chdir={received}", "unshare", "--net")
    said = fleet.on("m1", *alone, "bin/image", "load", f"dist/{path.name}")
    assert "is whole and signed by beanft-local-local" in said
    command = next(line for line in said.splitlines() if line.startswith("  docker run "))
    run, name = command.split()[:-1], command.split()[-1]
    results = ("--network", "none", "--volume", "results:/home/results")
    assert "14 of 32 cars" in fleet.on("m1", *run, *results, name)
    fleet.manager("volume", "rm", "results")
    tags = fleet.manager("image", "inspect", "--format", '{{join .RepoTags " "}}', name).split()
    fleet.manager("rmi", *tags)
    fleet.on("m1", "rm", "-r", received)


def test_cars_are_deployed_alone(fleet: Fleet, checkout: Checkout) -> None:
    before = tasks(fleet)
    checkout.make_target("deploy", "STACK=cars")
    after = tasks(fleet)
    assert moved(before, after) == CARS
    cars_answer(fleet)
    assert "the same, nothing to deploy" in checkout.make_target("deploy", "STACK=cars")
    assert tasks(fleet) == after
    checkout.make_target("logs", "SERVICE=cars_api")


def add_as_written(checkout: Checkout) -> str:
    """Do what docs/adding-a-service.md says, with its own words, and return the revision."""
    text = (checkout.path / "docs/adding-a-service.md").read_text(encoding="utf-8")
    dockerfile, ignored, line, described = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)[:4]
    folder = checkout.path / "docker/hello"
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "Dockerfile.dockerignore").write_text(ignored)
    for name, place, added in (
        ("docker/build.py", "IMAGES = {\n", line),
        ("ansible/playbooks/group_vars/all.yml", "beanft_services:\n", described),
    ):
        path = checkout.path / name
        before = path.read_text()
        assert before.count(f"\n{place}") == 1
        path.write_text(before.replace(f"\n{place}", f"\n{place}{added}"))
    return checkout.commit("A service as the document makes one")


def test_the_application_is_deployed_without_them(fleet: Fleet, checkout: Checkout) -> None:
    before = tasks(fleet)
    revision = add_as_written(checkout)
    checkout.make_target("deploy")
    fleet.wait_served(revision)
    assert moved(before, tasks(fleet)) == {*APPLICATION, ENTRY}, "the entry has another path"
    cars_answer(fleet)


def test_a_service_is_added_as_the_document_says(fleet: Fleet, checkout: Checkout) -> None:
    before = tasks(fleet)
    checkout.make_target("deploy", "STACK=hello")
    assert moved(before, tasks(fleet)) == {"beanft-hello_web"}
    assert {answered(f"{url}/hello/").text for url in fleet.urls()} == {"hello\n"}


def test_cars_go_back_alone(fleet: Fleet, checkout: Checkout) -> None:
    """The application's deploy has removed images meanwhile, and not theirs."""
    before = tasks(fleet)
    checkout.make_target("deploy", "STACK=cars")
    newer = tasks(fleet)
    assert moved(before, newer) == CARS
    checkout.make_target("rollback", "STACK=cars")
    assert moved(newer, tasks(fleet)) == CARS
    cars_answer(fleet)
    listed = checkout.make_target("releases", "STACK=cars")
    assert "current (rollback)" in listed
    assert "rolled back" in listed
    checkout.make_target("drift")


def test_what_can_not_be_is_said(checkout: Checkout) -> None:
    assert "unknown image 'boats'" in checkout.fails("make", "deploy", "STACK=boats")
    assert "use the name of a service" in checkout.fails("make", "rollback", "STACK=../cars")
    assert "make deploy, make rollback" in checkout.fails("make", "backup", "STACK=cars")
    assert "without BUNDLE" in checkout.fails("make", "deploy", "STACK=cars", "CONFIRM=1")
