"""Guards what the images promise: small rights, nothing left of the build, the same layers again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
SERVICES = ["api", "web", "worker"]
IMAGES = [*SERVICES, "edge", "registry", "prometheus", "cars"]
# Programs that build or install; an image that serves has no use for them.
TOOLS = ["pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl", "wget"]


def docker(*arguments: str) -> str:
    """Run the docker client and return its stdout."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def image(name: str) -> dict[str, Any]:
    """Return an image's inspected configuration."""
    return dict(json.loads(docker("image", "inspect", f"{CHECKOUT}/{name}"))[0])


def inside(name: str, *command: str) -> str:
    """Run a program in an image as a fleet would: read-only, without capabilities or network."""
    return docker(
        "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp",
        "--entrypoint", command[0], f"{CHECKOUT}/{name}", *command[1:],
    )  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_runs_as_a_user_without_rights(name: str) -> None:
    assert int(inside(name, "id", "-u")) > 0


@pytest.mark.parametrize("name", IMAGES)
def test_has_no_file_that_everybody_may_write(name: str) -> None:
    # It fails at the folders that only root may read.
    search = "find / -xdev -type f -perm -0002 2>/dev/null || true"
    assert inside(name, "sh", "-c", search) == ""


@pytest.mark.parametrize("name", IMAGES)
def test_has_no_build_tools(name: str) -> None:
    looks = " ".join(f"$(command -v {tool})" for tool in TOOLS)
    assert inside(name, "sh", "-c", f"echo {looks}").strip() == ""


@pytest.mark.parametrize("name", SERVICES)
def test_python_has_no_pip(name: str) -> None:
    found = inside(
        name,
        "python",
        "-c",
        "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('ensurepip'))",
    )
    assert found.split() == ["None", "None"]


@pytest.mark.parametrize("name", IMAGES)
def test_no_build_secret_is_left(name: str) -> None:
    listed = inside(
        name, "sh", "-c", "ls -A /run/secrets 2>/dev/null; ls -A /root 2>/dev/null; true"
    )
    assert "ca" not in listed.split()
    assert "pip" not in listed.split()
    configuration = json.dumps(image(name)["Config"]) + docker(
        "history", "--no-trunc", f"{CHECKOUT}/{name}"
    )
    assert "BEGIN CERTIFICATE" not in configuration
    assert "SECRET" not in configuration.upper().replace("/RUN/SECRETS", "").replace(
        "TYPE=SECRET", ""
    )


def test_web_has_the_pages_scripts_and_their_licenses() -> None:
    look = """
import json, pathlib, beanft
dist = pathlib.Path(beanft.__file__).parent / "static/dist"
files = json.loads((dist / "manifest.json").read_text())
print(all((dist / file).is_file() for file in files.values()), "charts.js" in files)
print("chart.js 4." in (dist / "LICENSES.txt").read_text())
"""
    assert inside("web", "python", "-c", look).split() == ["True"] * 3


@pytest.mark.parametrize("name", SERVICES)
def test_says_what_it_is(name: str) -> None:
    configuration = image(name)["Config"]
    labels = configuration["Labels"]
    manifest = json.loads((ROOT / "build/images.json").read_text())[name]
    assert labels["org.opencontainers.image.revision"] == manifest["revision"]
    assert labels["org.opencontainers.image.version"] == (ROOT / "VERSION").read_text().strip()
    assert labels["org.opencontainers.image.created"]
    assert labels["org.opencontainers.image.source"]
    assert f"BEANFT_REVISION={manifest['revision']}" in configuration["Env"]
    assert configuration["Healthcheck"]["Test"] == ["CMD", "/opt/beanft/healthcheck"]


@pytest.mark.parametrize("name", ["api", "web"])
def test_what_serves_can_not_train(name: str) -> None:
    code = "import importlib.util as u; print(*[u.find_spec(m) for m in ('sklearn', 'pandas', 'scipy')])"
    assert inside(name, "python", "-c", code).split() == ["None", "None", "None"]


def test_worker_can_train() -> None:
    inside("worker", "python", "-c", "import sklearn.linear_model, skl2onnx, onnxruntime")


def test_alerts_fire_where_they_should_and_not_where_they_should_not() -> None:
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
            *("--tmpfs", "/tmp", "--volume", f"{ROOT}/ansible/roles/monitoring/files:/rules:ro"),
            *("--workdir", "/rules", "--entrypoint", "promtool", f"{CHECKOUT}/prometheus"),
            *("test", "rules", "rules_test.yml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_services_share_their_lower_layers() -> None:
    layers = [image(name)["RootFS"]["Layers"] for name in SERVICES]
    assert layers[0][:3] == layers[1][:3] == layers[2][:3], "base, Python, api's dependencies"


def layers(name: str, folder: Path) -> list[list[tuple[object, ...]]]:
    """Return what each layer holds: path, kind, rights, owner, time, link and content of every entry.

    Sorted, since an engine that has built the layers below more than once may write the entries of
    one in another order.
    """
    archive = folder / f"{name}.tar"
    docker("save", "--output", str(archive), f"{CHECKOUT}/{name}")
    found = []
    with tarfile.open(archive) as saved:
        (said,) = json.load(member(saved, "manifest.json"))
        for path in said["Layers"]:
            with tarfile.open(fileobj=member(saved, path)) as layer:
                found.append(sorted(entry(layer, one) for one in layer))
    archive.unlink()
    return found


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    opened = archive.extractfile(name)
    assert opened is not None
    return opened


def entry(layer: tarfile.TarFile, one: tarfile.TarInfo) -> tuple[object, ...]:
    said = (one.name, one.type, one.mode, one.uid, one.gid, one.mtime, one.linkname)
    content = hashlib.file_digest(member(layer, one), "sha256").hexdigest() if one.isfile() else ""
    return (*said, content)


def test_the_same_inputs_give_the_same_layers(tmp_path: Path) -> None:
    first = layers("api", tmp_path)
    manifest = tmp_path / "images.json"
    done = subprocess.run(
        [
            sys.executable,
            "docker/build.py",
            "--manifest",
            str(manifest),
            "--suffix=-again",
            "api",
        ],
        cwd=ROOT,
        env={**os.environ, "NO_CACHE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    try:
        assert layers("api-again", tmp_path) == first
    finally:
        docker("rmi", f"{CHECKOUT}/api-again")


def test_bill_of_materials_has_what_is_installed() -> None:
    """As each image's own Python says, and of scikit-learn where it is allowed to be."""
    subprocess.run([ROOT / "bin/sbom"], check=True)
    built = json.loads((ROOT / "build/images.json").read_text())["web"]
    document = json.loads(
        (ROOT / f"dist/beanft-{built['version']}-{built['revision']}.cdx.json").read_text()
    )
    named = {item["ref"]: item["dependsOn"] for item in document["dependencies"]}
    for name in SERVICES:
        listed = inside(
            name,
            "python",
            "-c",
            "import importlib.metadata as m; print(*{d.name.lower() for d in m.distributions()})",
        )
        found = {
            purl.split("/")[1].split("@")[0]
            for purl in named[f"image:{name}"]
            if "pkg:pypi/" in purl
        }
        assert found == {word.replace("_", "-") for word in listed.split()}
    assert any(purl.startswith("pkg:pypi/scikit-learn@") for purl in named["image:worker"])
    assert not any(purl.startswith("pkg:pypi/scikit-learn@") for purl in named["image:api"])
    assert any(purl.startswith("pkg:deb/debian/haproxy@") for purl in named["image:edge"])
