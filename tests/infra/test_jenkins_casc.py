"""Guards the controller's configuration as code: only keys that its plugins document, and no secret in it.

Jenkins refuses to start on a key that it does not know. Which there are is said by the documentation of
Configuration as Code, matrix-auth, ssh-slaves, ssh-credentials, plain-credentials, git-client, job-dsl and mailer;
KEYS is what of that is used here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "ansible/roles/jenkins/templates/jenkins.yaml.j2"

# A mapping has these keys and no other, a list these elements; a type is a value of that type.
Shape = dict[str, Any] | list[Any] | type
KEYS: Shape = {
    "jenkins": {
        "systemMessage": str,
        "numExecutors": int,
        "mode": str,
        "slaveAgentPort": int,
        "crumbIssuer": {"standard": {"excludeClientIPFromCrumb": bool}},
        "securityRealm": {"local": {"allowsSignup": bool, "users": [{"id": str, "password": str}]}},
        "authorizationStrategy": {
            "globalMatrix": {"entries": [{"user": {"name": str, "permissions": [str]}}]}
        },
        "globalNodeProperties": [{"envVars": {"env": [{"key": str, "value": str}]}}],
        "nodes": [
            {
                "permanent": {
                    "name": str,
                    "labelString": str,
                    "mode": str,
                    "numExecutors": int,
                    "remoteFS": str,
                    "retentionStrategy": str,
                    "launcher": {
                        "ssh": {
                            "host": str,
                            "port": int,
                            "credentialsId": str,
                            "launchTimeoutSeconds": int,
                            "maxNumRetries": int,
                            "retryWaitTime": int,
                            "sshHostKeyVerificationStrategy": {
                                "manuallyProvidedKeyVerificationStrategy": {"key": str}
                            },
                        }
                    },
                }
            }
        ],
    },
    "credentials": {
        "system": {
            "domainCredentials": [
                {
                    "credentials": [
                        {
                            "basicSSHUserPrivateKey": {
                                "scope": str,
                                "id": str,
                                "description": str,
                                "username": str,
                                "privateKeySource": {"directEntry": {"privateKey": str}},
                            },
                            "file": {
                                "scope": str,
                                "id": str,
                                "fileName": str,
                                "secretBytes": str,
                            },
                        }
                    ]
                }
            ]
        }
    },
    "security": {
        "globalJobDslSecurityConfiguration": {"useScriptSecurity": bool},
        "gitHostKeyVerificationConfiguration": {
            "sshHostKeyVerificationStrategy": {
                "manuallyProvidedKeyVerificationStrategy": {"approvedHostKeys": str}
            }
        },
    },
    "unclassified": {"location": {"url": str, "adminAddress": str}, "mailer": {"smtpHost": str}},
    "jobs": [{"script": str}],
}


def unknown(value: Any, shape: Shape, at: str = "") -> Iterator[str]:
    """Yield where a document has a key that is not among those, or a value of another type."""
    if isinstance(shape, type):
        if type(value) is not shape:
            yield f"{at}: {value!r} is no {shape.__name__}"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{at}: no list"
            return
        for number, element in enumerate(value):
            yield from unknown(element, shape[0], f"{at}[{number}]")
    elif not isinstance(value, dict):
        yield f"{at}: no mapping"
    else:
        for key, inner in value.items():
            if key not in shape:
                yield f"{at}.{key}: not documented"
            else:
                yield from unknown(inner, shape[key], f"{at}.{key}")


def renderer() -> ModuleType:
    """Return the module that renders templates of roles as Ansible does."""
    spec = importlib.util.spec_from_file_location(
        "templates_of_roles", Path(__file__).with_name("test_templates.py")
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RENDERER = renderer()
plugins = RENDERER.plugins
CASES: list[dict[str, Any]] = RENDERER.cases_of(ROOT / "ansible/roles/jenkins")


@pytest.fixture(params=range(len(CASES)))
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the role is given in a case."""
    return CASES[request.param]


@pytest.fixture
def text(case: dict[str, Any]) -> str:
    """Return the configuration in a case."""
    return str(RENDERER.render(TEMPLATE, case))


def test_only_documented_keys_are_used(text: str) -> None:
    """Also with values of the types that they have."""
    assert list(unknown(yaml.safe_load(text), KEYS)) == []


def test_nobody_is_let_in_without_a_name_and_a_password(text: str, case: dict[str, Any]) -> None:
    """No sign-up, nothing for anonymous, and no executor beside the controller's own files."""
    jenkins = yaml.safe_load(text)["jenkins"]
    assert jenkins["numExecutors"] == 0
    # EXCLUSIVE would keep builds of `agent any` from running anywhere.
    assert jenkins["mode"] == "NORMAL"
    realm = jenkins["securityRealm"]["local"]
    assert realm["allowsSignup"] is False
    assert {user["id"] for user in realm["users"]} == set(case["jenkins_passwords"])
    entries = [
        entry["user"] for entry in jenkins["authorizationStrategy"]["globalMatrix"]["entries"]
    ]
    assert {"anonymous", "authenticated"} & {entry["name"] for entry in entries} == set()
    for entry in entries:
        assert all("/" in permission for permission in entry["permissions"])


def test_secrets_are_files(text: str, case: dict[str, Any]) -> None:
    """What Jenkins reads them from is here, and what is in them is not."""
    for secret in case["jenkins_passwords"].values():
        assert secret not in text
    content = yaml.safe_load(text)
    found = [user["password"] for user in content["jenkins"]["securityRealm"]["local"]["users"]]
    for credential in content["credentials"]["system"]["domainCredentials"][0]["credentials"]:
        for kind, said in credential.items():
            if kind == "file":
                found.append(said["secretBytes"])
            else:
                # No build gets the key of the agents; the repository's is there to be used by them.
                assert (
                    said["scope"]
                    == {"jenkins-agents": "SYSTEM", "beanft-repository": "GLOBAL"}[said["id"]]
                )
                found.append(said["privateKeySource"]["directEntry"]["privateKey"])
    assert all(
        value.startswith("${readFile") and "/etc/jenkins/secrets/" in value for value in found
    )


def test_agents_and_jobs_are_those_that_were_asked_for() -> None:
    """Each agent with its host key, and a job for each pipeline of the repository."""
    case = CASES[1]
    content = yaml.safe_load(str(RENDERER.render(TEMPLATE, case)))
    nodes = {node["permanent"]["name"]: node["permanent"] for node in content["jenkins"]["nodes"]}
    assert set(nodes) == {"a1", "a2"}
    for asked in case["jenkins_nodes"]:
        launcher = nodes[asked["name"]]["launcher"]["ssh"]
        strategy = launcher["sshHostKeyVerificationStrategy"]
        assert launcher["host"] == asked["host"]
        assert strategy == {"manuallyProvidedKeyVerificationStrategy": {"key": asked["host_key"]}}
    many, *others = [job["script"] for job in content["jobs"]]
    assert "noTags(false)" in many
    scheduled = sorted((ROOT / "jenkins").glob("*.Jenkinsfile"))
    assert len(others) == len(scheduled) == 2
    for path, script in zip(scheduled, others, strict=True):
        assert f"scriptPath('jenkins/{path.name}')" in script
        # By its file's clock before its file has ever been read.
        clock = re.search(r"cron\('([^']+)'\)", path.read_text(encoding="utf-8"))
        assert clock
        assert f"spec('{clock[1]}')" in script
    for script in (many, *others):
        assert script.count(case["jenkins_repository"]) == 1
        assert script.count("'beanft-repository'") == 1
        # Configuration as Code would put something else in its place.
        assert "${" not in script
    keys = content["security"]["gitHostKeyVerificationConfiguration"][
        "sshHostKeyVerificationStrategy"
    ]["manuallyProvidedKeyVerificationStrategy"]
    assert keys["approvedHostKeys"].splitlines() == case["jenkins_repository_host_keys"]
    # Without a repository there is none.
    assert "jobs" not in yaml.safe_load(str(RENDERER.render(TEMPLATE, CASES[0])))


def test_jobs_compile_with_the_groovy_of_jenkins(tmp_path: Path) -> None:
    """Each script by itself; what a job may say is known to Jenkins alone."""
    jobs = yaml.safe_load(str(RENDERER.render(TEMPLATE, CASES[1])))["jobs"]
    tmp_path.chmod(0o755)
    for number, job in enumerate(jobs):
        path = tmp_path / f"Job{number}.groovy"
        path.write_text(job["script"], encoding="utf-8")
        path.chmod(0o644)
    names = [f"Job{number}.groovy" for number in range(len(jobs))]
    compiler = (
        f"docker run --rm --network none --read-only --tmpfs /tmp -v {tmp_path}:/src:ro"
        f" --entrypoint groovyc {os.environ['BEANFT_CHECKOUT']}/lint -d /tmp"
    )
    done = subprocess.run([*compiler.split(), *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("jenkins", "remotingSecurity"), {"enabled": True}),
        (("jenkins", "numExecutors"), "0"),
        (("jenkins", "securityRealm", "local", "enableCaptcha"), False),
        (("jobs",), {"script": "x"}),
    ],
)
def test_the_check_refuses(path: tuple[str, ...], value: Any) -> None:
    """A key that nobody documents, and a value of another type, are seen."""
    content = yaml.safe_load(str(RENDERER.render(TEMPLATE, CASES[1])))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert len(list(unknown(content, KEYS))) == 1
