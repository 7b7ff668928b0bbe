"""swarm_release: which record is current, which were left, and which a rollback may go to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Record = dict[str, Any]


def record(number: int, result: str = "succeeded", **values: Any) -> Record:
    return {"number": number, "result": result, "revision": f"r{number}", **values}


def stored(*records: Record) -> str:
    """Records as `docker config inspect` shows them."""
    return json.dumps(
        [
            {"ID": "x", "Spec": {"Data": base64.b64encode(json.dumps(item).encode()).decode()}}
            for item in records
        ]
    )


# What is current, what was left, and where a rollback may go.
CASES = {
    "none": ([], None, set(), set()),
    "first": ([record(1)], 1, set(), set()),
    "three": ([record(3), record(1), record(2)], 3, set(), {1, 2}),
    "a failed one is neither": ([record(1), record(2, "failed")], 1, set(), set()),
    "only failed ones": ([record(1, "failed")], None, set(), set()),
    "rolled back": (
        [record(1), record(2), record(3), record(4, rolled_back=3, restores=2)],
        4,
        {3},
        {1},
    ),
    "rolled back twice": (
        [
            *(record(number) for number in (1, 2, 3)),
            record(4, rolled_back=3, restores=2),
            record(5, rolled_back=4, restores=1),
        ],
        5,
        {2, 3, 4},
        set(),
    ),
    "deployed again after it": (
        [record(1), record(2), record(3, rolled_back=2, restores=1), record(4)],
        4,
        {2},
        {1, 3},
    ),
    "back to a rollback": (
        [
            record(1),
            record(2),
            record(3, rolled_back=2, restores=1),
            record(4),
            record(5, rolled_back=4, restores=3),
        ],
        5,
        {2, 4},
        set(),
    ),
    "records without what they restore": (
        [record(1), record(2), record(3, rolled_back=2)],
        3,
        {2},
        {1},
    ),
    "more than ten": ([record(number) for number in range(12, 0, -1)], 12, set(), {*range(1, 12)}),
}


@pytest.mark.parametrize("case", CASES)
def test_marks(plugin: Callable[[str], ModuleType], case: str) -> None:
    records, current, left, targets = CASES[case]
    found = plugin("modules/swarm_release").marked(records)
    assert [item["number"] for item in found] == sorted(item["number"] for item in records)
    assert [item["number"] for item in found if item["current"]] == ([current] if current else [])
    assert {item["number"] for item in found if item["is_rolled_back"]} == left
    assert {item["number"] for item in found if item["is_target"]} == targets


def test_images_of_the_current_one_and_of_those_to_go_back_to_stay(
    plugin: Callable[[str], ModuleType],
) -> None:
    def images(*names: str) -> dict[str, Any]:
        return {"images": {name[:3]: name for name in names}}

    records = [
        record(1) | images("web@1", "api@1"),
        record(2) | images("web@2", "api@1"),
        record(3, result="failed") | images("web@3"),
        record(4) | images("web@4", "api@4"),
        record(5) | images("web@5", "api@4"),
        record(6, rolled_back=5, restores=4) | images("web@4", "api@4"),
    ]
    releases = plugin("modules/swarm_release").marked(records)
    kept = plugin("filter/releases").release_images
    assert kept(releases, 3) == ["api@1", "api@4", "web@1", "web@2", "web@4"]
    assert kept(releases, 1) == ["api@1", "api@4", "web@2", "web@4"]
    assert kept(releases, 0) == ["api@4", "web@4"]
    assert kept([], 3) == []


def test_no_records(docker: Any, run: Any) -> None:
    docker.says(config_ls="")
    result = run("swarm_release", stack="s")
    assert (result["releases"], result["current"], result["next"]) == ([], {}, 1)
    assert not result["changed"]
    assert [call["command"] for call in docker.calls()] == [
        "config ls --quiet --filter label=beanft.release-of=s"
    ]


def test_records_are_read_in_order(docker: Any, run: Any) -> None:
    docker.says(config_ls="a\nb\n", config_inspect=stored(record(10), record(9)))
    result = run("swarm_release", stack="s")
    assert [item["number"] for item in result["releases"]] == [9, 10]
    assert result["current"]["revision"] == "r10"
    assert result["next"] == 11


def test_a_record_is_written_under_the_next_number(docker: Any, run: Any) -> None:
    docker.says(
        {"config inspect": stored(record(1))},
        {"config inspect": stored(record(1), record(2))},
        advance="config ls",
        config_ls="a\nb\n",
        config_create="id\n",
    )
    result = run("swarm_release", stack="s", record={"result": "succeeded", "number": 99})
    assert result["changed"]
    assert (result["number"], result["next"], result["current"]["number"]) == (2, 3, 2)
    call = docker.calls("config create")[0]
    assert call["command"] == (
        "config create --label beanft.release-of=s --label beanft=release s-release-00002 -"
    )
    assert json.loads(call["stdin"]) == {"result": "succeeded", "number": 2}


def test_check_mode_writes_nothing(docker: Any, run: Any) -> None:
    docker.says(config_ls="a\n", config_inspect=stored(record(1)))
    result = run("swarm_release", stack="s", record={"result": "succeeded"}, check=True)
    assert result["changed"]
    assert (result["number"], result["next"], result["current"]["number"]) == (2, 2, 1)
    assert not docker.calls("config create")


def test_two_writers_cannot_take_one_number(docker: Any, run: Any) -> None:
    docker.says(
        config_ls="a\n",
        config_inspect=stored(record(1)),
        config_create={"err": "config with name s-release-00002 already exists\n", "code": 1},
    )
    result = run("swarm_release", stack="s", record={"result": "succeeded"})
    assert result["msg"] == (
        "the release records of s could not be used: config with name s-release-00002 already exists"
    )


def test_a_machine_that_is_no_manager(docker: Any, run: Any) -> None:
    docker.says(config_ls={"err": "This node is not a swarm manager.\n", "code": 1})
    assert "not a swarm manager" in run("swarm_release", stack="s")["msg"]
