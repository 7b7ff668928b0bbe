#!/usr/bin/env python3
"""Builds the images of this checkout, each from what is in the tree.

    docker/build.py                 the application's images, edge, registry, and machines of the local provider
    docker/build.py lint            only those named
    docker/build.py base:bookworm   a base, pulled or else bootstrapped
    docker/build.py --relock cars   writes down which versions of Debian's packages it has now

Writes build/images.json: version, revision and the built images. Nothing is built again
while its inputs are the same, unless NO_CACHE=1 asks for it. On failure: one sentence with cause and mend, exit 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = os.environ.get("BEANFT_CHECKOUT", "")
# Inputs of the images that are deployed; what else changes leaves the revision clean.
INPUTS = ["app", "docker", "VERSION"]
LABEL_RECIPE = '{{with .Config.Labels}}{{index . "beanft.base"}}{{end}}'


class BuildError(Exception):
    """The build can't go on; the message is one sentence with cause and mend."""


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile, the target in it, its base's Debian release, and its context.

    Of one with a lock, the packages that its services use have the versions in that, or it is not built; a notice names
    what else differs, and a label has all that came. WHEN=2026-11-01 takes them from Debian's archive as of that day.
    """

    dockerfile: str
    target: str = ""
    release: str = "trixie"
    context: str = "."
    lock: str = ""


APPLICATION = {
    "api": Image("docker/app/Dockerfile", "api"),
    "web": Image("docker/app/Dockerfile", "web"),
    "worker": Image("docker/app/Dockerfile", "worker"),
    "edge": Image("docker/edge/Dockerfile"),
}
IMAGES = {
    **APPLICATION,
    "registry": Image("docker/registry/Dockerfile"),
    "host-ready:trixie": Image("docker/host/Dockerfile", "ready"),
    "host-ready:bookworm": Image("docker/host/Dockerfile", "ready", "bookworm"),
    "host-bare:trixie": Image("docker/host/Dockerfile", "bare"),
    "host-bare:bookworm": Image("docker/host/Dockerfile", "bare", "bookworm"),
    "prometheus": Image("docker/prometheus/Dockerfile"),
    "cars": Image("docker/cars/Dockerfile", lock="docker/cars/versions.lock"),
    "stores": Image("docker/stores/Dockerfile"),
    "vm": Image("docker/vm/Dockerfile"),
    "lint": Image("docker/lint/Dockerfile", context="docker/lint"),
}


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's root and return what it printed."""
    return subprocess.run(
        command,
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def git(*arguments: str) -> str:
    """Return git's output, or fail with its message."""
    done = run("git", *arguments)
    if done.returncode:
        raise BuildError(
            f"git {arguments[0]} failed ({done.stderr.strip()}): images carry a revision, so build in a git checkout"
        )
    return done.stdout.strip()


def revision() -> str:
    """Return the commit, and a hash of what differs from it where inputs of images do."""
    commit = git("rev-parse", "--short=12", "HEAD")
    if not git("status", "--porcelain", "--", *INPUTS):
        return commit
    digest = hashlib.sha256(git("diff", "HEAD", "--", *INPUTS).encode())
    for name in git("ls-files", "--others", "--exclude-standard", "--", *INPUTS).splitlines():
        digest.update(name.encode() + (ROOT / name).read_bytes())
    return f"{commit}-dirty-{digest.hexdigest()[:8]}"


def migrations() -> list[dict[str, str]]:
    """Return the migrations in order, each with its revision and phase.

    A deploy runs those that the running release doesn't have; what contracts bars the way back.
    """
    paths = list((ROOT / "app/migrations/versions").glob("*.py"))
    found: dict[str, dict[str, str]] = {}  # by the revision that each follows
    for path in paths:
        text = path.read_text(encoding="utf-8")
        names = r"^(revision|down_revision|phase) = (?:[\"'](\w+)[\"']|None)"
        said = dict(re.findall(names, text, re.M))
        if not {"revision", "down_revision", "phase"} <= said.keys():
            raise BuildError(f"{path.name} lacks revision, down_revision or phase: run make lint")
        found[said["down_revision"]] = {"revision": said["revision"], "phase": said["phase"]}
    ordered: list[dict[str, str]] = []
    while step := found.pop(ordered[-1]["revision"] if ordered else "", None):
        ordered.append(step)
    if len(ordered) < len(paths):
        raise BuildError("the migrations are no single line, one after the other: run make lint")
    return ordered


def inspect(reference: str, template: str) -> str:
    """Return a property of a local image, or '' where there is none."""
    done = run("docker", "image", "inspect", "--format", template, reference)
    return done.stdout.strip() if done.returncode == 0 else ""


def secrets(directory: Path) -> list[str]:
    """Return build options that hand this machine's registry settings to build steps.

    They are mounted while a step runs and are in no layer: certificates to trust, pip's and
    npm's configuration, apt's proxy.
    """
    home = Path.home()
    candidates = {
        "ca": [os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"],
        "pip": [
            os.environ.get("PIP_CONFIG_FILE"),
            home / ".config/pip/pip.conf",
            home / ".pip/pip.conf",
            "/etc/pip.conf",
        ],
        "npmrc": [os.environ.get("NPM_CONFIG_USERCONFIG"), home / ".npmrc"],
    }
    options = []
    for name, paths in candidates.items():
        found = next((Path(path) for path in paths if path and Path(path).is_file()), None)
        if found:
            options += ["--secret", f"id={name},src={found}"]
    proxy = (
        run("apt-config", "dump", "Acquire::http::Proxy") if shutil.which("apt-config") else None
    )
    if proxy and "Proxy" in proxy.stdout:
        (directory / "apt.conf").write_text(proxy.stdout)
        options += ["--secret", f"id=apt,src={directory / 'apt.conf'}"]
    return options


def base(release: str) -> str:
    """Make sure that a base image of a Debian release is there, and return its name.

    Pulled where a registry can be reached; else bootstrapped from Debian's packages. A base
    that another checkout bootstrapped from the same recipe is used again.
    """
    name = f"{CHECKOUT}/base:{release}"
    recipe = hashlib.sha256(
        (ROOT / "docker/base/bootstrap").read_bytes() + release.encode()
    ).hexdigest()[:16]
    # A pulled base has no recipe; one that an older recipe bootstrapped is made anew.
    if inspect(name, "{{.Id}}") and inspect(name, LABEL_RECIPE) in ("", recipe):
        return name
    pulled = run("timeout", "300", "docker", "pull", "--quiet", f"debian:{release}-slim")
    if pulled.returncode == 0:
        run("docker", "tag", f"debian:{release}-slim", name)
        return name
    # Not by label: what is built from a base has its labels too.
    shared = f"beanft-base:{release}-{recipe}"
    if inspect(shared, "{{.Id}}") and not os.environ.get("NO_CACHE"):
        run("docker", "tag", shared, name)
        return name
    print(
        f"  base:{release}  no registry answers: bootstrapping from Debian's packages", flush=True
    )
    if not shutil.which("mmdebstrap"):
        if os.geteuid() or not shutil.which("apt-get"):
            raise BuildError(
                f"debian:{release}-slim can't be pulled and mmdebstrap is missing: "
                "give this machine a registry, or install mmdebstrap"
            )
        run("apt-get", "update", "-qq")
        done = run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")
        if done.returncode:
            raise BuildError(
                f"mmdebstrap could not be installed ({last_line(done.stderr)}): install it by hand"
            )
    done = run("docker/base/bootstrap", release, shared, "beanft=image", f"beanft.base={recipe}")
    if done.returncode:
        raise BuildError(
            f"the base image for Debian {release} could not be bootstrapped ({last_line(done.stderr)}): "
            "is Debian's mirror in reach (DEBIAN_MIRROR names another), and is there room on the disk?"
        )
    run("docker", "tag", shared, name)
    return name


def source() -> str:
    """Return where the source is published, or that it isn't: a path of this machine says nothing."""
    remote = run("git", "config", "--get", "remote.origin.url").stdout.strip()
    return remote if remote.startswith(("https://", "ssh://", "git@")) else "unpublished"


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next(
        (line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message"
    )


def reference(name: str) -> str:
    """Return an image's name in this checkout."""
    return f"{CHECKOUT}/{name}"


def when() -> str:
    """Return the day whose archive of Debian is asked for, or ''."""
    asked = os.environ.get("WHEN", "")
    try:
        if asked and datetime.date.fromisoformat(asked).isoformat() != asked:
            raise ValueError
    except ValueError:
        raise BuildError(f"WHEN='{asked}' is no day: write it as 2026-11-01") from None
    return asked


def locked(lock: str) -> list[str]:
    """Return the versions in a lock, each as name=version."""
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def came(name: str, tag: str) -> list[str]:
    """Return which versions of Debian's packages an image was made of, as it says itself."""
    path = f"/usr/share/{name}/versions"
    done = run("docker", "run", "--rm", "--network", "none", "--entrypoint", "cat", tag, path)
    if done.returncode:
        raise BuildError(f"image {name} does not say its versions: {last_line(done.stderr)}")
    return done.stdout.splitlines()


def record(name: str, tag: str, lock: str) -> None:
    """Write the versions that came into the image's label, and say which are not those of its lock."""
    found, wanted = came(name, tag), locked(lock)
    # What is locked and did not come is no difference: another base may have had it.
    if others := [line for line in found if line not in wanted]:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        print(
            f"  {name}: not as in {lock}, and not used by its services: {', '.join(others[:5])}{more}; "
            f"its label beanft.packages has all, make {name}-lock renews the lock",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "Dockerfile").write_text(f"FROM {tag}\n")
        label = ("--label", f"beanft.packages={' '.join(found)}")
        done = run("docker", "build", "--tag", tag, *label, directory)
    if done.returncode:
        raise BuildError(f"image {name} took no label: {last_line(done.stderr)}")


def relock(name: str) -> None:
    """Write down which versions Debian has now, or had on the day WHEN, for an image that has a lock."""
    image, tag = IMAGES[name], reference(name) + "-unlocked"
    os.environ["NO_CACHE"] = "1"
    build(name, tag, dataclasses.replace(image, lock=""), base(image.release), "", "", "0")
    try:
        found = came(name, tag)
    finally:
        run("docker", "rmi", tag)
    path = ROOT / image.lock
    before = set(path.read_text().splitlines()) if path.exists() else set()
    day = when() or datetime.date.today()
    head = f"# What image {name} takes from Debian, as of {day}. Renewed by make {name}-lock.\n"
    path.write_text(head + "".join(f"{line}\n" for line in found))
    changed = set(found) - before
    print(f"  {image.lock}  {len(changed)} other versions")
    for line in sorted(changed):
        print(f"    {line}")


def build(
    name: str, tag: str, image: Image, parent: str, version: str, commit: str, epoch: str
) -> None:
    """Build one image as `tag` and leave the log in build/logs."""
    log = ROOT / "build" / "logs" / f"image-{name.replace(':', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    created = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).isoformat()
    with tempfile.TemporaryDirectory() as directory:
        command = ["docker", "build", "--file", image.dockerfile, "--tag", tag]
        command += ["--build-arg", f"BASE={parent}"]
        command += ["--build-arg", f"VERSION={version}", "--build-arg", f"REVISION={commit}"]
        command += [
            "--build-arg",
            f"CREATED={created}",
            "--build-arg",
            f"SOURCE={source()}",
            *secrets(Path(directory)),
        ]
        if day := when():
            command += ["--build-arg", f"WHEN={day}"]
        if image.lock:
            command += ["--build-arg", f"LOCKED={' '.join(locked(image.lock))}"]
        if os.environ.get("NO_CACHE"):
            command += ["--no-cache"]
        if image.target:
            command += ["--target", image.target]
        done = run(*command, "--progress=plain", image.context)
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        cause = next(
            (
                line
                for line in (done.stderr + done.stdout).splitlines()
                if "rror" in line or "no space" in line
            ),
            last_line(done.stderr),
        )
        # Without what BuildKit writes before each line.
        cause = re.sub(r"^#\d+ [\d.]+ ", "", cause).strip()
        raise BuildError(
            f"image {name} would not build ({cause}): the whole log is {log.relative_to(ROOT)}"
        )
    if image.lock:
        record(name, tag, image.lock)


def main(names: list[str], path: Path, suffix: str) -> None:
    """Build the named images, or those a fleet needs."""
    if not CHECKOUT:
        raise BuildError("BEANFT_CHECKOUT is not set: call this by 'make images'")
    for name in names:
        if name not in IMAGES and not name.startswith("base:"):
            raise BuildError(f"unknown image '{name}': use {', '.join(IMAGES)} or base:RELEASE")
    version = (ROOT / "VERSION").read_text().strip()
    commit = revision()
    # The time of the last change to the inputs, so that other commits change no layer.
    epoch = git("log", "-1", "--format=%ct", "--", *INPUTS) or git("log", "-1", "--format=%ct")
    manifest = json.loads(path.read_text()) if path.exists() else {}
    local = os.environ.get("BEANFT_PROVIDER", "local") == "local"
    wanted = names or [
        *APPLICATION,
        "registry",
        # Machines are made of an image by the local provider alone.
        *([f"host-ready:{os.environ.get('RELEASE') or 'trixie'}"] if local else []),
    ]
    for name in wanted:
        if name.startswith("base:"):
            print(f"  {name:<22}{base(name.split(':')[1])}", flush=True)
    images = [name for name in wanted if not name.startswith("base:")]
    parents = {release: base(release) for release in {IMAGES[name].release for name in images}}
    guard = threading.Lock()

    def make(name: str) -> None:
        parent = parents[IMAGES[name].release]
        inputs = f"{version} {commit} {inspect(parent, '{{.Id}}')} {when()}".rstrip()
        started, tag = time.monotonic(), reference(name) + suffix
        before = inspect(tag, "{{.Id}}")
        known = manifest.get(name, {})
        if os.environ.get("NO_CACHE") or not (
            before and known.get("id") == before and known.get("inputs") == inputs
        ):
            build(name, tag, IMAGES[name], parent, version, commit, epoch)
        identity, size = inspect(tag, "{{.Id}} {{.Size}}").split()
        entry = {
            "reference": tag,
            "id": identity,
            "bytes": int(size),
            "version": version,
            "revision": commit,
            "inputs": inputs,
            "migrations": migrations(),
        }
        with guard:
            manifest[name] = entry
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
            state = "unchanged" if identity == before else "built"
            print(
                f"  {name:<22}{int(size) / 1e6:7.0f} MB  {state:<10}{time.monotonic() - started:6.1f} s",
                flush=True,
            )

    # The first one makes the layers that web and worker stand on: made at the same time by three
    # builds, an engine may write one of them down in two orders, and then it is shared no more.
    first = [name for name in images if name == "api"]
    for name in first:
        make(name)
    with ThreadPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(make, name) for name in images if name not in first]:
            done.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the images of this checkout.")
    parser.add_argument("names", nargs="*", help="images to build; none: those a fleet needs")
    parser.add_argument("--manifest", type=Path, default=ROOT / "build" / "images.json")
    parser.add_argument("--suffix", default="", help="goes behind the names of the built images")
    parser.add_argument("--relock", action="store_true", help="renew the named images' locks")
    options = parser.parse_args()
    try:
        options.manifest.parent.mkdir(parents=True, exist_ok=True)
        # Stages of a pipeline build side by side, and each writes down what it built.
        with options.manifest.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if options.relock:
                for one in options.names:
                    relock(one)
            else:
                main(options.names, options.manifest, options.suffix)
    except BuildError as error:
        sys.exit(f"beanft: {error}")
