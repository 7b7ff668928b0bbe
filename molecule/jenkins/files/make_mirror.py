"""Makes a mirror as role jenkins expects it: two stand-ins for the war, three files that stand in for plugins.

make_mirror.py CLASSES FOLDER    prints the pins as JSON
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path

CLASS = "StandInForJenkins"


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
        plugins = {"git": version, "mailer": "1", "stand-in": "1"}
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
    for name in (
        "war/jenkins.war",
        "plugins/git.hpi",
        "plugins/mailer.hpi",
        "plugins/stand-in.hpi",
    ):
        (spoiled / name).parent.mkdir(parents=True, exist_ok=True)
        (spoiled / name).write_bytes((folder / "2.528.1" / name).read_bytes())
    content = bytearray((spoiled / "plugins/mailer.hpi").read_bytes())
    content[3] ^= 1
    (spoiled / "plugins/mailer.hpi").write_bytes(content)
    print(json.dumps(pins))


if __name__ == "__main__":
    main()
