"""make logs REQUEST=: lines of one request, from everywhere, in order of time."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

ID = "3f0c7f9e-8a1d-4d3b-9a51-0a4a6a4f2c11"
SAID = f"""\
beanft_web 2026-11-29T01:00:02.000000000Z {{"request_id":"{ID}","event":"job_queued"}}
beanft_worker 2026-11-29T01:00:03.000000000Z {{"event":"job_started","request_id":"{ID}"}}
beanft_api 2026-11-29T01:00:02.500000000Z {{"request_id":"{ID}0","event":"request"}}
beanft-edge_haproxy 2026-11-29T01:00:02.100000000Z 10.0.0.1:4 [x] entry web/web1 0/0 {{{ID}}} "POST / HTTP/1.1"
"""


@pytest.fixture
def tool(program: Callable[[str], ModuleType]) -> ModuleType:
    return program("logs_of_request")


def test_lines_are_the_requests_own_and_in_order(tool: ModuleType) -> None:
    other = f"beanft-edge_haproxy 2026-11-29T01:00:01.000000000Z {{{ID}}} earlier"
    lines = sorted(tool.lines_of("m1", ID, SAID) + tool.lines_of("m2", ID, other))
    assert [(line.machine, line.service) for line in lines] == [
        ("m2", "edge"),
        ("m1", "web"),
        ("m1", "edge"),
        ("m1", "worker"),
    ]
    assert lines[3].text == f'{{"event":"job_started","request_id":"{ID}"}}'


def test_the_inventory_is_asked_which_machines_there_are(tool: ModuleType) -> None:
    assert {"read", "ssh"} <= set(tool.inventory())


@pytest.mark.parametrize("said", [[], ["short"], ["a; rm -rf /"], ["-" * 65], ["abcdefgh", "x"]])
def test_what_is_no_id_is_refused(said: list[str], tool: ModuleType) -> None:
    with pytest.raises(SystemExit, match="is no request's id: it is 8 to 64 letters"):
        tool.main(said)
