"""What a user of role release gets: the application runs, is on record, and comes back from failure.

The tests are one story, in this order: the release that the scenario made, one that fails, one
more, and back from that.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT, Run, apply, publish
from testinfra.host import Host

testinfra_hosts = ["m1"]
EVIDENCE = [
    "journalctl --unit docker --lines 20 --no-pager",
    "docker stack ps --no-trunc beanft",
    "docker service logs --tail 20 beanft_web",
]
SERVICES = ("api", "web", "worker")
VARIABLES = yaml.safe_load(
    (Path(__file__).parents[1] / "vars/main.yml").read_text(encoding="utf-8")
)
BUILT = json.loads((ROOT / ".local/molecule/images.json").read_text(encoding="utf-8"))


def spec(host: Host, service: str) -> dict[str, Any]:
    """Return what a service should run."""
    return dict(
        json.loads(host.check_output("docker service inspect %s", f"beanft_{service}"))[0]["Spec"]
    )


def images(host: Host) -> dict[str, str]:
    """Return the images that the services run, by digest."""
    return {name: spec(host, name)["TaskTemplate"]["ContainerSpec"]["Image"] for name in SERVICES}


def records(host: Host) -> list[dict[str, Any]]:
    """Return the release records in the Swarm's store, oldest first."""
    names = host.check_output(
        "docker config ls --quiet --filter label=beanft.release-of=beanft"
    ).split()
    configs = json.loads(host.check_output(f"docker config inspect {' '.join(names)}"))
    found = [json.loads(base64.b64decode(config["Spec"]["Data"])) for config in configs]
    return sorted(found, key=lambda record: int(record["number"]))


def running(host: Host) -> dict[str, str]:
    """Return running and wanted tasks by service, once old ones have drained."""
    deadline = time.monotonic() + 60
    while True:
        lines = host.check_output("docker stack services --format '{{.Name}} {{.Replicas}}' beanft")
        found = dict(line.split()[:2] for line in lines.splitlines())
        counts = [replicas.split("/") for replicas in found.values()]
        if all(now == wanted for now, wanted in counts) or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def served_version(host: Host) -> dict[str, str]:
    """Return what /version says, asked of each running task of web and api; they must agree."""
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/version').read().decode())"
    answers = []
    for service in ("web", "api"):
        containers = host.check_output(
            "docker ps --quiet --filter label=com.docker.swarm.service.name=%s", f"beanft_{service}"
        )
        for container in containers.split():
            answers.append(
                json.loads(host.check_output("docker exec %s python -c %s", container, code))
            )
    assert len(answers) == 3
    assert all(answer == answers[0] for answer in answers)
    return dict(answers[0])


def release(host: Host, tasks_from: str = "main", **variables: Any) -> Run:
    """Apply the role to what runs now, with something else."""
    same = {
        "release_images": images(host),
        "release_version": BUILT["web"]["version"],
        "release_revision": BUILT["web"]["revision"],
        "release_migrations": BUILT["worker"]["migrations"],
    }
    return apply(
        "release",
        target="managers[0]",
        tasks_from=tasks_from,
        variables=VARIABLES | same | variables,
    )


@pytest.fixture
def broken(host: Host) -> str:
    """Return the web image with a command that ends at once, by digest, on the machine."""
    web = f"{os.environ['BEANFT_CHECKOUT']}/web"
    return publish(host, f'FROM {web}\nCMD ["serve", "nothing"]\n', "beanft/broken")


def test_all_services_run(host: Host) -> None:
    assert running(host) == {"beanft_web": "2/2", "beanft_api": "1/1", "beanft_worker": "1/1"}


def test_tasks_serve_the_revision(host: Host) -> None:
    version = served_version(host)
    assert version["revision"] == BUILT["web"]["revision"]
    assert version["version"] == BUILT["web"]["version"]


def test_tasks_have_no_privileges(host: Host) -> None:
    for container in host.check_output("docker ps --quiet --filter name=beanft_").split():
        inspected = json.loads(host.check_output("docker inspect %s", container))[0]
        assert inspected["HostConfig"]["ReadonlyRootfs"] is True
        assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
        pid = str(inspected["State"]["Pid"])
        status = host.check_output("cat /proc/%s/status", pid).splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        assert fields["Uid"].split() == ["10001"] * 4
        assert int(fields["CapBnd"], 16) == 0


def test_secrets_are_files_and_not_variables(host: Host) -> None:
    container = host.check_output("docker ps --quiet --filter name=beanft_web").split()[0]
    mode = host.check_output(
        "docker exec %s stat --format '%%a %%u' /run/secrets/beanft_secret_key", container
    )
    assert mode == "400 10001"
    secret = host.check_output("docker exec %s cat /run/secrets/beanft_secret_key", container)
    assert len(secret) == 64
    assert secret not in host.check_output("docker inspect %s", container)
    assert secret not in json.dumps(records(host))


def test_the_release_is_on_record(host: Host) -> None:
    (record,) = records(host)
    assert record["number"] == 1
    assert record["result"] == "succeeded"
    assert record["revision"] == BUILT["web"]["revision"]
    assert record["images"] == images(host)
    assert record["by"] == "molecule"
    assert record["model"]
    assert {spec(host, name)["Labels"]["beanft.release"] for name in SERVICES} == {"1"}


def test_a_broken_image_fails_with_the_tasks_own_words(host: Host, broken: str) -> None:
    good = images(host)
    run = release(host, release_images=good | {"web": broken}, release_revision="broken")
    assert run.code != 0
    said = run.messages[-1]
    assert "release 2 (broken) failed" in said
    assert f"release 1 ({BUILT['web']['revision']}) serves again" in said
    # What the command says that there is nothing of the kind.
    assert "nothing" in said.split("Its log ends:")[1], said


def test_after_the_failure_all_serves_as_before(host: Host) -> None:
    assert running(host) == {"beanft_web": "2/2", "beanft_api": "1/1", "beanft_worker": "1/1"}
    assert images(host) == records(host)[0]["images"]
    assert served_version(host)["revision"] == BUILT["web"]["revision"]
    assert {spec(host, name)["Labels"]["beanft.release"] for name in SERVICES} == {"1"}


def test_the_failed_release_is_on_record_as_such(host: Host) -> None:
    first, failed = records(host)
    assert (first["number"], first["result"]) == (1, "succeeded")
    assert (failed["number"], failed["result"], failed["revision"]) == (2, "failed", "broken")
    assert "web" in failed["reason"]


def test_what_the_failed_release_was_is_no_target(host: Host) -> None:
    run = release(host, "rollback", release_to=2)
    assert run.code != 0
    assert "release 2 is no target" in run.messages[0]
    assert run.changed == {}


def test_the_next_release_gets_the_next_number(host: Host) -> None:
    run = release(host, release_settings={"BEANFT_ROLE_TEST": "third"}, release_revision="third")
    assert run.messages == []
    assert "release : Switch, health-gated" in run.changed["m1"]
    assert [record["number"] for record in records(host)] == [1, 2, 3]
    assert "BEANFT_ROLE_TEST=third" in spec(host, "web")["TaskTemplate"]["ContainerSpec"]["Env"]


def test_a_rollback_goes_back_and_marks_what_it_left(host: Host) -> None:
    run = release(host, "rollback")
    assert run.messages == []
    assert run.changed == {"m1": ["release : Switch back", "release : Record it"]}
    last = records(host)[-1]
    assert (last["number"], last["rolled_back"], last["result"]) == (4, 3, "succeeded")
    assert last["revision"] == BUILT["web"]["revision"]
    for name in SERVICES:
        environment = spec(host, name)["TaskTemplate"]["ContainerSpec"]["Env"]
        assert "BEANFT_ROLE_TEST=third" not in environment
    assert running(host) == {"beanft_web": "2/2", "beanft_api": "1/1", "beanft_worker": "1/1"}


def test_the_release_that_was_left_is_no_target_again(host: Host) -> None:
    run = release(host, "rollback", release_to=3)
    assert run.code != 0
    assert "release 3 is no target" in run.messages[0]


def test_the_same_again_changes_nothing(host: Host) -> None:
    assert release(host).changed == {}
    assert len(records(host)) == 4


def test_scaled_is_a_release_of_its_own_and_stays_scaled(host: Host) -> None:
    run = release(host, "scale", release_scale={"api": "2"})
    assert run.messages == []
    assert running(host)["beanft_api"] == "2/2"
    last = records(host)[-1]
    assert (last["number"], last["scale"], last["restores"]) == (5, {"api": "2"}, 4)
    assert release(host, "scale", release_scale={"api": "2"}).changed == {}
    assert release(host).changed == {}, "the next deploy keeps it"


@pytest.mark.parametrize("scale", [{"api": "0"}, {"api": "many"}, {"cars": "2"}, {}])
def test_a_scale_that_makes_no_sense_is_refused(host: Host, scale: dict[str, str]) -> None:
    run = release(host, "scale", release_scale=scale)
    assert run.code != 0
    assert "make scale web=4" in run.messages[0]
    assert run.changed == {}


def test_a_rotated_secret_reaches_the_tasks_with_the_same_images(host: Host) -> None:
    before = images(host)
    value = "rotated" * 9
    run = release(host, "rotate", release_secrets={"beanft_secret_key": value})
    assert run.messages == []
    assert images(host) == before
    deadline = time.monotonic() + 60
    found: set[str] = set()
    while found != {value} and time.monotonic() < deadline:
        containers = host.check_output("docker ps --quiet --filter name=beanft_web").split()
        found = {
            host.run("docker exec %s cat /run/secrets/beanft_secret_key", container).stdout
            for container in containers
        }
    assert found == {value}
    assert value not in json.dumps(records(host))
    # Back to the one that the other tests deploy with.
    assert release(host, "rotate").messages == []


def test_there_is_no_way_back_behind_a_migration_that_removed_something(host: Host) -> None:
    contracted = [*BUILT["worker"]["migrations"], {"revision": "9", "phase": "contract"}]
    # Something in it has to be another, or it is what runs already and no way back.
    settings = {"BEANFT_ROLE_TEST": "contracted"}
    run = release(
        host,
        release_migrations=contracted,
        release_revision="contracted",
        release_settings=settings,
    )
    assert run.messages == []
    run = release(host, "rollback", release_to=1)
    assert run.code != 0
    assert "needs what migration 9 has removed since" in run.messages[0]
    assert run.changed == {}


@pytest.mark.parametrize(
    "missing",
    [{"release_images": dict.fromkeys(SERVICES, "beanft/web:latest")}, {"release_secrets": {}}],
    ids=["digests", "secret"],
)
def test_what_can_not_be_deployed_is_refused(host: Host, missing: dict[str, Any]) -> None:
    run = release(host, **missing)
    assert run.code != 0
    assert "a release needs release_images for api, web and worker by digest" in run.messages[0]
    assert run.changed == {}
