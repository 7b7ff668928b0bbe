"""From nothing to a site: what ops type first, and what it leaves."""

from __future__ import annotations

import json
import re

from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet

MACHINES = ("m1", "m2", "m3")


def test_up_ends_with_a_site_that_trains_and_predicts(fleet: Fleet, checkout: Checkout) -> None:
    assert f"beanft runs at {checkout.url()}" in fleet.up_text
    smoke = json.loads((checkout.path / "build/reports/smoke.json").read_text())
    accuracies = [row["value"] for row in smoke["rows"] if row["name"].startswith("accuracy")]
    assert len(accuracies) == 3, "by page, by API, and of a model that was trained by API"
    assert all(value >= 0.93 for value in accuracies)
    assert fleet.served() == {checkout.git("rev-parse", "--short=12", "HEAD")}


def test_up_again_changes_nothing(checkout: Checkout) -> None:
    text = checkout.make_target("up", "NODES=3")
    plays = re.findall(r"^(?:ok|failed): changed=(\d+)", text, re.MULTILINE)
    assert plays == ["0", "0", "0"], "provision, site, deploy"


def test_status_logs_and_ssh_answer(checkout: Checkout) -> None:
    status = checkout.make_target("status")
    assert all(machine in status for machine in MACHINES)
    assert re.search(r"beanft_web\s+replicated\s+2/2", status)
    assert "beanft_web" in checkout.make_target("logs", "SERVICE=web")
    assert checkout.run("bin/ssh", "m2", "hostname").strip() == "m2"
    assert "no machine called 'm9'" in checkout.fails("bin/ssh", "m9", "true")


def test_an_unknown_target_of_a_rollback_is_refused(checkout: Checkout) -> None:
    assert "release 7 is no target" in checkout.fails("make", "rollback", "TO=7")
