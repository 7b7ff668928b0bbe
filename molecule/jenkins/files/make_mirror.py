"""Makes a mirror as role jenkins expects it: stand-ins for two wars and their plugins.

make_mirror.py CLASSES FOLDER    prints the pins as JSON
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

CLASS = "StandInForJenkins"
# What the role asks for, and one more.
PLUGINS = (
    "configuration-as-code",
    "credentials-binding",
    "git",
    "job-dsl",
    "junit",
    "mailer",
    "matrix-auth",
    "pipeline-build-step",
    "pipeline-input-step",
    "pipeline-model-definition",
    "plain-credentials",
    "ssh-credentials",
    "ssh-slaves",
    "stand-in",
    "timestamper",
    "workflow-aggregator",
    "workflow-multibranch",
)


def archive(path: Path, attributes: dict[str, str], members: dict[str, bytes]) -> None:
    """Write an archive with a manifest, the same bytes each time."""
    lines = [f"{name}: {value}\r\n" for name, value in attributes.items()]
    manifest = "".join(["Manifest-Version: 1.0\r\n", *lines, "\r\n"]).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {"META-INF/MANIFEST.MF": manifest, **members}.items():
            file.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)


def war(path: Path, classes: Path, version: str) -> None:
    """Write a stand-in for the war."""
    program = {
        f"{CLASS}.class": (classes / f"{CLASS}.class").read_bytes(),
        "version": version.encode(),
    }
    archive(path, {"Main-Class": CLASS, "Jenkins-Version": version}, program)


def main() -> None:
    """Make the mirror."""
    # Everybody may read it, whatever umask role hardening left.
    os.umask(0o022)
    classes, folder = Path(sys.argv[1]), Path(sys.argv[2])
    pins = {}
    for version in ("2.516.3", "2.528.1"):
        # A mirror of each release: its war is always called the same.
        place = folder / version
        (place / "war").mkdir(parents=True, exist_ok=True)
        (place / "plugins").mkdir(exist_ok=True)
        war(place / "war/jenkins.war", classes, version)
        plugins = {**dict.fromkeys(PLUGINS, "1"), "git": version}
        for name, of in plugins.items():
            said = {"Short-Name": name, "Plugin-Version": of, "Jenkins-Version": "2.400"}
            archive(place / f"plugins/{name}.hpi", said, {"stand-in": b"no plugin of Jenkins"})

        def checksum(name: str, place: Path = place) -> str:
            return hashlib.sha256((place / name).read_bytes()).hexdigest()

        files = ["war/jenkins.war", *(f"plugins/{name}.hpi" for name in plugins)]
        (place / "SHA256SUMS").write_text("".join(f"{checksum(name)}  {name}\n" for name in files))
        pins[version] = {
            "jenkins_version": version,
            "jenkins_war_sha256": checksum("war/jenkins.war"),
            "jenkins_plugins": [
                {"name": name, "version": of, "sha256": checksum(f"plugins/{name}.hpi")}
                for name, of in plugins.items()
            ],
        }
    # The same version with a changed byte.
    spoiled = folder / "spoiled"
    shutil.copytree(folder / "2.528.1", spoiled, dirs_exist_ok=True)
    content = bytearray((spoiled / "plugins/git.hpi").read_bytes())
    content[3] ^= 1
    (spoiled / "plugins/git.hpi").write_bytes(content)
    print(json.dumps(pins))


if __name__ == "__main__":
    main()
