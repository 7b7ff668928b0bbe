"""What a user of roles jenkins and jenkins_agent gets: a controller of pinned files, and machines that it can go to.

The war is a stand-in, which says so: what a real Jenkins makes of its configuration is not shown here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT, apply, machine, playbook
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = [
    "journalctl --unit jenkins --lines 20 --no-pager",
    "systemctl status jenkins --no-pager",
]
STATE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
KNOWN = "/var/tmp/known-agent"  # noqa: S108 - on a machine of the test
HOME, SECRETS = "/var/lib/jenkins", "/etc/jenkins/secrets"
ARCHIVE = "/var/backups/jenkins-of-a-test/home.tar.gz"
PASSWORD = "a-password-of-a-test"  # noqa: S105 - as its name says
ASK = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/login', timeout=10).read().decode())"
FILES = Path(__file__).resolve().parents[1] / "files"


def address(host: Host) -> str:
    """Return a machine's address."""
    return str(host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0])


def variables(version: str = "2.516.3", mirror: str | None = None, **more: Any) -> dict[str, Any]:
    """Return what the scenario gives the role, with another version or more."""
    pins = json.loads((STATE / "jenkins-pins.json").read_text())[version]
    return {
        **pins,
        "jenkins_mirror": f"http://{address(machine('m1'))}:8099/{mirror or version}",
        "jenkins_passwords": {"admin": PASSWORD},
        "jenkins_heap_mb": 64,
        "jenkins_start_seconds": 60,
        "jenkins_https_port": 8443,
        "jenkins_credential_files": {"beanft-staging": str(FILES / "make_mirror.py")},
        **more,
    }


def nodes(name: str) -> list[dict[str, Any]]:
    """Return a machine as the scenario names it to the other one's controller."""
    agent = machine(name)
    key = agent.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()
    prefix = f"{os.environ['BEANFT_CHECKOUT']}-{os.environ['BEANFT_ENVIRONMENT']}"
    return [
        {
            "name": f"{prefix}-{name}",
            "host": address(agent),
            "host_key": " ".join(key[:2]),
            "labels": ["docker"],
        }
    ]


def plugins() -> list[str]:
    """Return the names of the plugins' files, as the stand-in lists them."""
    return sorted(f"{plugin['name']}.jpi" for plugin in variables()["jenkins_plugins"])


def login(host: Host) -> dict[str, str]:
    """Return what the stand-in says of itself, by the first word of each line."""
    said = host.check_output("python3 -c %s", ASK)
    assert said.startswith("This is a stand-in for Jenkins and no Jenkins")
    return {line.split(" ", 1)[0]: line.partition(" ")[2] for line in said.splitlines()}


def test_it_serves_the_pinned_version_on_the_loopback(host: Host) -> None:
    assert login(host)["version"] == "2.516.3"
    listens = host.check_output("ss --listening --tcp --numeric --no-header sport = :8080")
    assert re.findall(r"(\S+):8080 ", listens) in (["127.0.0.1"], ["[::ffff:127.0.0.1]"])


def test_others_reach_it_by_tls_alone(host: Host) -> None:
    """By a certificate of the authority; nginx serves nothing else."""
    other = machine("m1" if host.backend.get_pytest_id() == "ssh://m2" else "m2")
    ask = (
        "import ssl, sys, urllib.request as u; c = ssl.create_default_context(cafile='/etc/beanft/jenkins/ca.pem');"
        "c.maximum_version = ssl.TLSVersion[sys.argv[2]];"
        "a = u.urlopen('https://' + sys.argv[1] + ':8443/login', timeout=10, context=c);"
        "print(a.headers['X-Jenkins'], a.read().decode().splitlines()[0])"
    )
    for version in ("TLSv1_2", "TLSv1_3"):
        said = other.check_output("python3 -c %s %s %s", ask, address(host), version)
        assert said == "2.516.3 This is a stand-in for Jenkins and no Jenkins"
    listens = host.check_output("ss --listening --tcp --numeric --no-header --processes")
    ports = {line.split()[3].rsplit(":", 1)[1] for line in listens.splitlines() if "nginx" in line}
    assert ports == {"8443"}


def nginx(host: Host) -> tuple[str, set[str]]:
    """Return nginx's main process and its workers."""
    main = host.check_output("systemctl show --property MainPID --value nginx").strip()
    # A process may end while it is looked at.
    children = host.run("grep -ls %s /proc/[0-9]*/status", f"^PPid:\t{main}$").stdout.split()
    return main, set(children)


def test_it_reads_its_configuration_and_secrets_and_others_do_not(host: Host) -> None:
    said = login(host)
    assert said["plugins"].split() == plugins()
    assert said["configuration"] == "jenkins.yaml"
    secrets = {"agent-key", "credential-beanft-staging", "password-admin"}
    assert secrets <= set(said["secrets"].split())
    for name in secrets:
        assert host.run("runuser -u nobody -- cat %s/%s", SECRETS, name).rc != 0
    assert host.file(f"{SECRETS}/password-admin").content_string == PASSWORD
    assert (
        host.file(f"{SECRETS}/credential-beanft-staging").content
        == (FILES / "make_mirror.py").read_bytes()
    )
    # They are in the files alone.
    written = host.check_output(
        "cat /etc/jenkins/casc/jenkins.yaml /etc/systemd/system/jenkins.service"
    )
    assert PASSWORD not in written
    assert PASSWORD not in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    casc = yaml.safe_load(host.file("/etc/jenkins/casc/jenkins.yaml").content_string)
    assert casc["jenkins"]["securityRealm"]["local"]["users"] == [
        {"id": "admin", "password": "${readFile:/etc/jenkins/secrets/password-admin}"}
    ]


def test_it_may_do_little(host: Host) -> None:
    pid = host.check_output("systemctl show --property MainPID --value jenkins").strip()
    fields = dict(
        line.split(":\t", 1)
        for line in host.check_output("cat /proc/%s/status", pid).splitlines()
        if ":\t" in line
    )
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert host.check_output("systemctl show --property MemoryMax --value jenkins") == str(
        (64 + 768) * 2**20
    )
    # Its home and nothing else.
    touch = "nsenter --target %s --mount -- touch %s/test-of-rights"
    assert host.run(touch, pid, HOME).rc == 0
    for place in ("/opt/jenkins", "/etc/jenkins/secrets", "/var/lib"):
        assert "Read-only" in host.run(touch, pid, place).stderr
    host.check_output("rm %s/test-of-rights", HOME)


def test_it_is_there_after_a_boot_and_after_it_was_killed(host: Host) -> None:
    assert host.service("jenkins").is_enabled
    before = host.check_output("systemctl show --property MainPID --value jenkins").strip()
    host.check_output("systemctl kill --signal KILL jenkins")
    login_of_another = (
        f'until test "$(systemctl show --property MainPID --value jenkins)" != {before}'
        f" && python3 -c {shlex.quote(ASK)} >/dev/null 2>&1; do sleep 0.5; done"
    )
    assert host.run("timeout 60 bash -c %s", login_of_another).rc == 0


def test_the_controller_gets_to_its_agent_whose_host_key_it_knows(host: Host) -> None:
    agent = machine("m1" if host.backend.get_pytest_id() == "ssh://m2" else "m2")
    key = agent.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string
    where = address(agent)
    known = f"{where} {' '.join(key.split()[:2])}"
    ssh = (
        "runuser -u jenkins -- ssh -i %s/agent-key -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%s"
        " -o BatchMode=yes jenkins-agent@%s %s"
    )
    host.check_output("printf '%%s\\n' %s > %s; chmod 0644 %s", known, KNOWN, KNOWN)
    try:
        said = host.check_output(
            ssh,
            SECRETS,
            KNOWN,
            where,
            "java -version 2>&1; git --version; id -un; pwd",
        )
        assert re.search(r"openjdk version \"(17|21)\.", said)
        assert "git version" in said
        assert said.splitlines()[-2:] == ["jenkins-agent", "/var/lib/jenkins-agent"]
        # Another machine at its address is no agent.
        other = known.replace(
            known.split()[2],
            host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()[1],
        )
        host.check_output("printf '%%s\\n' %s > %s", other, KNOWN)
        # Turned round: a 255 of this ssh would count as one of testinfra's own.
        refused = host.run(f"! {ssh}", SECRETS, KNOWN, where, "true")
        assert refused.rc == 0
        assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    finally:
        host.check_output("rm %s", KNOWN)


def test_playbook_makes_the_others_of_the_group_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the host keys that are on the machines: what the scenario says by hand is what it finds out."""
    prefix = f"{os.environ['BEANFT_CHECKOUT']}-{os.environ['BEANFT_ENVIRONMENT']}"
    # As bin/play runs it: what lies beside the playbook counts for roles, too.
    monkeypatch.setenv("ANSIBLE_PLAYBOOK_VARS_ROOT", "top")
    group = tmp_path / "jenkins.yml"
    names = {f"{prefix}-m1": None, f"{prefix}-m2": None}
    group.write_text(yaml.safe_dump({"jenkins": {"hosts": names}}))
    run = playbook(
        ROOT / "ansible/playbooks/jenkins.yml",
        "--inventory",
        str(group),
        "--extra-vars",
        json.dumps(variables(jenkins_agent_groups=[])),
        # Another scenario is about that role, and it takes a minute.
        "--skip-tags",
        "docker",
    )
    assert run.messages == []
    assert run.changed == {}
    casc = yaml.safe_load(machine("m1").file("/etc/jenkins/casc/jenkins.yaml").content_string)
    (node,) = [entry["permanent"] for entry in casc["jenkins"]["nodes"]]
    (asked,) = nodes("m2")
    launcher = node["launcher"]["ssh"]
    assert (node["name"], launcher["host"]) == (asked["name"], asked["host"])
    assert launcher["sshHostKeyVerificationStrategy"] == {
        "manuallyProvidedKeyVerificationStrategy": {"key": asked["host_key"]}
    }


def test_upgrade_and_downgrade_are_a_version_and_a_certificate_needs_no_restart() -> None:
    target = machine("m2")
    certificate = "/etc/beanft/jenkins/certificate.pem"
    main, workers = nginx(target)
    target.check_output("cp --preserve %s /root/before.pem", certificate)
    try:
        target.check_output("echo 'the same, in another file' >> %s", certificate)
        run = apply(
            "jenkins", target="*-m2", variables=variables("2.528.1", jenkins_nodes=nodes("m1"))
        )
        assert run.messages == []
        assert run.changed["m2"] == [
            "jenkins : War and plugins",
            "jenkins : Unit",
            "jenkins : Site",
            "jenkins : Restart Jenkins",
            "jenkins : Reload nginx",
        ]
        assert login(target)["version"] == "2.528.1"
        assert b"2.528.1" in target.file(f"{HOME}/plugins/git.jpi").content
        after = nginx(target)
        assert after[0] == main
        assert after[1] - workers
    finally:
        target.check_output("mv /root/before.pem %s", certificate)
        run = apply("jenkins", target="*-m2", variables=variables(jenkins_nodes=nodes("m1")))
    assert run.messages == []
    assert login(target)["version"] == "2.516.3"
    assert b"2.516.3" in target.file(f"{HOME}/plugins/git.jpi").content


def test_a_changed_byte_is_refused_and_what_runs_goes_on() -> None:
    target = machine("m1")
    before = login(target)
    run = apply("jenkins", target="*-m1", variables=variables("2.528.1", mirror="spoiled"))
    assert run.code != 0
    assert run.changed == {}
    assert "plugin git 2.528.1 from http://" in run.messages[0]
    assert "is refused, and nothing is changed" in run.messages[0]
    assert login(target) == before
    assert not target.file("/opt/jenkins/jenkins-2.528.1.war").exists


def test_home_comes_back_from_its_archive() -> None:
    target = machine("m2")
    target.check_output("runuser -u jenkins -- bash -c 'echo kept > %s/a-job'", HOME)
    where = {"jenkins_archive": ARCHIVE}
    try:
        assert apply("jenkins", target="*-m2", tasks_from="backup", variables=where).messages == []
        listed = target.check_output("tar -tzf %s", ARCHIVE)
        assert "a-job" in listed
        assert "workspace" not in listed
        assert target.file(ARCHIVE).mode == 0o600
        target.check_output("rm %s/a-job", HOME)
        assert apply("jenkins", target="*-m2", tasks_from="restore", variables=where).messages == []
        restored = target.file(f"{HOME}/a-job")
        assert (restored.content_string, restored.user) == ("kept\n", "jenkins")
        # And it is the controller of before, but for what was lost.
        answers = f"until python3 -c {shlex.quote(ASK)} >/dev/null 2>&1; do sleep 0.5; done"
        target.check_output("timeout 60 bash -c %s", answers)
        assert login(target)["plugins"].split() == plugins()
        home = target.file(HOME)
        assert (home.user, home.group, home.mode) == ("jenkins", "jenkins", 0o750)
    finally:
        target.check_output("rm -rf %s/a-job %s.before_* %s", HOME, HOME, str(Path(ARCHIVE).parent))


def test_what_would_not_work_is_refused() -> None:
    """All that is wrong is said at once."""
    wrong: dict[str, Any] = {
        "jenkins_version": "",
        "jenkins_war_sha256": "abc",
        "jenkins_plugins": [],
        "jenkins_mirror": "ftp://mirror.example.org",
        "jenkins_passwords": {"anna": "short"},
        "jenkins_permissions": {"admin": ["Overall/Administer"], "anonymous": ["Overall/Read"]},
        "jenkins_nodes": [{"name": "a", "host": "192.0.2.1", "host_key": "none"}],
        "jenkins_credential_files": {"beanft-staging": "/absent"},
        "jenkins_url": "http://jenkins.example.org/",
        "jenkins_port": 8443,
        "jenkins_repository": "https://git.example.org/x'); evil('",
    }
    run = apply("jenkins", target="*-m1", variables=variables(**wrong))
    assert run.code != 0
    assert run.changed == {}
    for words in (
        "jenkins_version is no version as 2.516.3",
        "jenkins_war_sha256 is no SHA-256",
        "jenkins_plugins lacks configuration-as-code, ",
        "jenkins_mirror is no URL",
        "anna has a password of less than 16 characters",
        "jenkins_passwords has nobody with a password who may administer",
        "anonymous may do something",
        "a in jenkins_nodes has no host key",
        "beanft-staging in jenkins_credential_files names a file",
        "jenkins_url does not begin with https://",
        "jenkins_port and jenkins_https_port are to be two ports",
        "jenkins_repository is no URL",
    ):
        assert words in run.messages[0]


@pytest.mark.parametrize(
    ("role", "wrong", "words"),
    [
        (
            "jenkins",
            {"jenkins_key_file": "/absent.pem"},
            "/absent.pem (jenkins_certificate_file, jenkins_key_file) not found",
        ),
        (
            "jenkins_agent",
            {"jenkins_agent_public_key": "none"},
            "jenkins_agent_public_key is 'none': give the controller's public key",
        ),
    ],
)
def test_what_is_missing_is_named(role: str, wrong: dict[str, Any], words: str) -> None:
    run = apply(role, target="*-m1", variables=variables(**wrong))
    assert run.code != 0
    assert run.changed == {}
    assert words in run.messages[0]
