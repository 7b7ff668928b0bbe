#!/usr/bin/env python3
"""Write the dashboard of role monitoring for Grafana, from the same panels as its own page.

python ansible/docs/grafana_dashboard.py            write files/grafana.json
python ansible/docs/grafana_dashboard.py --check    exit 1 if it is out of date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[1] / "roles/monitoring/files"
UNITS = {"per second": "ops", "bytes per second": "Bps", "seconds": "s", "%": "percent"}
SOURCE = {"type": "prometheus", "uid": "${source}"}
ACROSS, WIDTH, HEIGHT = 3, 8, 8


def panel(number: int, said: dict[str, Any]) -> dict[str, Any]:
    """Return a panel as Grafana has them."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": said["title"],
        "datasource": SOURCE,
        "gridPos": {
            "x": number % ACROSS * WIDTH,
            "y": number // ACROSS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {
            "defaults": {"unit": UNITS.get(said["unit"], "short"), "min": 0},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "table", "calcs": ["lastNotNull", "max"]}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": line["query"],
                "legendFormat": re.sub(r"\{(\w+)\}", r"{{\1}}", line["label"]),
            }
            for place, line in enumerate(said["lines"])
        ],
    }


def dashboard(panels: list[dict[str, Any]]) -> str:
    """Return the whole dashboard."""
    made = {
        "uid": "beanft",
        "title": "beanft",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": [panel(number, said) for number, said in enumerate(panels)],
    }
    return json.dumps(made, indent=2) + "\n"


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description="Write the dashboard for Grafana.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    options = parser.parse_args()
    target = FILES / "grafana.json"
    panels = json.loads((FILES / "dashboard/panels.json").read_text(encoding="utf-8"))
    text = dashboard(panels)
    if not options.check:
        target.write_text(text, encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"{target} is out of date: run python ansible/docs/{Path(__file__).name}")


if __name__ == "__main__":
    main()
