"""What else ops do to a fleet that serves: secrets, bundles, maintenance, an audit; and no secret comes to light."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from pathlib import Path

import requests

from tests.fleet import canary
from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet
from tests.fleet.load import SAMPLE
from tests.fleet.test_2_faults import FAILS_LATER

MACHINES = ("m1", "m2", "m3")


def test_a_planted_secret_reaches_the_tasks_and_comes_to_light_nowhere(
    fleet: Fleet, checkout: Checkout, tmp_path: Path
) -> None:
    value = secrets.token_hex(32)
    planted = tmp_path / "secret"
    planted.write_text(value)
    outputs = {
        "rotate": checkout.make_target("rotate", "SECRET=beanft_secret_key", f"FROM={planted}"),
        "audit": checkout.make_target("audit"),
        "releases": checkout.make_target("releases"),
        "plan": checkout.run("bash", "-c", "bin/plan || test $? = 2"),
    }
    running = ["docker", "ps", "--quiet", "--filter", "name=beanft_web"]
    tasks = [
        (machine, task) for machine in MACHINES for task in fleet.on(machine, *running).split()
    ]
    assert tasks
    for machine, task in tasks:
        read = ["docker", "exec", task, "cat", "/run/secrets/beanft_secret_key"]
        assert fleet.on(machine, *read) == value
    report = canary.find(value, checkout, machines=MACHINES, outputs=outputs)
    assert report.found == []
    report.assert_thorough()


def test_one_request_is_followed_from_the_entry_to_the_worker(
    fleet: Fleet, checkout: Checkout
) -> None:
    account = fleet.account()
    url = f"{account.url}/api/v1"
    headers = {**account.headers, "Content-Type": "text/csv"}
    sample = (checkout.path / "app/beanft/samples/iris.csv").read_bytes()
    stored = requests.post(f"{url}/datasets?name=iris", data=sample, headers=headers, timeout=20)
    request = f"traced-{secrets.token_hex(6)}"
    started = requests.post(
        f"{url}/trainings",
        json={
            "dataset": stored.json()["id"],
            "target": "species",
            "estimators": ["logistic_regression"],
        },
        headers={**account.headers, "X-Request-ID": request},
        timeout=20,
    )
    assert started.status_code == 202, started.text
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        path = f"{url}/trainings/{started.json()['id']}"
        if requests.get(path, headers=account.headers, timeout=20).json()["state"] == "succeeded":
            break
        time.sleep(1)
    text = checkout.make_target("logs", f"REQUEST={request}")
    lines = [line.split() for line in text.splitlines() if request in line]
    assert {line[2] for line in lines} == {"edge", "api", "worker"}
    assert "job_queued" in text
    assert "job_ended" in text
    assert "is no request's id" in checkout.fails("make", "logs", "REQUEST=x")


def test_a_backup_is_made_and_proven_and_status_says_so(fleet: Fleet, checkout: Checkout) -> None:
    account = fleet.account()
    text = checkout.make_target("backup")
    made = re.search(
        r"m1: postgresql ([0-9a-f]{8}), \d+ rows in \d+ tables, .* proven by a restore", text
    )
    assert made, text[-2000:]
    status = checkout.make_target("status")
    assert re.search(r"last good \d min ago, proven by a restore", status)
    assert "PROBLEM" not in status
    url = f"{account.url}/api/v1/datasets"
    headers = {**account.headers, "Content-Type": "text/csv"}
    assert requests.post(f"{url}?name=later", data=SAMPLE, headers=headers, timeout=20).ok
    # The timer may have saved what came later.
    restored = checkout.make_target("restore", f"AT={made[1]}")
    assert "what there was is on m1 under names with before_" in restored
    assert requests.get(url, headers=account.headers, timeout=20).json()["datasets"] == []
    fleet.unchanged()


def test_maintenance_is_a_page_and_ends(fleet: Fleet, checkout: Checkout) -> None:
    checkout.make_target("maintenance", "ON=1", "MESSAGE=Back at five.")
    for url in fleet.urls():
        page = requests.get(url, timeout=5)
        assert (page.status_code, "Back at five." in page.text) == (503, True)
        problem = requests.get(f"{url}/api/v1/version", timeout=5)
        assert problem.headers["Content-Type"] == "application/problem+json"
        assert "Retry-After" in problem.headers
    checkout.make_target("maintenance", "ON=0")
    assert all(requests.get(url, timeout=5).status_code == 200 for url in fleet.urls())
    assert "ON=" in checkout.fails("make", "maintenance")


def test_a_bundle_deploys_and_a_changed_byte_does_not(
    fleet: Fleet, checkout: Checkout, tmp_path: Path
) -> None:
    revision = checkout.change("app/beanft/__init__.py", "\n# in a bundle\n", "In a bundle")
    checkout.make_target("bundle")
    (bundle,) = (checkout.path / "dist").glob(f"*{revision}*.tar")
    damaged = tmp_path / bundle.name
    shutil.copy(bundle, damaged)
    with damaged.open("r+b") as file:
        file.seek(bundle.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    before = fleet.served()
    checkout.fails("make", "deploy", f"BUNDLE={damaged}")
    assert fleet.served() == before
    checkout.make_target("deploy", f"BUNDLE={bundle}")
    fleet.wait_served(revision)


def places(fleet: Fleet) -> set[str]:
    """Return the nodes that tasks of the application may be on, by the rules of their services."""
    form = "{{json .Spec.TaskTemplate.Placement}}"
    services = [f"beanft_{name}" for name in ("web", "api", "worker")]
    found = fleet.manager("service", "inspect", "--format", form, *services)
    return {"volume" if "beanft.data" in line else "any" for line in found.splitlines()}


def test_everything_moves_into_files_and_back(fleet: Fleet, checkout: Checkout) -> None:
    account = fleet.account()
    url = f"{account.url}/api/v1/datasets"
    headers = {**account.headers, "Content-Type": "text/csv"}
    stored = requests.post(f"{url}?name=moved", data=SAMPLE, headers=headers, timeout=20)
    assert stored.status_code == 201, stored.text
    before = requests.get(f"{url}?limit=200", headers=account.headers, timeout=20).json()
    assert places(fleet) == {"any"}, "a fleet of three begins on the servers of group data"
    for place, there in (("sqlite", "volume"), ("postgresql", "any")):
        text = checkout.make_target("move", f"TO={place}")
        assert "the same on both sides" in text
        assert places(fleet) == {there}
        now = requests.get(f"{url}?limit=200", headers=account.headers, timeout=20)
        assert now.json() == before
        assert "already" in checkout.make_target("move", f"TO={place}")
    assert "TO is 'mysql'" in checkout.fails("make", "move", "TO=mysql")
    checkout.make_target("smoke")
    fleet.unchanged()


def test_the_audit_says_who_did_what(checkout: Checkout) -> None:
    text = checkout.make_target("audit")
    assert "each signed by who may" in text
    assert "switch" in text


def test_a_version_that_fails_is_put_back_where_nobody_visits(fleet: Fleet) -> None:
    (revision,) = fleet.served()
    fleet.checkout.change("app/beanft/wsgi.py", FAILS_LATER, "Change")
    try:
        text = fleet.checkout.fails("make", "deploy")
    finally:
        fleet.checkout.git("reset", "--quiet", "--hard", "HEAD~1")
    # The deploy's own.
    assert re.search(r"[1-9]\d* of [1-9]\d* requests failed", text), text[-2000:]
    assert "serves again" in text
    fleet.wait_served(revision)
    fleet.unchanged()
