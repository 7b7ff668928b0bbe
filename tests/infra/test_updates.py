"""`bin/updates.py` compares lock files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_differs_is_listed_and_reported(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("updates.py", "report"):
        (tmp_path / "bin" / name).write_bytes((ROOT / "bin" / name).read_bytes())
    before, after = tmp_path / "before.txt", tmp_path / "after.txt"
    before.write_text(
        "# a==9\nsame==1.0 \\\n    --hash=sha256:0\nnewer==1.0 \\\nmarked==1 ; sys_platform == 'win32' \\\n"
        "marked==2 ; sys_platform != 'win32' \\\ngone==3\n"
    )
    after.write_text(
        "same==1.0\nnewer==1.1.post1\nmarked==2 ; sys_platform != 'win32'\n"
        "marked==1 ; sys_platform == 'win32'\nadded==0.1\n"
    )
    text = subprocess.run(
        [sys.executable, tmp_path / "bin/updates.py", before, after],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "updates: 3 of 4 packages differ" in text
    report = json.loads((tmp_path / "build/reports/updates.json").read_text())
    assert {row["name"]: row["value"] for row in report["rows"]} == {
        "added": "- -> 0.1",
        "gone": "3 -> -",
        "newer": "1.0 -> 1.1.post1",
    }
