"""Saves one image as a file, and loads it: see bin/image."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import bundle
import bundle_file
import signatures
from bundle_file import BundleProblem, Member

# Debian 12's is the oldest that this has been tried with.
OLDEST_ENGINE = (20, 10)


def save(name: str) -> None:
    """Write an image that is built into dist/, with checksum and signature."""
    built = json.loads(bundle.BUILT.read_text()) if bundle.BUILT.exists() else {}
    if name not in built:
        raise BundleProblem(f"there is no image '{name}': run 'bin/images {name}' first")
    image = built[name]
    private_key, allowed_signers = bundle.signing_key()
    # As it will be called where it is loaded.
    reference = f"beanft/{name if ':' in name else name + ':' + image['version']}"
    dist = bundle.ROOT / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=dist) as folder:
        saved, _ = bundle.save([image["id"]], Path(folder), {image["id"]: reference})
        target = dist / (f"{name.replace(':', '-')}-{image['version']}" + "".join(saved.suffixes))
        named = saved.rename(saved.with_name(target.name))
        # As `sha256sum` writes it, so that it can be checked without this program.
        sums = bundle_file.sums_of({target.name: named})
        signature = signatures.sign(sums, private_key)
        for suffix in (".sha256", ".sha256.sig"):
            beside(target, suffix).unlink(missing_ok=True)
        named.replace(target)
        beside(target, ".sha256").write_bytes(sums)
        beside(target, ".sha256.sig").write_text(signature)
    print(
        f"image: {target.relative_to(bundle.ROOT)}, {target.stat().st_size / 1e6:.0f} MB, {reference}"
    )
    print(
        f"  revision {image['revision']}; hand it over with the .sha256 and .sha256.sig beside it. To load it:"
    )
    print(f"  make image-load FILE={target.name} SIGNERS=allowed_signers, the latter from")
    print(f"  {allowed_signers.relative_to(bundle.ROOT)}, handed over on a way you trust")


def beside(path: Path, suffix: str) -> Path:
    """Return the path of what belongs to a file."""
    return path.with_name(path.name + suffix)


def load(path: Path, signers: Path) -> None:
    """Verify an image's file, and give it to the engine."""
    check_engine()
    with path.open("rb") as file:
        with bundle.refusing(path):
            signer, archive = verified(path, signers)
            bundle.check_room(unpacked_bytes(file, archive))
        print(f"image: {path} is whole and signed by {signer}", flush=True)
        said = bundle.unpack(file, archive)
    found = re.search(r"^Loaded image: (\S+)$", said, re.M)
    if not found:
        raise BundleProblem(f"the engine does not say which image it took: {said.strip()}")
    reference = found[1]
    name = reference.removeprefix("beanft/").split(":")[0]
    bundle.docker("tag", reference, f"{os.environ['BEANFT_CHECKOUT']}/{name}")
    entry, command = (
        json.loads(bundle.docker("image", "inspect", "--format", form, reference)) or []
        for form in ("{{json .Config.Entrypoint}}", "{{json .Config.Cmd}}")
    )
    print(f"image: {reference} is loaded; it runs: {' '.join([*entry, *command])}")
    print("  to run it as it is meant to be, without rights and with a read-only root:")
    print(f"  docker run --rm --read-only --cap-drop ALL --tmpfs /tmp {reference}")
    if name == "cars":
        print(
            f"  results that stay: … --volume results:/home/results {reference} analysis, or bin/analysis"
        )
        print(
            f"  services on port 8080: … --publish 127.0.0.1:8080:80 {reference} cars-api, or cars-dashboard"
        )


def unpacked_bytes(file: IO[bytes], archive: Member) -> int:
    """Return how long an archive is when it is unpacked, which has to work."""
    with subprocess.Popen(
        bundle.decompressor(archive), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as unpacker:
        assert unpacker.stdout is not None  # noqa: S101 - says so to mypy
        length = 0
        while chunk := unpacker.stdout.read(bundle_file.CHUNK):
            length += len(chunk)
    if unpacker.returncode:
        raise BundleProblem("it can't be unpacked")
    return length


def check_engine() -> None:
    """Refuse an engine that is too old to take images as they are made today."""
    version = bundle.docker("version", "--format", "{{.Server.Version}}")
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST_ENGINE:
        oldest = ".".join(str(part) for part in OLDEST_ENGINE)
        raise BundleProblem(
            f"the Docker engine is {version} and has to be {oldest} or newer: upgrade it"
        )


def verified(path: Path, signers: Path) -> tuple[str, Member]:
    """Return who signed a file's checksum, and the file as a member to unpack, where all fits."""
    sums_path, signature_path = (beside(path, suffix) for suffix in (".sha256", ".sha256.sig"))
    for needed in (sums_path, signature_path):
        if not needed.is_file():
            raise BundleProblem(
                f"{needed.name} has to be beside it: fetch that from where this came from"
            )
        if needed.stat().st_size > bundle_file.MOST_BYTES:
            raise BundleProblem(f"{needed.name} is too long")
    sums = sums_path.read_bytes()
    signer = signatures.verify(sums, signature_path.read_text(errors="replace"), signers)
    found = re.fullmatch(r"([0-9a-f]{64})  ([^/\n]+)\n", sums.decode(errors="replace"))
    # Under another name it may be another image's file, whose checksum was signed as well.
    if not found or found[2] != path.name:
        raise BundleProblem(
            f"{sums_path.name} is the checksum of {found[2] if found else 'nothing'}, not of this file"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != found[1]:
        raise BundleProblem("it has been changed or damaged: its checksum does not fit")
    return signer, Member(path.name, 0, path.stat().st_size, digest)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="bin/image", description="One image as a file.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("save", help="of the images in build/images.json").add_argument("name")
    verbs.add_parser("load", help="verify one, and load it").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.verb == "save":
        save(options.name)
    else:
        state = Path(os.environ["BEANFT_STATE"])
        load(options.file, Path(os.environ.get("SIGNERS") or state / "allowed_signers"))


if __name__ == "__main__":
    bundle.guarded(main, "the image can't be saved or loaded")
