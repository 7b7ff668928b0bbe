"""The only machine is lost with its disk, and a new one gets its data back. Prints what that costs, and what is lost.

`make test-restore`; some ten minutes, so it is not part of `make test`.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.fleet.checkout import ROOT, Checkout
from tests.fleet.fleet import Fleet, docker
from tests.fleet.load import SAMPLE, Account

# What may be lost.
MOST_LOST_SECONDS = 15 * 60
WRITE_PAUSE_SECONDS = 5


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """One machine in a checkout of its own, up and serving."""
    checkout = Checkout.make(ROOT / "build" / "restore-test")
    try:
        fleet = Fleet(checkout)
        checkout.make_target("up", "NODES=1")
        yield fleet
    finally:
        checkout.run("bin/down", ok=False)


class Ledger:
    """Data sets that the site said it has stored, and when."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.entries: list[tuple[float, str]] = []

    def write(self) -> None:
        """Store one."""
        answer = requests.post(
            f"{self.account.url}/api/v1/datasets?name=ledger",
            data=SAMPLE,
            headers={**self.account.headers, "Content-Type": "text/csv"},
            timeout=30,
        )
        answer.raise_for_status()
        self.entries.append((time.time(), answer.json()["id"]))

    def missing(self, url: str, before: float) -> list[str]:
        """Return those that were acknowledged before a moment and are not there."""
        answer = requests.get(
            f"{url}/api/v1/datasets?limit=200", headers=self.account.headers, timeout=30
        )
        answer.raise_for_status()
        there = {item["id"] for item in answer.json()["datasets"]}
        return [
            identity for when, identity in self.entries if when < before and identity not in there
        ]

    def content(self, url: str) -> bytes:
        """Return what the first one has in it."""
        path = f"{url}/api/v1/datasets/{self.entries[0][1]}/content"
        answer = requests.get(path, headers=self.account.headers, timeout=30)
        answer.raise_for_status()
        return answer.content


def saved(fleet: Fleet) -> dict[str, Any]:
    """Return the last backup of the data, as its machine has it on record; nothing before the first one."""
    find = ["find", "/var/lib/beanft-backup", "-name", "status.json", "-exec", "cat", "{}", "+"]
    status = json.loads(fleet.on("m1", *find) or "{}")
    return next((item for item in status.get("made", []) if item["kind"] == "sqlite"), {})


def stamp(text: str) -> float:
    """Return a time as seconds."""
    return datetime.fromisoformat(text).timestamp()


def release_records(fleet: Fleet) -> int:
    """Return how many releases are on record."""
    return len(
        fleet.manager(
            "config", "ls", "--quiet", "--filter", "label=beanft.release-of=beanft"
        ).split()
    )


def test_the_only_machine_is_lost(fleet: Fleet) -> None:
    ledger = Ledger(fleet.account())
    begun = time.time()
    # Until the timer has saved some of it by itself, and for a while after that.
    while not (made := saved(fleet)) or stamp(made["at"]) < begun + 30:
        assert time.time() < begun + 12 * 60, fleet.on("m1", "beanft-backup", "status")
        ledger.write()
        time.sleep(WRITE_PAUSE_SECONDS)
    for _ in range(6):
        ledger.write()
        time.sleep(WRITE_PAUSE_SECONDS)
    made = saved(fleet)
    records = release_records(fleet)
    lost_at = time.time()
    name = fleet.machines()["m1"]
    docker("rm", "--force", "--volumes", name)
    docker("volume", "rm", f"{name}-docker")
    print(
        f"\nlost {name} with its disk, {lost_at - stamp(made['at']):.0f} s after the backup",
        flush=True,
    )

    rows = [
        row("recovery point", lost_at - stamp(made["at"]), MOST_LOST_SECONDS),
        row("acknowledged writes", len(ledger.entries), unit=""),
        row(
            "of those after the backup",
            sum(when > stamp(made["at"]) for when, _ in ledger.entries),
            unit="",
        ),
    ]

    def timed(what: str, *command: str) -> str:
        started = time.monotonic()
        text = fleet.checkout.run(*command)
        rows.append(row(what, time.monotonic() - started))
        return text

    started = time.monotonic()
    timed("new machine", "make", "provision", "NODES=1")
    timed("site", "make", "site")
    text = timed("restore, deploy, smoke", "make", "restore")
    rows.append(row("all of it", time.monotonic() - started))
    subprocess.run([ROOT / "bin/report", "test-restore", *map(json.dumps, rows)], check=True)

    assert f"restored backup {made['snapshot'][:8]}" in text
    for table, count in made["rows"].items():
        assert re.search(rf"^\s+{table} +{count} rows$", text, re.MULTILINE), table
    url = fleet.urls("m1")[0]
    assert ledger.missing(url, stamp(made["at"])) == []
    assert ledger.content(url) == SAMPLE
    assert rows[0]["holds"]
    # The releases go on where they were, and backups go to the same repository.
    assert release_records(fleet) == records + 1
    assert "proven by a restore" in fleet.checkout.make_target("backup")


def test_a_restore_onto_the_same_machine_and_to_a_time(fleet: Fleet) -> None:
    checkout = fleet.checkout
    checkout.make_target("backup")
    then = saved(fleet)
    ledger = Ledger(fleet.account())
    ledger.write()
    checkout.make_target("backup")
    now = saved(fleet)
    assert ledger.missing(fleet.urls("m1")[0], time.time()) == []
    text = checkout.run("make", "restore", f"AT={then['snapshot'][:8]}")
    assert "what there was is on m1 under names with before_" in text
    answer = requests.get(
        f"{fleet.urls('m1')[0]}/api/v1/datasets", headers=ledger.account.headers, timeout=30
    )
    assert answer.status_code == 401, "the account is younger than the backup"
    # That of the second one: the timer may have saved what is between.
    checkout.run("make", "restore", f"AT={now['snapshot'][:8]}")
    assert ledger.missing(fleet.urls("m1")[0], time.time()) == []


def test_what_can_not_be_restored_leaves_everything_as_it_is(fleet: Fleet) -> None:
    assert "there is no backup from 2001-01-31" in fleet.checkout.fails(
        "make", "restore", "AT=2001-01-31"
    )
    revision = fleet.checkout.git("rev-parse", "--short=12", "HEAD")
    assert fleet.served() == {revision}


def row(name: str, value: float, bound: float | None = None, unit: str = "s") -> dict[str, Any]:
    """Return a line of the report."""
    rounded: float = round(value, 1) if unit == "s" else value
    holds = None if bound is None else rounded <= bound
    return {"name": name, "value": rounded, "unit": unit, "bound": bound, "holds": holds}
