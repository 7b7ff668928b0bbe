"""Alerts and dashboard: each alert has its tests and its runbook, and what is made of the panels is up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "ansible/roles/monitoring/files"
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
PANELS: list[dict[str, Any]] = json.loads((FILES / "dashboard/panels.json").read_text())


def alerts() -> list[dict[str, Any]]:
    """Return all alerts."""
    rules = yaml.safe_load((FILES / "rules.yml").read_text(encoding="utf-8"))
    return [rule for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_has_tests_and_a_runbook(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
    assert OPERATIONS.count(f"\n### {name}\n") == 1
    tests = yaml.safe_load((FILES / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    expected = [case for test in tests for case in test["alert_rule_test"]]
    assert any(case["alertname"] == name and case.get("exp_alerts") for case in expected)


def test_an_alert_stays_silent_in_its_tests_too() -> None:
    tests = yaml.safe_load((FILES / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    for test in tests:
        # A case that expects an alert of one thing has another, or another time, where it does not fire.
        cases = test["alert_rule_test"]
        more = len(test["input_series"]) > len([case for case in cases if case.get("exp_alerts")])
        assert more or any(not case.get("exp_alerts") for case in cases), test["name"]


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    part = OPERATIONS.split("\n## Alerts\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", part, re.M) == [alert["alert"] for alert in alerts()]


def test_grafanas_dashboard_is_that_of_the_page() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "ansible/docs/grafana_dashboard.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads((FILES / "grafana.json").read_text())
    assert [panel["title"] for panel in made["panels"]] == [panel["title"] for panel in PANELS]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    for path in sorted((FILES / "dashboard").glob("dashboard.*")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[\w-]+\.\w", text), path.name
