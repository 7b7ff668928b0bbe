"""Makes and loads bundles: see bin/bundle."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import bundle_file
import image_archive
import signatures
from bundle_file import BundleProblem, Member
from image_archive import ArchiveProblem

ROOT = Path(__file__).resolve().parent.parent
# The registry too: a control machine without a network can't build one.
NAMES = ("api", "edge", "registry", "web", "worker")
BUILT = ROOT / "build" / "images.json"
MANIFEST, STACK = "manifest.json", "stack/"
# What a deploy makes of the images. Loaded into a checkout that has others, they would not be that release.
TEMPLATES = (
    "ansible/roles/edge/templates/haproxy.cfg.j2",
    "ansible/roles/edge/templates/stack.yml.j2",
    "ansible/roles/release/templates/stack.yml.j2",
)
# Suffix, how to compress, how to decompress. For these images zstd takes a tenth of gzip's time and makes less.
FORMS = (
    ("zst", ["zstd", "-q", "-3", "-T0"], ["zstd", "-dcq"]),
    ("gz", ["gzip", "-nc"], ["gzip", "-dc"]),
)
SPARE_BYTES = 200_000_000


def docker(*arguments: str) -> str:
    """Return what the docker client prints, or fail with what it says."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BundleProblem("there is no docker client: run 'make engine' first") from None
    if done.returncode:
        raise BundleProblem(f"docker {arguments[0]} failed: {signatures.last_line(done.stderr)}")
    return done.stdout.strip()


def images_built() -> dict[str, dict[str, Any]]:
    """Return the images of this checkout that go into a bundle."""
    built = json.loads(BUILT.read_text()) if BUILT.exists() else {}
    missing = [name for name in NAMES if name not in built]
    if missing:
        raise BundleProblem(f"not built: {', '.join(missing)}. Run 'make images' first.")
    images = {name: built[name] for name in NAMES}
    if len({(image["version"], image["revision"]) for image in images.values()}) > 1:
        raise BundleProblem("the built images are of several revisions: run 'make images' again")
    # Where they came from, not what they are: another checkout calls them otherwise.
    return {
        name: {key: value for key, value in image.items() if key != "reference"}
        for name, image in images.items()
    }


def signing_key() -> tuple[str, Path]:
    """Return the environment's key for signatures, and the file by which others know what it signed."""
    # Not at the top: who only loads has no vault, and on a machine without tools none of what reads one.
    import vault
    from vault_file import VaultProblem

    environment = vault.Vault(Path(os.environ["BEANFT_STATE"]))
    try:
        environment.ensure()
        return str(environment.read()["signing_key"]), environment.allowed_signers
    except VaultProblem as problem:
        raise BundleProblem(str(problem)) from problem


def make() -> None:
    """Write the bundle of the images that are built."""
    images = images_built()
    first = images[NAMES[0]]
    target = ROOT / "dist" / f"beanft-{first['version']}-{first['revision']}.bundle.tar"
    target.parent.mkdir(exist_ok=True)
    private_key, allowed_signers = signing_key()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=target.parent) as name:
        folder = Path(name)
        images_path, unpacked = save([images[name]["id"] for name in NAMES], folder)
        manifest = {"images": images, "archive": images_path.name, "unpacked": unpacked}
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        (folder / MANIFEST).write_text(text)
        members = {MANIFEST: folder / MANIFEST, images_path.name: images_path}
        members |= {STACK + path: ROOT / path for path in TEMPLATES}
        whole = folder / "whole"
        bundle_file.write(whole, members, lambda sums: signatures.sign(sums, private_key))
        whole.replace(target)
    size, seconds = target.stat().st_size / 1e6, time.monotonic() - started
    print(f"bundle: {target.relative_to(ROOT)}, {size:.0f} MB, {seconds:.1f} s")
    print(
        f"  to load it elsewhere: make deploy BUNDLE={target.name} SIGNERS=allowed_signers, the latter from"
    )
    print(f"  {allowed_signers.relative_to(ROOT)}, handed over on a way you trust")


def save(ids: list[str], folder: Path, names: dict[str, str] | None = None) -> tuple[Path, int]:
    """Save images as one compressed tar, and return its path and how long the tar is.

    Args:
        ids: which images. By id and not by name: names are a checkout's own.
        folder: where the tar goes.
        names: by id, what an engine that loads them shall call them.
    """
    form = next((form for form in FORMS if shutil.which(form[1][0])), None)
    if form is None:
        raise BundleProblem("neither zstd nor gzip is there: install zstd")
    suffix, compress, _ = form
    saved, path = folder / "saved.tar", folder / f"images.tar.{suffix}"
    docker("save", "--output", str(saved), *ids)
    with (
        path.open("wb") as file,
        subprocess.Popen(compress, stdin=subprocess.PIPE, stdout=file) as packer,
    ):
        assert packer.stdin is not None  # noqa: S101 - says so to mypy
        try:
            length = image_archive.rewrite(saved, packer.stdin, ids, names)
            packer.stdin.close()
        except BrokenPipeError:
            length = 0
        if packer.wait() or not length:
            raise BundleProblem(f"{compress[0]} failed: is there room in {folder.parent}?")
    saved.unlink()
    return path, length


def load(path: Path, signers: Path) -> None:
    """Verify a bundle, load its images, and write build/images.json."""
    started = time.monotonic()
    checkout = os.environ["BEANFT_CHECKOUT"]
    with path.open("rb") as bundle:
        with refusing(path):
            signer, members = bundle_file.verified(
                bundle, lambda data, text: signatures.verify(data, text, signers)
            )
            manifest = json.loads(read(bundle, members[MANIFEST]))
            images: dict[str, dict[str, Any]] = manifest["images"]
            revision = images["web"]["revision"]
            check_stack(bundle, members, revision)
            check_room(manifest["unpacked"])
            archive = members[manifest["archive"]]
        print(f"bundle: {path} is whole and signed by {signer}; revision {revision}", flush=True)
        unpack(bundle, archive)
    for name, image in images.items():
        if docker("image", "inspect", "--format", "{{.Id}}", image["id"]) != image["id"]:
            raise BundleProblem(f"the engine has {name} under another id than {image['id']}")
    for name, image in images.items():
        image["reference"] = f"{checkout}/{name}"
        docker("tag", image["id"], image["reference"])
    before = json.loads(BUILT.read_text()) if BUILT.exists() else {}
    BUILT.parent.mkdir(exist_ok=True)
    temporary = BUILT.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(before | images, indent=2, sort_keys=True) + "\n")
    temporary.replace(BUILT)
    print(f"bundle: {len(images)} images loaded, {time.monotonic() - started:.1f} s")


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Say of everything that is wrong with a bundle which one it is."""
    try:
        yield
    except (BundleProblem, signatures.SignatureProblem) as problem:
        raise BundleProblem(f"{path} is refused, and nothing is changed: {problem}") from problem
    except KeyError as problem:
        raise BundleProblem(
            f"{path} is refused, and nothing is changed: it has no {problem}, so another version of beanft "
            "made it; check out that"
        ) from problem


def read(bundle: IO[bytes], member: Member) -> bytes:
    """Return the content of a small member."""
    bundle.seek(member.start)
    if member.size > bundle_file.MOST_BYTES:
        raise BundleProblem(f"its member {member.name} is too long")
    data = bundle.read(member.size)
    if hashlib.sha256(data).hexdigest() != member.sha256:
        raise BundleProblem("it changed while it was read")
    return data


def check_stack(bundle: IO[bytes], members: dict[str, Member], revision: str) -> None:
    """Refuse images that this checkout would deploy in another way than their own."""
    stack = {name.removeprefix(STACK): name for name in members if name.startswith(STACK)}
    for path in sorted({*stack, *TEMPLATES}):
        own = ROOT / path
        if (
            path not in stack
            or not own.exists()
            or read(bundle, members[stack[path]]) != own.read_bytes()
        ):
            raise BundleProblem(
                f"it was made with another {path} than this checkout has: check out its revision, "
                f"git checkout {revision.split('-')[0]}"
            )


def check_room(unpacked: int) -> None:
    """Refuse what does not fit on the engine's disk."""
    root = Path(docker("info", "--format", "{{.DockerRootDir}}"))
    # Twice: the engine unpacks it all before it takes the layers over.
    wanted = 2 * unpacked + SPARE_BYTES
    free = shutil.disk_usage(root).free if root.is_dir() else wanted
    if free < wanted:
        raise BundleProblem(
            f"{root} has {free / 1e9:.1f} GB free and the images need {wanted / 1e9:.1f} GB: make room there"
        )


def decompressor(archive: Member) -> list[str]:
    """Return the command that decompresses an archive of images."""
    decompress = next((form[2] for form in FORMS if archive.name.endswith(form[0])), None)
    if decompress is None or not shutil.which(decompress[0]):
        raise BundleProblem(
            f"its images are in {archive.name}: install {(decompress or ['zstd'])[0]}"
        )
    return decompress


def unpack(bundle: IO[bytes], archive: Member) -> str:
    """Give the images to the engine, make sure that they are those that were verified, return what it says."""
    decompress = decompressor(archive)
    bundle.seek(archive.start)
    digest = hashlib.sha256()
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as words,
        subprocess.Popen(decompress, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as unpacker,
        subprocess.Popen(
            ["docker", "load", "--quiet"],
            stdin=unpacker.stdout,
            stdout=said,
            stderr=words,
        ) as engine,
    ):
        assert unpacker.stdin is not None  # noqa: S101 - says so to mypy
        assert unpacker.stdout is not None  # noqa: S101
        unpacker.stdout.close()  # it is the engine's
        try:
            for chunk in bundle_file.content(bundle, archive.name, archive.size):
                digest.update(chunk)
                unpacker.stdin.write(chunk)
            unpacker.stdin.close()
        except BrokenPipeError:
            unpacker.kill()
        if engine.wait() or unpacker.wait():
            words.seek(0)
            cause = signatures.last_line(words.read().decode(errors="replace"))
            raise BundleProblem(f"the engine did not take the images: {cause}")
        said.seek(0)
        text = said.read().decode(errors="replace")
    if digest.hexdigest() != archive.sha256:
        raise BundleProblem("it changed while it was read")
    return text


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="bin/bundle", description="One signed file to deploy from."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make", help="of the images in build/images.json, into dist/")
    verbs.add_parser("load", help="verify one, and load it").add_argument("file", type=Path)
    options = parser.parse_args()
    if options.verb == "make":
        make()
    else:
        state = Path(os.environ["BEANFT_STATE"])
        load(options.file, Path(os.environ.get("SIGNERS") or state / "allowed_signers"))


def guarded(command: Callable[[], None], trouble: str) -> None:
    """Run a command; where it can't be done it ends with one sentence, and a full or missing disk is `trouble`."""
    # What is half written is removed when a pipeline ends us, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        command()
    except (BundleProblem, ArchiveProblem, signatures.SignatureProblem) as problem:
        sys.exit(f"beanft: {problem}")
    except OSError as problem:
        sys.exit(f"beanft: {trouble}: {problem.strerror}, {problem.filename or 'on the disk'}")


if __name__ == "__main__":
    guarded(main, "the bundle can't be made or read")
