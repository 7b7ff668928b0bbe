"""What a fleet is said to be, what becomes of it, and what can't be."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

Load = Callable[[str], ModuleType]
ONE: dict[str, Any] = {"m": {"groups": ["managers", "edge"]}}


@pytest.fixture
def filters(plugin: Load) -> dict[str, Callable[..., Any]]:
    """The filters by name."""
    return dict(plugin("filter/fleet").FilterModule().filters())


def test_a_fleet_becomes_machines(filters: dict[str, Callable[..., Any]]) -> None:
    fleet = {
        "m": {"groups": ["managers", "edge"], "count": 3, "size": "medium"},
        "w": {"groups": ["workers"], "count": 0},
        "d": {"groups": ["data"], "disk_gb": 60},
    }
    machines = filters["fleet_machines"](fleet, "staging")
    assert [machine["name"] for machine in machines] == [
        "beanft-staging-m1",
        "beanft-staging-m2",
        "beanft-staging-m3",
        "beanft-staging-d1",
    ]
    assert machines[1] == {
        "name": "beanft-staging-m2",
        "short": "m2",
        "zone": 1,
        "groups": ["managers", "edge"],
        "size": "medium",
        "disk_gb": 30,
        "has_data": False,
    }
    assert [machine["has_data"] for machine in machines] == [True, False, False, True]


@pytest.mark.parametrize(
    ("fleet", "sentence"),
    [
        (None, "described by nothing"),
        ({}, "described by nothing"),
        ({"m-1": ONE["m"]}, "'m-1' is no beginning of machines' names"),
        ({"m": {}}, "m has no groups"),
        ({"m": {"groups": ["manager"]}}, r"groups of m are \['manager'\]: a list of managers"),
        ({"m": {**ONE["m"], "number": 3}}, "m has 'number': it can have groups, count"),
        ({"m": {**ONE["m"], "count": "3"}}, "count of m is '3': a whole number"),
        ({"m": {**ONE["m"], "count": True}}, "count of m is True: a whole number"),
        ({"m": {**ONE["m"], "disk_gb": 5}}, "disk_gb of m is 5: a whole number, 10 or more"),
        ({"m": {**ONE["m"], "size": "huge"}}, "size of m is 'huge': small, medium, large"),
        ({"m": {**ONE["m"], "count": 2}}, "2 managers: 1, 3 or 5"),
        ({**ONE, "d": {"groups": ["data"], "count": 2}}, "2 machines with data"),
        ({"m": {"groups": ["managers"]}}, "no machine in the group edge"),
    ],
)
def test_a_fleet_that_can_not_be_is_refused_in_words(
    filters: dict[str, Callable[..., Any]], fleet: Any, sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=sentence):
        filters["fleet_machines"](fleet, "staging")


def test_changes_are_said_a_line_each(filters: dict[str, Callable[..., Any]]) -> None:
    wanted = filters["fleet_machines"]({**ONE, "w": {"groups": ["workers"]}}, "staging")
    changes = filters["fleet_changes"]
    assert changes(wanted, {}, [], False) == [
        "make    network",
        "make    beanft-staging-m1, small, 30 GB: managers, edge",
        "make    beanft-staging-w1, small, 30 GB: workers",
        "make    fixed address of beanft-staging-m1",
    ]
    m1, w1, w2 = (f"beanft-staging-{name}" for name in ("m1", "w1", "w2"))
    assert changes(wanted, {m1: "running", w1: "pending"}, [m1], True) == []
    assert changes(wanted, {m1: "running", w1: "stopped", w2: "running"}, [m1, w2], True) == [
        f"start   {w1}",
        f"remove  {w2}",
        f"remove  fixed address of {w2}",
    ]
    assert changes([], {m1: "stopped"}, [m1], True) == [
        f"remove  {m1}",
        f"remove  fixed address of {m1}",
        "remove  network",
    ]
    assert changes([], {}, [], False) == []


def test_each_zone_gets_a_part_of_the_network(filters: dict[str, Callable[..., Any]]) -> None:
    subnets = filters["fleet_subnets"]
    assert subnets("10.60.0.0/16", 3) == ["10.60.0.0/20", "10.60.16.0/20", "10.60.32.0/20"]
    with pytest.raises(AnsibleFilterError, match=r"'10.60.1.0/16' is no network"):
        subnets("10.60.1.0/16", 3)


def test_a_scaling_group_has_what_was_not_said(filters: dict[str, Callable[..., Any]]) -> None:
    assert filters["fleet_scaling"]({}, "staging") == {}
    assert filters["fleet_scaling"]({"max": 3}, "staging") == {
        "min": 0,
        "max": 3,
        "size": "small",
        "disk_gb": 30,
        "cpu_percent": 60,
    }


@pytest.mark.parametrize(
    ("scaling", "sentence"),
    [
        (["m"], "it is ['m']: use min, max, size, disk_gb, cpu_percent"),
        ({"most": 1}, "it has 'most': it can have min, max, size, disk_gb, cpu_percent"),
        ({"min": 2, "max": 1}, "min is 2 and max is 1"),
        ({"max": 0}, "max is 0: a whole number from 1 to 100"),
        ({"min": True}, "min is True: a whole number from 0 to 100"),
        ({"disk_gb": 5}, "disk_gb is 5: a whole number from 10 to 16384"),
        ({"cpu_percent": 95}, "cpu_percent is 95: a whole number from 10 to 90"),
        ({"size": "huge"}, "size is 'huge': small, medium, large"),
    ],
)
def test_a_scaling_group_that_can_not_be(
    filters: dict[str, Callable[..., Any]], scaling: object, sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        filters["fleet_scaling"](scaling, "staging")
    assert str(error.value) == f"the Auto Scaling group of staging: {sentence}"


def test_what_changes_about_a_scaling_group(filters: dict[str, Callable[..., Any]]) -> None:
    changes = filters["fleet_scaling_changes"]
    wanted = {"min": 1, "max": 3, "size": "small", "disk_gb": 30}
    there = {"min_size": 1, "max_size": 3, "instances": [{}, {}]}
    assert changes({}, []) == []
    assert changes(wanted, []) == ["make    Auto Scaling group, 1 to 3 machines, small, 30 GB each"]
    assert changes(wanted, [there]) == []
    assert changes(wanted, [{**there, "max_size": 2}]) == [
        "change  Auto Scaling group from 1 to 2 machines into 1 to 3"
    ]
    assert changes({}, [there]) == ["remove  Auto Scaling group and its 2 machines"]


def test_a_database_has_what_was_not_said(filters: dict[str, Callable[..., Any]]) -> None:
    assert filters["fleet_database"]({}, "staging", 1) == {}
    assert filters["fleet_database"]({"zones": 2}, "staging", 3) == {
        "size": "small",
        "disk_gb": 20,
        "zones": 2,
    }


@pytest.mark.parametrize(
    ("database", "zones", "sentence"),
    [
        ("small", 3, "it is 'small': use size, disk_gb, zones"),
        ({"disk": 1}, 3, "it has 'disk': it can have size, disk_gb, zones"),
        ({"disk_gb": 19}, 3, "disk_gb is 19: a whole number from 20 to 399"),
        ({"disk_gb": 400}, 3, "disk_gb is 400: a whole number from 20 to 399"),
        ({"zones": 3}, 3, "zones is 3: a whole number from 1 to 2"),
        ({"zones": True}, 3, "zones is True: a whole number from 1 to 2"),
        ({"size": "huge"}, 3, "size is 'huge': small, medium, large"),
        ({"zones": 1}, 1, "its network has to be over two zones or three"),
    ],
)
def test_a_database_that_can_not_be(
    filters: dict[str, Callable[..., Any]], database: object, zones: int, sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        filters["fleet_database"](database, "staging", zones)
    assert str(error.value) == f"the database of staging: {sentence}"


def test_what_changes_about_a_database(filters: dict[str, Callable[..., Any]]) -> None:
    types = {"small": "db.small", "medium": "db.medium"}
    wanted = {"size": "small", "disk_gb": 20, "zones": 2}
    there = {"db_instance_class": "db.small", "allocated_storage": 20, "multi_az": True}

    def changes(wanted: dict[str, Any], there: dict[str, Any]) -> Any:
        return filters["fleet_database_changes"](wanted, there, types)

    assert changes({}, there) == []
    assert changes(wanted, {}) == ["make    database, small, 20 GB, 2 zones"]
    assert changes(wanted, there) == []
    assert changes(wanted, {**there, "db_instance_class": "db.odd", "multi_az": False}) == [
        "change  database from db.odd, 20 GB, 1 zone into small, 20 GB, 2 zones, at once"
    ]
    # What is on its way is there.
    begun = {"pending_modified_values": {"db_instance_class": "db.medium"}}
    assert changes({**wanted, "size": "medium"}, {**there, **begun}) == []
    assert len(changes(wanted, {**there, **begun})) == 1
    with pytest.raises(AnsibleFilterError, match="a disk of 30 GB, which can't shrink to 20"):
        changes(wanted, {**there, "allocated_storage": 30})
