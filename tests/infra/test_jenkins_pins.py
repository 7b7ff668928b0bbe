"""`bin/jenkins-pins` on small mirrors: pins that role jenkins takes, or what is wrong with the mirror."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def archive(path: Path, **attributes: str) -> None:
    """Write an archive with a manifest, folded as Java folds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, value in {"Manifest-Version": "1.0", **attributes}.items():
        line = f"{name.replace('_', '-')}: {value}"
        lines += [line[:70], *(f" {line[at : at + 69]}" for at in range(70, len(line), 69))]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "\r\n".join(lines) + "\r\n\r\nName: other\r\n\r\n")


def plugin(mirror: Path, name: str, version: str, needs: str = "", core: str = "2.400") -> None:
    """Put a plugin on a mirror."""
    more = {"Plugin_Dependencies": needs} if needs else {}
    archive(
        mirror / f"plugins/{name}.hpi",
        Short_Name=name,
        Plugin_Version=version,
        Jenkins_Version=core,
        **more,
    )


def sums(mirror: Path) -> None:
    """Write down what is on a mirror."""
    files = sorted(path for path in mirror.rglob("*.[wh][ap]*") if path.is_file())
    (mirror / "SHA256SUMS").write_text(
        "".join(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(mirror)}\n"
            for path in files
        )
    )


def pins(mirror: Path, code: int = 0) -> str:
    """Run it, and return what it printed."""
    done = subprocess.run(
        [ROOT / "bin/jenkins-pins", mirror.as_uri()], capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name not in ("ENV", "CLOUD")},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Return a mirror on which nothing is wrong."""
    archive(tmp_path / "war/jenkins.war", Jenkins_Version="2.516.3")
    plugin(tmp_path, "structs", "350.v3b_30f09f2363")
    plugin(tmp_path, "scm-api", "707.v749c968f6f3c", "structs:338.v848422169819")
    many = ",".join(f"absent-{number}:1.0;resolution:=optional" for number in range(12))
    plugin(tmp_path, "git", "5.10", f"scm-api:703.v72ff4b_259600,{many},structs:350")
    sums(tmp_path)
    return tmp_path


def test_pins_are_what_the_role_takes(mirror: Path) -> None:
    found = yaml.safe_load(pins(mirror))
    assert found["jenkins_version"] == "2.516.3"
    assert (
        found["jenkins_war_sha256"]
        == hashlib.sha256((mirror / "war/jenkins.war").read_bytes()).hexdigest()
    )
    assert [(item["name"], item["version"]) for item in found["jenkins_plugins"]] == [
        ("git", "5.10"),
        ("scm-api", "707.v749c968f6f3c"),
        ("structs", "350.v3b_30f09f2363"),
    ]
    git = hashlib.sha256((mirror / "plugins/git.hpi").read_bytes()).hexdigest()
    assert found["jenkins_plugins"][0]["sha256"] == git


def test_what_a_plugin_lacks_is_said(mirror: Path) -> None:
    plugin(mirror, "scm-api", "9.0")
    plugin(mirror, "mailer", "1.2", "jakarta-mail-api:2.1", core="2.600")
    sums(mirror)
    text = pins(mirror, code=1)
    assert "git 5.10 wants scm-api 703.v72ff4b_259600, and there is 9.0" in text
    assert "mailer 1.2 wants jakarta-mail-api 2.1, which is not there" in text
    assert "mailer 1.2 wants Jenkins 2.600, and the war is 2.516.3" in text
    assert "absent-" not in text


def test_a_mirror_that_is_not_whole_is_refused(mirror: Path) -> None:
    content = bytearray((mirror / "plugins/git.hpi").read_bytes())
    content[60] ^= 1
    (mirror / "plugins/git.hpi").write_bytes(content)
    assert "plugins/git.hpi has the SHA-256" in pins(mirror, code=1)
    (mirror / "plugins/git.hpi").unlink()
    assert "plugins/git.hpi can't be read" in pins(mirror, code=1)
    (mirror / "SHA256SUMS").write_text("")
    assert "does not name war/jenkins.war" in pins(mirror, code=1)
    (mirror / "SHA256SUMS").unlink()
    assert "SHA256SUMS can't be read" in pins(mirror, code=1)


def test_what_is_no_mirror_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "bin/jenkins"],
        env={"PATH": os.environ["PATH"], "ENV": "jenkins", "JENKINS_MIRROR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"JENKINS_MIRROR={tmp_path} is no mirror: it needs war/jenkins.war" in done.stderr


@pytest.mark.parametrize(
    ("version", "wanted", "is_older"),
    [
        ("5.9", "5.10", True),
        ("5.10", "5.9", False),
        ("1.0", "1", False),
        ("1", "1.0.1", True),
        ("703.v72ff", "707.v749c", True),
        ("1.0-beta1", "1.0", True),
        ("350.v3b_30f09f2363", "350", False),
        ("350", "350.v3b_30f09f2363", True),
        ("2.516.3", "2.516.3", False),
    ],
)
def test_versions_are_numbers(version: str, wanted: str, is_older: bool) -> None:
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location("jenkins_pins", ROOT / "bin/jenkins_pins.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["jenkins_pins"] = module
    spec.loader.exec_module(module)
    assert module.older(version, wanted) is is_older
