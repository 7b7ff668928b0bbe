"""Maintenance: a page and no request lost otherwise, past a restart of the entry, with exceptions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from entry_helpers import ask, container, settles_on
from helpers import ROOT, Run, apply, entry, playbook
from load import Load
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = ["docker service logs --tail 20 beanft-edge_haproxy"]
MESSAGE = 'Back at <nine> & "not" before; 100 %'


def maintenance(on: str, message: str = "") -> Run:
    """Run the playbook as `make maintenance` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ON", on)
        patch.setenv("MESSAGE", message)
        return playbook(ROOT / "ansible/playbooks/maintenance.yml")


@pytest.fixture
def maintained(web: str) -> Iterator[None]:
    """Switch maintenance on, and off afterwards."""
    assert maintenance("1", MESSAGE).messages == []
    yield
    assert maintenance("0").messages == []
    assert ask("/")[0] == 200


def test_a_page_for_people_and_a_problem_for_programs(maintained: None) -> None:
    status, page = ask("/some/page")
    assert status == 503
    assert "<p>Back at &lt;nine&gt; &amp; &quot;not&quot; before; 100 %</p>" in page
    # Nothing that would have to be fetched from where there is maintenance.
    assert "href=" not in page
    assert "src=" not in page
    assert "url(" not in page
    status, problem = ask("/api/v1/models")
    assert status == 503
    assert json.loads(problem)["detail"] == MESSAGE
    assert ask("/metrics")[0] == 404


def test_it_is_known_from_outside_and_says_when_to_come_back(maintained: None, host: Host) -> None:
    code = (
        "import json, urllib.error, urllib.request\n"
        "try: urllib.request.urlopen('http://127.0.0.1/')\n"
        "except urllib.error.HTTPError as it: print(json.dumps([(k.lower(), v) for k, v in it.headers.items()]))"
    )
    headers = dict(json.loads(host.check_output("python3 -c %s", code)))
    assert headers["retry-after"] == "120"
    assert headers["x-maintenance"] == "on"
    assert headers["cache-control"] == "no-store"


def test_again_changes_nothing_and_another_message_does(maintained: None, host: Host) -> None:
    before = container(host)
    assert maintenance("1", MESSAGE).changed == {}
    assert maintenance("1", "Soon").changed == {"m1": ["Switch maintenance on"]}
    assert "<p>Soon</p>" in ask("/")[1]
    assert container(host) == before


def test_an_entry_that_is_killed_comes_back_with_the_page(maintained: None, host: Host) -> None:
    before = container(host)
    host.check_output("docker kill %s", before)
    assert settles_on(503) == 503
    assert container(host) != before
    assert "&lt;nine&gt;" in ask("/")[1]


def test_on_and_off_cut_no_request(web: str) -> None:
    with Load(entry(), accepted=(200, 503)) as load:
        for _ in range(2):
            assert maintenance("1").code == 0
            assert ask("/")[0] == 503
            assert maintenance("0").code == 0
            assert ask("/")[0] == 200
    assert load.failures == []


def test_some_addresses_are_served(maintained: None, host: Host, image: str) -> None:
    assert ask("/")[0] == 503
    # As the entry sees this control machine: the last hop before the machine.
    gateway = host.check_output("ip route show default").split()[2]
    bypass = {"edge_image": image, "edge_maintenance_bypass": ["203.0.113.0/24", gateway]}
    try:
        assert apply("edge", target="managers[0]", variables=bypass).messages == []
        assert ask("/")[0] == 200
        # From the machine itself it is another address.
        inside = host.run(
            "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1/')\""
        )
        assert "HTTP Error 503" in inside.stderr
    finally:
        assert apply("edge", target="managers[0]", variables={"edge_image": image}).code == 0


@pytest.mark.parametrize("on", ["", "2", "yes"])
def test_anything_but_on_and_off_is_refused(on: str) -> None:
    run = maintenance(on)
    assert run.code != 0
    assert run.changed == {}
    (message,) = run.messages
    assert message.startswith(f"ON is '{on}': say 'make maintenance ON=1")
    assert os.linesep not in message
