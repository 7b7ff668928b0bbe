"""Group `data`: which machine is in it, who may ask it, and that there can be one such machine only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.plugins.loader import init_plugin_loader  # type: ignore[import-untyped]
from ansible.template import Templar  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"


def rendered(path: Path, name: str, **variables: Any) -> Any:
    """Return a variable of a file, rendered with others."""
    loader = DataLoader()
    content = loader.load_from_file(str(path), trusted_as_template=True)
    templar = Templar(loader=loader, variables={**content, **variables})
    return templar.template(content[name])


@pytest.mark.parametrize(
    ("data", "nodes", "monitoring", "first"),
    [
        (False, 1, False, "managers,edge"),
        (False, 5, True, "managers,edge,monitoring"),
        (True, 1, False, "managers,edge"),
        (True, 3, False, "managers,edge,data"),
        (True, 5, True, "managers,edge,data,monitoring"),
    ],
)
def test_the_first_of_three_local_machines_has_the_data(
    data: bool, nodes: int, monitoring: bool, first: str
) -> None:
    groups = rendered(
        ANSIBLE / "roles/cloud_local/vars/main.yml",
        "_cloud_local_groups",
        cloud_local_data=data,
        cloud_local_monitoring=monitoring,
        cloud_local_jenkins=False,
        cloud_local_nodes=nodes,
        _cloud_local_existing={},
    )
    assert groups == [first, "managers,edge", "managers,edge", "workers", "workers"]


def facts(address: str, **interfaces: Any) -> dict[str, Any]:
    """Return a machine's variables, as far as group data needs them."""
    return {"beanft_address": address, "ansible_facts": interfaces}


def clients(groups: dict[str, list[str]], **hostvars: Any) -> Any:
    """Return the networks that may ask the data's machine."""
    path = ANSIBLE / "playbooks/vars/data.yml"
    return rendered(path, "data_clients", groups=groups, hostvars=hostvars)


def test_the_swarms_machines_may_ask_and_its_tasks_beside_the_data() -> None:
    bridge = {"ipv4": {"address": "172.18.0.1", "network": "172.18.0.0", "prefix": "16"}}
    found = clients(
        {"managers": ["m1", "m2"], "workers": ["m4"], "data": ["m1"], "edge": ["m1", "m9"]},
        m1=facts("192.0.2.1", docker_gwbridge=bridge),
        m2=facts("192.0.2.2"),
        m4=facts("192.0.2.4"),
    )
    assert found == ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.4/32", "172.18.0.0/16"]


def test_a_machine_outside_the_swarm_has_no_tasks() -> None:
    found = clients(
        {"managers": ["m1"], "data": ["m7"]}, m1=facts("192.0.2.1"), m7=facts("192.0.2.7")
    )
    assert found == ["192.0.2.1/32"]


def run_machines(tmp_path: Path, *data: str) -> subprocess.CompletedProcess[str]:
    """Run what every play begins with, on an inventory."""
    groups = {"managers": ["m1"], "data": data}
    inventory = tmp_path / "inventory.json"
    hosts = {name: {"hosts": {key: {} for key in members}} for name, members in groups.items()}
    inventory.write_text(json.dumps({"all": {"children": hosts}}), encoding="utf-8")
    return subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            inventory,
            ANSIBLE / "playbooks/machines.yml",
        ],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
            "BEANFT_PROVIDER": "local",
            "BEANFT_ENVIRONMENT": "local",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_machine_with_data_is_refused(tmp_path: Path) -> None:
    done = run_machines(tmp_path, "m1", "m3")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "2 machines in the group 'data' (m1, m3), and there can be one" in said


@pytest.mark.parametrize("data", [(), ("m1",)], ids=["none", "one"])
def test_none_or_one_is_good(tmp_path: Path, data: tuple[str, ...]) -> None:
    done = run_machines(tmp_path, *data)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("machine", "saved"),
    [
        ("m1", {"backup_stack": "beanft", "backup_volume": "beanft-data", "backup_database": ""}),
        ("m4", {"backup_stack": "", "backup_volume": "", "backup_database": "beanft"}),
    ],
)
def test_what_is_saved_from_where(machine: str, saved: dict[str, str]) -> None:
    groups = {"managers": ["m2", "m1"], "data": ["m4"]}
    path = ANSIBLE / "playbooks/vars/backup.yml"
    found = {
        name: rendered(
            path,
            name,
            groups=groups,
            hostvars={"localhost": {}},
            inventory_hostname=machine,
            beanft_state="/nowhere",
        )
        for name in saved
    }
    assert found == saved


MANAGED = {"host": "db.example", "port": 5432, "user": "postgres"}
INSIDE, OUTSIDE = "/run/secrets/beanft_inside_ca", "/run/secrets/beanft_database_ca"


# The loader says so where another test has begun it.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("cloud", "managed"), [("local", False), ("aws", False), ("aws", True), ("gcp", True)]
)
def test_where_a_managed_database_is_known_all_use_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: str, managed: bool
) -> None:
    monkeypatch.setenv("BEANFT_PROVIDER", cloud)
    # For a lookup by its full name.
    init_plugin_loader()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("authorities", encoding="utf-8")
    given: dict[str, Any] = {
        "groups": {"managers": ["m1"], "data": ["m4"]},
        "hostvars": {
            "localhost": {f"cloud_{cloud}_database_server": MANAGED} if managed else {},
            "m4": {"beanft_address": "192.0.2.4"},
        },
        "inventory_hostname": "m4",
        "beanft_database_ca": str(bundle),
        "data_database_master_password": "master",
        "data_database_password": "one",
        "data_queue_password": "two",
        "inside_tls_ca_certificate": "inside",
    }
    if cloud != "local":
        fleet = ANSIBLE / "inventories/cloud_fleet.yml"
        server = rendered(fleet, "beanft_database_server", **given)
        given["beanft_database_server"] = server
    playbooks = ANSIBLE / "playbooks/vars"
    stores = rendered(playbooks / "stores.yml", "release_stores", **given)
    server = rendered(playbooks / "data.yml", "postgresql_server", **given)
    backup = rendered(playbooks / "backup.yml", "backup_server", **given)
    secrets = {
        "beanft_database_password": "one",
        "beanft_queue_password": "two",
        "beanft_inside_ca": "inside",
    }
    if managed:
        assert stores["database_url"] == "postgresql+psycopg://beanft@db.example:5432/beanft"
        assert stores["secrets"] == {**secrets, "beanft_database_ca": "authorities"}
        known = {"host": "db.example", "user": "postgres", "password": "master"}
        assert server == {**known, "authorities": "authorities"}
        assert backup == known
    else:
        assert stores["database_url"] == "postgresql+psycopg://beanft@192.0.2.4/beanft"
        assert (stores["secrets"], server, backup) == (secrets, {}, {})
    # The queue is where it was.
    assert stores["queue_url"] == "valkeys://beanft@192.0.2.4/0"
    path = ANSIBLE / "roles/release/vars/main.yml"
    authority = rendered(path, "_release_database_ca", release_stores=stores)
    assert authority == (OUTSIDE if managed else INSIDE)


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        ("", OUTSIDE, ""),
        ("sqlite", OUTSIDE, ""),
        (INSIDE, INSIDE, ""),
        (OUTSIDE, OUTSIDE, ""),
        (INSIDE, OUTSIDE, "are in the PostgreSQL of group data, and beanft_databases names a"),
        (OUTSIDE, INSIDE, "are in a managed PostgreSQL, and beanft_databases names none"),
    ],
)
def test_nothing_is_deployed_to_another_postgresql_than_where_the_data_are(
    before: str, now: str, sentence: str
) -> None:
    (task,) = DataLoader().load_from_file(
        str(ANSIBLE / "roles/release/tasks/same_database.yml"), trusted_as_template=True
    )
    environment = {
        "BEANFT_DATABASE_URL": "postgresql+psycopg://beanft@192.0.2.4/beanft",
        "BEANFT_DATABASE_CA": before,
    }
    recorded = {"stack": {"services": {"worker": {"environment": environment}}}}
    name = "beanft_database_ca" if now == OUTSIDE else "beanft_inside_ca"
    role = DataLoader().load_from_file(
        str(ANSIBLE / "roles/release/vars/main.yml"), trusted_as_template=True
    )
    variables = {
        **role,
        **task["vars"],
        "release_before": {"current": {} if before in ("", "sqlite") else recorded},
        "release_stores": {"database_url": "postgresql+psycopg://", "secrets": {name: ""}},
    }
    templar = Templar(loader=DataLoader(), variables=variables)
    holds = templar.evaluate_conditional(task["ansible.builtin.assert"]["that"])
    assert holds == (not sentence)
    if sentence:
        said = templar.template(task["ansible.builtin.assert"]["fail_msg"])
        assert sentence in " ".join(said.split())
