"""Every role: on a machine that is as it says, check mode announces no change."""

from __future__ import annotations

import os
from pathlib import Path

from helpers import playbook


def test_check_mode_announces_no_change() -> None:
    run = playbook(Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "converge.yml", "--check")
    assert run.messages == []
    assert run.code == 0
    assert run.changed == {}
