"""`bin/sbom` says what is in images, in a form that others' tools read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("api", "edge", "registry", "web", "worker")


class Tree:
    """A checkout with what `bin/sbom` needs; its five images are one."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        for name in ("bin/_env", "bin/sbom", "bin/sbom.py", "app/frontend/package-lock.json"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes((ROOT / name).read_bytes())
            (path / name).chmod(0o755)
        (path / ".venv").symlink_to(Path(sys.prefix))
        self.built = {
            name: {"id": identity, "version": "1.2.3", "revision": "0123456789ab"} for name in NAMES
        }

    def run(self, code: int = 0) -> str:
        """Write down which images are built, run it, and return what it printed."""
        (self.path / "build").mkdir(exist_ok=True)
        (self.path / "build/images.json").write_text(json.dumps(self.built))
        done = subprocess.run(
            ["bin/sbom"], cwd=self.path, capture_output=True, text=True, check=False,
            env={**os.environ, "BEANFT_STATE": ""},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def file(self) -> Path:
        """Return where the document is."""
        return self.path / "dist/beanft-1.2.3-0123456789ab.cdx.json"


@pytest.fixture(scope="module")
def identity() -> str:
    """Return the base image, which has Debian's packages and no Python."""
    reference = f"{os.environ['BEANFT_CHECKOUT']}/base:trixie"
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", reference]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, identity: str) -> Tree:
    return Tree(tmp_path, identity)


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the one component of a name."""
    (found,) = [item for item in document["components"] if item["name"] == name]
    return dict(found)


def test_packages_are_those_of_the_image(tree: Tree, identity: str) -> None:
    text = tree.run()
    assert "dist/beanft-1.2.3-0123456789ab.cdx.json" in text
    document = json.loads(tree.file.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    asked = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", identity,
         "-W", "-f", "${Package} ${Version}\n"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    expected = {tuple(line.split()) for line in asked.splitlines()}
    found = {
        (item["name"], item["version"])
        for item in document["components"]
        if item.get("purl", "").startswith("pkg:deb/")
    }
    assert found == expected
    dpkg = component(document, "dpkg")
    purl = PackageURL.from_string(dpkg["purl"])
    assert (purl.namespace, purl.name, purl.version) == ("debian", "dpkg", dpkg["version"])
    image = component(document, "beanft/web")
    assert image["hashes"] == [{"alg": "SHA-256", "content": identity.removeprefix("sha256:")}]
    # Each image names what it has, and the pages' scripts are in one of them.
    named = {item["ref"]: set(item["dependsOn"]) for item in document["dependencies"]}
    assert named["release:beanft"] == {f"image:{name}" for name in NAMES}
    assert dpkg["purl"] in named["image:edge"]
    lock = json.loads((ROOT / "app/frontend/package-lock.json").read_text())["packages"]
    chart = f"pkg:npm/chart.js@{lock['node_modules/chart.js']['version']}"
    assert chart in named["image:web"]
    assert chart not in named["image:api"]
    # What only builds them is in none.
    assert not re.search(r"pkg:npm/(%40)?esbuild", tree.file.read_text())


def test_the_same_images_give_the_same_document(tree: Tree) -> None:
    tree.run()
    before = tree.file.read_bytes()
    tree.run()
    assert tree.file.read_bytes() == before


def test_what_is_not_whole_is_refused(tree: Tree) -> None:
    tree.built["web"]["revision"] = "another"
    assert "of several revisions" in tree.run(code=1)
    del tree.built["web"]
    assert "not built: web. Run 'make images' first." in tree.run(code=1)
    tree.built["web"] = {**tree.built["api"], "id": "sha256:" + "0" * 64}
    text = tree.run(code=1)
    assert "dpkg-query in the image" in text or "python in the image" in text
    assert not tree.file.exists()


def test_a_document_against_the_schema_is_refused(tree: Tree) -> None:
    """The check is seen to fail: CycloneDX knows no digest of this form."""
    program = (
        "import sbom\n"
        "try:\n    sbom.document('1', '2', [sbom.Image('web', 'sha256:no digest')])\n"
        "except sbom.SbomProblem as problem:\n    print(problem)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tree.path / "bin",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not CycloneDX 1.6" in done.stdout
