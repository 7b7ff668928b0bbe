"""Writes the software bill of materials of a release: see bin/sbom.

What is in an image is asked of the image, not of the files that it was made from: Debian's packages of dpkg, Python's
of their own metadata. The pages' scripts are bundled, so their packages are those of the lock file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "images.json"
PAGES_LOCK = ROOT / "app" / "frontend" / "package-lock.json"
NAMES = ("api", "edge", "registry", "web", "worker")
DISTRIBUTION = "debian-13"
DPKG_FORMAT = "${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\n"
# Run in an image. Names as their makers write them; a purl wants them in one form.
LIST_PYTHON = """
import importlib.metadata, json
print(json.dumps([
    {"name": found.name, "version": found.version, "license": found.metadata.get("License-Expression"),
     "classifiers": [line for line in found.metadata.get_all("Classifier") or [] if line.startswith("License ::")]}
    for found in importlib.metadata.distributions()
]))
"""


class SbomProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """There is no bill of materials; the message is one sentence with cause and mend."""


@dataclass(frozen=True)
class Package:
    """Something that others made and an image contains."""

    purl: str
    name: str
    version: str
    licenses: tuple[str, ...] = ()
    expression: str = ""

    def component(self) -> dict[str, Any]:
        """Return it as CycloneDX writes it."""
        said: dict[str, Any] = {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
        }
        if self.expression:
            said["licenses"] = [{"expression": self.expression}]
        elif self.licenses:
            said["licenses"] = [{"license": {"name": name}} for name in self.licenses]
        return said


@dataclass
class Image:
    """An image of the release, and what is in it."""

    name: str
    identity: str
    packages: set[Package] = field(default_factory=set)


def debian_packages(listed: str) -> set[Package]:
    """Return the packages in what dpkg-query has listed."""
    found = set()
    for line in filter(None, listed.splitlines()):
        name, version, architecture, source = line.split("\t")
        qualifiers = {"arch": architecture, "distro": DISTRIBUTION}
        if source != name:
            qualifiers["upstream"] = source
        purl = PackageURL("deb", "debian", name, version, qualifiers).to_string()
        found.add(Package(purl, name, version))
    return found


def python_packages(listed: list[dict[str, Any]]) -> set[Package]:
    """Return the distributions that a Python has listed."""
    found = set()
    for item in listed:
        purl = PackageURL("pypi", None, item["name"], item["version"]).to_string()
        # "License :: OSI Approved :: MIT License"
        names = tuple(sorted({line.split(" :: ")[-1] for line in item["classifiers"]}))
        found.add(
            Package(purl, item["name"], item["version"], names, expression=item["license"] or "")
        )
    return found


def page_packages(lock: dict[str, Any]) -> set[Package]:
    """Return what of a lock file of npm's gets into the pages."""
    found = set()
    for path, entry in lock["packages"].items():
        name = path.rpartition("node_modules/")[2]
        if not name or entry.get("dev") or entry.get("optional"):
            continue
        namespace, _, short = name.rpartition("/")
        purl = PackageURL("npm", namespace or None, short, entry["version"]).to_string()
        licenses = (entry["license"],) if entry.get("license") else ()
        found.add(Package(purl, name, entry["version"], licenses))
    return found


def document(version: str, revision: str, images: list[Image]) -> str:
    """Return the bill of materials, the same for the same images.

    Raises:
        SbomProblem: it is not what CycloneDX's schema asks for.
    """
    packages = sorted(
        {package for image in images for package in image.packages}, key=lambda it: it.purl
    )
    containers = [
        {
            "type": "container",
            "bom-ref": f"image:{image.name}",
            "name": f"beanft/{image.name}",
            "version": revision,
            "hashes": [{"alg": "SHA-256", "content": image.identity.removeprefix("sha256:")}],
        }
        for image in sorted(images, key=lambda it: it.name)
    ]
    release = "release:beanft"
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(containers))),
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": release,
                "name": "beanft",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
                "properties": [{"name": "beanft:revision", "value": revision}],
            }
        },
        "components": containers + [package.component() for package in packages],
        "dependencies": [
            {"ref": release, "dependsOn": [str(container["bom-ref"]) for container in containers]},
            *(
                {
                    "ref": f"image:{image.name}",
                    "dependsOn": sorted(package.purl for package in image.packages),
                }
                for image in sorted(images, key=lambda it: it.name)
            ),
        ],
    }
    text = json.dumps(content, indent=1) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem:
        raise SbomProblem(f"the document is not CycloneDX 1.6: {problem}")
    return text


def inside(identity: str, program: str, *arguments: str) -> str:
    """Return what a program of an image prints, or '' where it has none of that name."""
    limits = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--user", "65534:65534"]
    done = subprocess.run(
        ["docker", "run", "--rm", *limits, "--entrypoint", program, identity, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    # 127: there is no such program.
    if done.returncode == 127:
        return ""
    if done.returncode:
        raise SbomProblem(
            f"{program} in the image {identity[:19]} failed ({done.stderr.strip()[-300:]}): "
            "is it there, and does the engine answer? 'make images' builds it"
        )
    return done.stdout


def main() -> None:
    """Write the bill of materials of what is built."""
    built = json.loads(BUILT.read_text()) if BUILT.exists() else {}
    missing = [name for name in NAMES if name not in built]
    if missing:
        raise SbomProblem(f"not built: {', '.join(missing)}. Run 'make images' first.")
    if len({built[name]["revision"] for name in NAMES}) > 1:
        raise SbomProblem("the built images are of several revisions: run 'make images' again")
    images = []
    for name in NAMES:
        image = Image(name, built[name]["id"])
        image.packages |= debian_packages(
            inside(image.identity, "dpkg-query", "-W", "-f", DPKG_FORMAT)
        )
        image.packages |= python_packages(
            json.loads(inside(image.identity, "python", "-c", LIST_PYTHON) or "[]")
        )
        if name == "web":
            image.packages |= page_packages(json.loads(PAGES_LOCK.read_text()))
        if not image.packages:
            raise SbomProblem(f"image {name} says of no package that it has it: is it Debian's?")
        images.append(image)
    version, revision = built["web"]["version"], built["web"]["revision"]
    text = document(version, revision, images)
    target = ROOT / "dist" / f"beanft-{version}-{revision}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".part")
    temporary.write_text(text)
    temporary.replace(target)
    count = len({package for image in images for package in image.packages})
    print(
        f"sbom: {target.relative_to(ROOT)}, {count} packages in {len(images)} images, CycloneDX 1.6"
    )


if __name__ == "__main__":
    try:
        main()
    except SbomProblem as problem:
        sys.exit(f"beanft: {problem}")
