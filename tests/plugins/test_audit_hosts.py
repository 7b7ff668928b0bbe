"""make audit-hosts: what tools say is counted as they mean it, and nothing passes unseen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOG = """\
10:00 Performing test ID AUTH-9230 (Check rounds)
10:00 Hardening: assigned partial number of hardening points (0 of 2). Currently having 0 points (out of 2)
10:01 Performing test ID BANN-7126 (Check issue)
10:01 Hardening: assigned maximum number of hardening points for this item (2). Currently having 2 points (out of 4)
10:02 Performing test ID KRNL-6000 (sysctl)
10:02 Result: sysctl key kernel.kptr_restrict has a different value than expected in scan profile.
10:02 Hardening: assigned partial number of hardening points (0 of 1). Currently having 2 points (out of 5)
10:02 Result: sysctl key net.a contains equal expected and current value (1)
10:02 Hardening: assigned maximum number of hardening points for this item (1). Currently having 3 points (out of 6)
"""
REPORT = "suggestion[]=AUTH-9230|Configure rounds|-|-|\nhardening_index=50\n"
OPENSCAP = """\
<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">
  {profiles}
  <Group><Rule id="xccdf_org.ssgproject.content_rule_a"><title>About a</title></Rule></Group>
  <TestResult>{results}</TestResult>
</Benchmark>
"""


@pytest.fixture
def audit(program: Callable[[str], ModuleType]) -> ModuleType:
    return program("audit_hosts")


def scap(minimal: str, intermediary: str, **results: str) -> str:
    """Return results of OpenSCAP as it writes them."""
    rule = "xccdf_org.ssgproject.content_rule_"
    profile = '<Profile id="xccdf_org.ssgproject.content_profile_anssi_bp28_{}">{}</Profile>'
    select = f'<select idref="{rule}{{}}" selected="true"/>'
    profiles = "".join(
        profile.format(name, "".join(map(select.format, rules)))
        for name, rules in (("minimal", minimal), ("intermediary", intermediary))
    )
    told = "".join(
        f'<rule-result idref="{rule}{name}"><result>{result}</result></rule-result>'
        for name, result in results.items()
    )
    return OPENSCAP.format(profiles=profiles, results=told)


def test_lynis(audit: ModuleType) -> None:
    rows, findings = audit.lynis(LOG, REPORT, {})
    assert [row["value"] for row in rows] == [50, 50]
    assert rows[1]["holds"] is False
    assert findings == [
        audit.Finding("lynis", "AUTH-9230", "2 points: Configure rounds"),
        audit.Finding("lynis", "KRNL-6000:kernel.kptr_restrict", "1 points: "),
    ]


def test_what_is_waived_counts_neither_for_nor_against(audit: ModuleType) -> None:
    reasons = {("lynis", "AUTH-9230"): "x", ("lynis", "KRNL-6000:kernel.kptr_restrict"): "x"}
    rows, findings = audit.lynis(LOG, REPORT, reasons)
    assert [row["value"] for row in rows] == [50, 100]
    assert len(findings) == 2


def test_lynis_without_an_index_is_no_score(audit: ModuleType) -> None:
    with pytest.raises(audit.AuditError, match="no hardening index"):
        audit.lynis(LOG, "", {})


def test_openscap(audit: ModuleType) -> None:
    text = scap("a", "abcd", a="fail", b="pass", c="notapplicable", d="error", e="fail")
    rows, findings = audit.openscap(text, "ssg-debian12-ds.xml")
    assert [(row["value"], row["unit"], row["holds"]) for row in rows] == [
        (0.0, "% of 1 rules", False),
        (33.3, "% of 3 rules", False),
    ]
    assert [finding.id for finding in findings] == ["a", "d", "e"]
    assert findings[0].what == "About a"


def test_nothing_applicable_is_no_score(audit: ModuleType) -> None:
    with pytest.raises(audit.AuditError, match="no rule of ANSSI minimal in x applies"):
        audit.openscap(scap("a", "a", a="notapplicable"), "x")


def test_ssh_audit(audit: ModuleType) -> None:
    report = {
        "kex": [
            {"algorithm": "curve", "notes": {"info": ["since 6"]}},
            {"algorithm": "sha1", "notes": {"fail": ["broken"], "warn": ["weak"]}},
        ],
        "mac": [{"algorithm": "umac", "notes": {"warn": ["small tag"]}}],
    }
    assert [(finding.id, finding.what) for finding in audit.ssh_audit(report)] == [
        ("sha1", "kex fail: broken"),
        ("sha1", "kex warn: weak"),
        ("umac", "mac warn: small tag"),
    ]


def test_checkov(audit: ModuleType) -> None:
    part: dict[str, Any] = {
        "results": {
            "failed_checks": [
                {"check_id": "CKV_1", "file_path": "/web/Dockerfile", "check_name": "User"}
            ]
        },
        "summary": {"passed": 3, "parsing_errors": 0},
    }
    passed, findings = audit.checkov(part, "docker")
    assert passed == 3
    assert findings == [audit.Finding("checkov", "CKV_1 docker/web/Dockerfile", "User")]
    with pytest.raises(audit.AuditError, match="could not read"):
        audit.checkov({**part, "summary": {"passed": 3, "parsing_errors": 1}}, "docker")
    with pytest.raises(audit.AuditError, match="looked at nothing"):
        audit.checkov({"passed": 0, "resource_count": 0}, "docker")


GOOD = {
    "name": "beanft_web",
    "uid": 10001,
    "capabilities": "0000000000000000",
    "no_new_privileges": True,
    "read_only": True,
    "memory": 1,
    "pids": 1,
    "health": "healthy",
}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, []),
        ({"uid": 0}, ["root"]),
        ({"capabilities": "0000000000000400"}, ["capabilities"]),
        ({"no_new_privileges": False}, ["new-privileges"]),
        ({"read_only": False}, ["writable"]),
        ({"memory": 0, "pids": 0}, ["no-memory-limit", "no-pids-limit"]),
        ({"pids": -1}, ["no-pids-limit"]),
        ({"health": ""}, ["unhealthy"]),
    ],
)
def test_containers(audit: ModuleType, change: dict[str, Any], wrong: list[str]) -> None:
    found = audit.containers("m1", [{**GOOD, **change}])
    assert [finding.id for finding in found] == [f"beanft_web {it}" for it in wrong]


def test_waivers_cover_what_they_name_and_no_more(audit: ModuleType) -> None:
    found = [audit.Finding("checkov", "A x"), audit.Finding("checkov", "A y")]
    reasons = {("checkov", "A x"): "why", ("lynis", "A y"): "why"}
    assert audit.split(found, reasons) == ([found[1]], [("lynis", "A y")])
    # A check's name alone is for all files; a part of a word is for none.
    assert audit.split(found, {("checkov", "A"): "why"}) == ([], [])
    assert audit.split(found, {("checkov", "A "): "why"})[0] == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {tool: lynis, id: A}", "a reason"),
        ("- {tool: other, id: A, reason: x}", "a tool"),
        ("- {tool: lynis, id: A, reason: x}\n- {tool: lynis, id: A, reason: y}", "there twice"),
    ],
)
def test_waivers_that_say_nothing_are_refused(audit: ModuleType, text: str, words: str) -> None:
    with pytest.raises(audit.AuditError, match=words):
        audit.waivers(text)


def test_our_waivers_can_be_read(audit: ModuleType) -> None:
    text = (ROOT / "ansible/audit-waivers.yml").read_text(encoding="utf-8")
    reasons = audit.waivers(text)
    # A sentence, not a word.
    assert all(len(re.findall(r"\w+", reason)) > 4 for reason in reasons.values())
