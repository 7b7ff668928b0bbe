"""Another certificate: on every entry, in time, and without a lost request or a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from entry_helpers import container, running_image
from helpers import Run, apply, machine, secure_entry
from load import Load
from testinfra.host import Host
from tls_helpers import MACHINES, issuer, serials, served, tls

testinfra_hosts = ["m1"]
EVIDENCE = [
    "journalctl --unit 'beanft-tls*' --lines 30 --no-pager",
    "journalctl --unit pebble-test --lines 30 --no-pager",
    "docker service logs --tail 20 beanft-edge_haproxy",
]
# More than a certificate of this server has: it is always about to expire.
SOON = {"tls_renew_days": 100}


@pytest.fixture(scope="module")
def about_to_expire(web: str) -> Iterator[Run]:
    """From the first test that needs it on, count every certificate as about to expire, which gets another one."""
    yield tls(**SOON)
    assert tls().messages == []


def entries() -> list[str]:
    """Return the containers of the entries."""
    return [container(machine(name)) for name in MACHINES]


def test_the_timer_is_there_on_one_machine() -> None:
    listed = [
        machine(name).check_output(
            "systemctl list-timers --no-pager --plain beanft-tls-renew.timer"
        )
        for name in MACHINES
    ]
    assert ["beanft-tls-renew.service" in it for it in listed] == [True, False, False]
    assert machine("m1").service("beanft-tls-renew.timer").is_enabled


def test_a_certificate_with_time_left_stays(host: Host) -> None:
    before = serials()
    said = host.check_output("beanft-tls renew")
    assert said.startswith("served: ")
    assert "issued" not in said
    assert serials() == before


def test_a_server_that_is_down_costs_nothing_but_a_failed_unit(host: Host, web: str) -> None:
    before = serials()
    host.check_output('sed -i \'s/"renew_days": 30/"renew_days": 100/\' /etc/beanft/tls.json')
    host.check_output("sed -i 's/:14000/:14009/' /etc/beanft/tls.json")
    try:
        # Another server, so the certificate that there is does not do.
        assert host.run("beanft-tls renew").rc == 1
        host.check_output("sed -i 's/:14000/:14009/' /var/lib/beanft-tls/issued.json")
        assert host.run("systemctl start beanft-tls-renew.service").rc != 0
        said = host.check_output("journalctl --unit beanft-tls-renew --lines 5 --output cat")
        assert "no certificate from https://localhost:14009/dir" in said
        assert "The certificate before is served on" in said
        # By which a deploy tells it from one that leaves visitors without a certificate.
        assert host.run("beanft-tls renew").rc == 3
        assert serials() == before
    finally:
        host.check_output("systemctl reset-failed beanft-tls-renew.service")
        host.check_output("sed -i 's/:14009/:14000/' /var/lib/beanft-tls/issued.json")
        assert tls().messages == []


def test_a_machine_that_has_another_certificate_gets_the_right_one(host: Host) -> None:
    wanted = served("m1").serial_number
    other = machine("m2")
    other.check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=other "
        "-keyout /root/other.key -out /root/other.crt"
    )
    # As a machine that was away: its own unit hands it to the entry.
    other.check_output(
        "cat /root/other.crt /root/other.key >/root/other.pem && chown root:10002 /root/other.pem "
        "&& chmod 0640 /root/other.pem && mv /root/other.pem /etc/beanft/tls/entry.pem "
        "&& rm /root/other.key /root/other.crt"
    )
    deadline = time.monotonic() + 30
    while "CN=other" not in issuer("m2") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "CN=other" in issuer("m2")
    said = host.check_output("beanft-tls renew")
    assert "issued" not in said
    assert "carried: to m2" in said
    assert served("m2").serial_number == wanted


def test_another_configuration_of_the_entry_loses_no_request_either(
    host: Host, web: str, root: str
) -> None:
    image, before = running_image(host), entries()
    variables = {"edge_image": image, "edge_tls": True}
    number = int(time.time()) % 4000 + 100
    try:
        with (
            Load(secure_entry("m1"), verify=root) as one,
            Load(secure_entry("m2"), verify=root) as other,
        ):
            run = apply(
                "edge", target="managers[0]", variables=variables | {"edge_max_connections": number}
            )
            assert run.messages == []
        assert not set(entries()) & set(before)
        assert (one.failures, other.failures) == ([], [])
    finally:
        assert apply("edge", target="managers[0]", variables=variables).messages == []
    for name in MACHINES:
        rules = machine(name).check_output("iptables -t nat -S PREROUTING; iptables -S DOCKER-USER")
        assert "beanft" not in rules


def test_the_role_renews_too(about_to_expire: Run) -> None:
    assert about_to_expire.messages == []
    assert about_to_expire.changed == {
        "m1": ["tls : Settings", "tls : Certificate of the ACME server"],
        "m2": ["tls : Settings"],
        "m3": ["tls : Settings"],
    }


def test_renewed_by_the_unit_under_load_no_request_is_lost(
    about_to_expire: Run, host: Host, root: str
) -> None:
    before, running, key = serials(), entries(), served("m1").public_key()
    with (
        Load(secure_entry("m1"), verify=root) as one,
        Load(secure_entry("m2"), verify=root) as other,
    ):
        time.sleep(2)
        # What the timer starts.
        host.check_output("systemctl start beanft-tls-renew.service")
        after = serials()
        time.sleep(4)
    assert len(after) == 1
    assert after != before
    assert served("m1").public_key() != key
    assert "Pebble Intermediate CA" in issuer("m2")
    assert entries() == running
    assert (one.failures, other.failures) == ([], [])
    assert one.requests > 100
    assert other.requests > 100
    print(
        f"{one.requests + other.requests} requests while the certificate changed on their entries, 0 failed; "
        f"longest gap {max(one.longest_gap, other.longest_gap):.2f} s"
    )


def test_an_entry_that_starts_serves_the_newest_certificate(about_to_expire: Run) -> None:
    other = machine("m2")
    before, wanted = container(other), serials()
    other.check_output("docker kill %s", before)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = container(other)
        if now and now != before and "healthy" in other.check_output("docker ps --no-trunc"):
            break
        time.sleep(0.5)
    assert serials() == wanted
