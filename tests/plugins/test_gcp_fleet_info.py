"""What is asked of GCP about an environment."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

Load = Callable[[str], ModuleType]


def test_one_environment_is_looked_at_in_all_its_zones(plugin: Load) -> None:
    machines = "(labels.beanft = machine) (labels.beanft-environment = staging)"
    lists = plugin("modules/gcp_fleet_info").lists("staging", "r", ["r-a", "r-b"])
    assert lists == {
        "networks": [("global/networks", "name = beanft-staging")],
        "instances": [("zones/r-a/instances", machines), ("zones/r-b/instances", machines)],
        "addresses": [("regions/r/addresses", "")],
        "disks": [("zones/r-a/disks", ""), ("zones/r-b/disks", "")],
    }
