"""Three machines, from nothing to nothing: what ops do, by the commands that ops type.

In order, one test building on the one before: up, up again, a new version under load, a broken
version under load, roll back under load, down.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.fleet.checkout import ROOT, Checkout, Load

MACHINES = 3


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A checkout with a fleet of its own, gone afterwards whatever happens."""
    made = Checkout.make(ROOT / "build" / "fleet-test")
    yield made
    made.run("bin/down", ok=False)


@pytest.fixture(scope="module")
def revisions() -> dict[str, str]:
    """The revisions of this run, by what they are."""
    return {}


def served(checkout: Checkout) -> set[str]:
    """Return the revisions that pages and API say they are, asked often enough to meet every task."""
    url = checkout.url()
    return {
        requests.get(url + path, timeout=5).json()["revision"]
        for path in ("/version", "/api/v1/version")
        for _ in range(10)
    }


def releases(checkout: Checkout) -> list[list[str]]:
    """Return the lines of `make releases`, newest first, split into words."""
    text = checkout.make_target("releases")
    return [line.split() for line in text.splitlines() if re.match(r"\s+\d+\s+\d", line)]


def test_up_ends_with_a_site_that_trains_and_predicts(
    checkout: Checkout, revisions: dict[str, str]
) -> None:
    revisions["A"] = checkout.git("rev-parse", "--short=12", "HEAD")
    text = checkout.make_target("up", f"NODES={MACHINES}")
    assert f"beanft runs at {checkout.url()}" in text
    smoke = json.loads((checkout.path / "build/reports/smoke.json").read_text())
    accuracies = [row["value"] for row in smoke["rows"] if row["name"].startswith("accuracy")]
    assert len(accuracies) == 2, "by page and by API"
    assert all(value >= 0.93 for value in accuracies)
    assert served(checkout) == {revisions["A"]}


def test_up_again_changes_nothing(checkout: Checkout) -> None:
    text = checkout.make_target("up", f"NODES={MACHINES}")
    plays = re.findall(r"^(?:ok|failed): changed=(\d+)", text, re.MULTILINE)
    assert plays == ["0", "0", "0"], "provision, site, deploy"


def test_status_logs_and_ssh_answer(checkout: Checkout) -> None:
    status = checkout.make_target("status")
    assert all(f"m{number}" in status for number in range(1, MACHINES + 1))
    assert re.search(r"beanft_web\s+replicated\s+2/2", status)
    assert "beanft_web" in checkout.make_target("logs", "SERVICE=web")
    assert checkout.run("bin/ssh", "m2", "hostname").strip() == "m2"
    assert "no machine called 'm9'" in checkout.fails("bin/ssh", "m9", "true")


def test_new_version_is_served_and_no_request_is_lost(
    checkout: Checkout, revisions: dict[str, str]
) -> None:
    revisions["B"] = checkout.change("app/beanft/__init__.py", "\n# version B\n", "Version B")
    with Load(checkout.url()) as load:
        checkout.make_target("deploy")
    print(f"\ndeploy under load: {load}")
    assert served(checkout) == {revisions["B"]}
    assert load.failures == []
    assert load.requests > 100
    assert [line[2] for line in releases(checkout)] == [revisions["B"], revisions["A"]]


def test_broken_version_leaves_the_old_one_serving(
    checkout: Checkout, revisions: dict[str, str]
) -> None:
    broken = checkout.change(
        "app/beanft/wsgi.py", "\nraise SystemExit('broken on purpose')\n", "Broken version"
    )
    with Load(checkout.url()) as load:
        text = checkout.fails("make", "deploy")
    print(f"\nbroken deploy under load: {load}")
    assert "broken on purpose" in text, "the failing task's own words"
    assert served(checkout) == {revisions["B"]}
    assert load.failures == []
    newest = releases(checkout)[0]
    assert newest[2] == broken
    assert newest[-1] == "failed"


def test_rollback_serves_the_version_before(checkout: Checkout, revisions: dict[str, str]) -> None:
    with Load(checkout.url()) as load:
        checkout.make_target("rollback")
    print(f"\nrollback under load: {load}")
    assert served(checkout) == {revisions["A"]}
    assert load.failures == []
    state = {(line[2], line[-1]) for line in releases(checkout)}
    assert (revisions["B"], "back") in state, "the version that was left is marked"


def test_rollback_without_a_target_is_refused(checkout: Checkout) -> None:
    text = checkout.fails("make", "rollback", "TO=2")
    assert "release 2 is no target" in text


def test_down_leaves_nothing(checkout: Checkout) -> None:
    name = checkout.run("bash", "-c", ". bin/_env; echo $BEANFT_CHECKOUT", show=False).strip()
    checkout.make_target("down")
    # Down also stops an engine that this project started and nothing else uses: look at what it kept.
    subprocess.run([str(ROOT / "bin/engine")], check=True)
    for kind in ("container ls --all", "network ls", "volume ls"):
        left = subprocess.run(
            ["docker", *kind.split(), "--quiet", "--filter", f"label=beanft.checkout={name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert left == "", f"{kind}: {left}"
    # Also what has lost its label.
    names = subprocess.run(
        ["docker", "ps", "--all", "--format", "{{.Names}}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert name not in names
