"""Reads a Jenkins mirror and writes pins: see bin/jenkins-pins."""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WAR = "war/jenkins.war"
# What comes before the version itself, and what a shorter version has where a longer one goes on.
BEFORE = ("alpha", "beta", "milestone", "m", "rc", "cr", "snapshot")
NOTHING = (1, 0, "")


class PinsProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """There are no pins; the message says why."""


@dataclass(frozen=True)
class Plugin:
    """A plugin on a mirror, as its manifest says."""

    name: str
    version: str
    sha256: str
    core: str
    needs: tuple[tuple[str, str], ...]


def rank(part: str) -> tuple[int, int, str]:
    """Return what parts of versions are ordered by, as Jenkins does: 1-beta, 1, 1.v3b, 1.1."""
    if part.isdigit():
        return (3, int(part), "") if int(part) else NOTHING
    return (0 if part in BEFORE else 2, 0, part)


def older(version: str, wanted: str) -> bool:
    """Return whether a version is before the wanted one; 1.0 is not before 1."""
    one, other = (map(rank, re.findall(r"\d+|[a-z]+", it.lower())) for it in (version, wanted))
    pairs = itertools.zip_longest(one, other, fillvalue=NOTHING)
    return next((left < right for left, right in pairs if left != right), False)


def manifest(path: Path) -> dict[str, str]:
    """Return the main attributes of an archive's manifest, whose lines are folded at 72 bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read("META-INF/MANIFEST.MF").decode()
    except (zipfile.BadZipFile, KeyError) as error:
        raise PinsProblem(
            f"{path.name} is no war or plugin ({error}): fetch it anew into the mirror"
        ) from error
    main = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    unfolded = re.sub(r"\r?\n ", "", main)
    return dict(line.split(": ", 1) for line in unfolded.splitlines() if ": " in line)


def needs(attributes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what a plugin can't do without, name and oldest version."""
    found = []
    for entry in filter(None, attributes.get("Plugin-Dependencies", "").split(",")):
        name, _, rest = entry.partition(":")
        version, *directives = rest.split(";")
        if "resolution:=optional" not in directives:
            found.append((name, version))
    return tuple(found)


def fetch(base: str, name: str, folder: Path) -> Path:
    """Fetch a file of the mirror."""
    path = folder / Path(name).name
    try:
        with urllib.request.urlopen(f"{base}/{name}", timeout=60) as answer:  # noqa: S310 - schemes are checked in main
            path.write_bytes(answer.read())
    except (urllib.error.URLError, OSError) as error:
        raise PinsProblem(
            f"{base}/{name} can't be read ({error}): is it a mirror, and in reach?"
        ) from error
    return path


def checked(base: str, name: str, sums: dict[str, str], folder: Path) -> tuple[dict[str, str], str]:
    """Return a file's manifest and checksum, once it is what SHA256SUMS says."""
    path = fetch(base, name, folder)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sums[name]:
        raise PinsProblem(
            f"{name} has the SHA-256 {found} and SHA256SUMS says {sums[name]}: fetch it anew into the mirror"
        )
    attributes = manifest(path)
    path.unlink()
    return attributes, found


def incomplete(war: str, plugins: dict[str, Plugin]) -> list[str]:
    """Return what plugins lack."""
    problems = []
    for plugin in plugins.values():
        if plugin.core and older(war, plugin.core):
            problems.append(
                f"{plugin.name} {plugin.version} wants Jenkins {plugin.core}, and the war is {war}"
            )
        for name, version in plugin.needs:
            if name not in plugins:
                problems.append(
                    f"{plugin.name} {plugin.version} wants {name} {version}, which is not there"
                )
            elif older(plugins[name].version, version):
                problems.append(
                    f"{plugin.name} {plugin.version} wants {name} {version}, and there is {plugins[name].version}"
                )
    return problems


def read(base: str) -> dict[str, Any]:
    """Return the variables for a mirror."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sums = {
            name.removeprefix("*").removeprefix("./"): value
            for value, name in re.findall(
                r"^([0-9a-f]{64})  ?(\S+)$",
                fetch(base, "SHA256SUMS", folder).read_text(),
                re.MULTILINE,
            )
        }
        if WAR not in sums:
            raise PinsProblem(
                f"{base}/SHA256SUMS does not name {WAR}: make it in the mirror's folder by sha256sum"
            )
        said, war_sum = checked(base, WAR, sums, folder)
        war = said.get("Jenkins-Version") or said.get("Implementation-Version") or ""
        plugins = {}
        for name in sorted(name for name in sums if re.fullmatch(r"plugins/[^/]+\.hpi", name)):
            said, plugin_sum = checked(base, name, sums, folder)
            short = said.get("Short-Name", "")
            if short != Path(name).stem:
                raise PinsProblem(f"{name} is plugin '{short}': name the file so")
            plugins[short] = Plugin(
                short,
                said["Plugin-Version"],
                plugin_sum,
                said.get("Jenkins-Version", ""),
                needs(said),
            )
    if problems := incomplete(war, plugins):
        raise PinsProblem("; ".join(problems))
    return {
        "jenkins_version": war,
        "jenkins_war_sha256": war_sum,
        "jenkins_plugins": [
            {"name": plugin.name, "version": plugin.version, "sha256": plugin.sha256}
            for plugin in plugins.values()
        ],
    }


def main() -> None:
    """Print the variables."""
    base = sys.argv[1].rstrip("/") if len(sys.argv) == 2 else ""
    if not base.startswith(("https://", "http://", "file://")):
        raise PinsProblem(
            "name a mirror: bin/jenkins-pins https://mirror.example.org/jenkins, or file:///folder"
        )
    print("---\n" + yaml.safe_dump(read(base), sort_keys=False), end="")


if __name__ == "__main__":
    try:
        main()
    except PinsProblem as problem:
        sys.exit(f"beanft: {problem}")
