"""`bin/bundle` and `bin/image` as people call them, on the machine's own engine, from one checkout to another.

With small images instead of the application's, so that it takes seconds.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("api", "edge", "registry", "web", "worker")
NEEDED = (
    "bin/_env",
    "bin/bundle",
    "bin/bundle.py",
    "bin/bundle_file.py",
    "bin/image",
    "bin/image.py",
    "bin/image_archive.py",
    "bin/vault",
    "bin/vault.py",
    "ansible/plugins/module_utils",
    "ansible/roles/edge/templates",
    "ansible/roles/release/templates",
)


class Tree:
    """A checkout with what `bin/bundle` needs, and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in NEEDED:
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target)
            else:
                shutil.copy2(ROOT / name, target)
        (path / ".venv").symlink_to(Path(sys.prefix))
        self.checkout = self.script("bash", "-c", ". bin/_env; printf %s $BEANFT_CHECKOUT")

    def script(self, *command: str | Path, code: int = 0, **variables: str) -> str:
        """Run a command in the checkout and return what it printed."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**kept, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        return text

    def refuses(self, file: Path, program: str = "bin/bundle", **variables: str) -> str:
        """Load a file that has to be refused; return the one sentence that says why."""
        before = sorted(self.path.rglob("*"))
        text = self.script(program, "load", file, code=1, **variables)
        assert len(text.splitlines()) == 1, text
        assert sorted(self.path.rglob("*")) == before, "nothing is written"
        return text

    def make(self) -> Path:
        """Make the bundle and return where it is."""
        self.script("bin/bundle", "make")
        return next((self.path / "dist").glob("*.bundle.tar"))


def docker(*arguments: str, data: bytes = b"", check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True, check=check)
    return done.stdout.decode().strip()


def present(ids: list[str]) -> list[bool]:
    known = docker("image", "ls", "--all", "--quiet", "--no-trunc").split()
    return [image in known for image in ids]


class Maker(Tree):
    """The checkout that has built images: small ones, as nobody else has them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        manifest = {}
        for name in NAMES:
            layer = io.BytesIO()
            with tarfile.open(fileobj=layer, mode="w") as archive:
                content = f"{name} {uuid.uuid4()}".encode()
                info = tarfile.TarInfo("content")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            reference = f"{self.checkout}/{name}"
            identity = docker("import", "-", reference, data=layer.getvalue())
            manifest[name] = {
                "reference": reference, "id": identity, "bytes": 1000, "version": "1.2.3",
                "revision": "0123456789ab", "inputs": "i", "migrations": "m",
            }  # fmt: skip
        (path / "build").mkdir()
        (path / "build/images.json").write_text(json.dumps(manifest))
        self.manifest = manifest
        self.ids = [manifest[name]["id"] for name in NAMES]

    @property
    def signers(self) -> str:
        """Return the file to hand over."""
        return str(self.path / ".local/local-local/allowed_signers")

    def forget(self) -> None:
        """Remove the images from the engine."""
        for identity in self.ids:
            docker("rmi", "--force", identity, check=False)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    made = Maker(tmp_path_factory.mktemp("maker"))
    yield made
    made.forget()


@pytest.fixture(scope="module")
def bundle(maker: Maker) -> Path:
    made = maker.make()
    assert made.name == "beanft-1.2.3-0123456789ab.bundle.tar"
    return made


@pytest.fixture
def other(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "other")


def test_again_gives_the_same_bytes(maker: Maker, bundle: Path) -> None:
    before = bundle.read_bytes()
    assert maker.make().read_bytes() == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_another_checkout_loads_it(maker: Maker, bundle: Path, other: Tree) -> None:
    own = {"reference": "x/host-ready:trixie", "id": "sha256:1"}
    (other.path / "build").mkdir()
    (other.path / "build/images.json").write_text(json.dumps({"host-ready:trixie": own}))
    maker.forget()
    assert not any(present(maker.ids))
    # Relative paths, as people type them.
    shutil.copy(bundle, other.path / "here.tar")
    shutil.copy(maker.signers, other.path / "signers")
    text = other.script("bin/bundle", "load", "here.tar", SIGNERS="signers")
    assert "here.tar is whole and signed by beanft-local-local; revision 0123456789ab" in text
    assert all(present(maker.ids))
    written = json.loads((other.path / "build/images.json").read_text())
    expected = {
        name: {**image, "reference": f"{other.checkout}/{name}"}
        for name, image in maker.manifest.items()
    }
    assert written == {**expected, "host-ready:trixie": own}
    for image in expected.values():
        named = docker("image", "inspect", "--format", "{{.Id}}", str(image["reference"]))
        assert named == image["id"]


def test_changed_byte_is_refused_before_anything_is_loaded(
    maker: Maker, bundle: Path, other: Tree
) -> None:
    maker.forget()
    content = bytearray(bundle.read_bytes())
    content[content.index(b"manifest.json", 2048) + 600] ^= 1
    (other.path / "changed.tar").write_bytes(content)
    text = other.refuses(Path("changed.tar"), SIGNERS=maker.signers)
    assert (
        "changed.tar is refused, and nothing is changed: its member manifest.json has been" in text
    )
    (other.path / "changed.tar").write_bytes(bundle.read_bytes()[:-5000])
    assert "cut short" in other.refuses(Path("changed.tar"), SIGNERS=maker.signers)
    assert not any(present(maker.ids))
    assert not (other.path / "build").exists()


def test_unknown_signer_is_refused(bundle: Path, other: Tree) -> None:
    assert "no signature can be trusted" in other.refuses(bundle)
    other.script("bin/vault", "ensure")
    text = other.refuses(bundle)
    assert ".local/local-local/allowed_signers: add the line from the signer's own file" in text


def test_checkout_with_another_stack_is_refused(maker: Maker, bundle: Path, other: Tree) -> None:
    template = other.path / "ansible/roles/release/templates/stack.yml.j2"
    template.write_text(template.read_text() + "\n")
    text = other.refuses(bundle, SIGNERS=maker.signers)
    assert (
        "release/templates/stack.yml.j2 than this checkout has: check out its revision, git checkout 0123"
        in text
    )


def test_no_room_is_said_before_anything_is_loaded(
    maker: Maker, bundle: Path, other: Tree, tmp_path: Path
) -> None:
    """The engine says that its data are on a disk that is full, /proc being one."""
    client = tmp_path / "client"
    client.mkdir()
    (client / "docker").write_text('#!/bin/sh\n[ "$1" = info ] && echo /proc\n')
    (client / "docker").chmod(0o755)
    path = f"{client}:{os.environ['PATH']}"
    text = other.refuses(bundle, SIGNERS=maker.signers, PATH=path)
    assert "/proc has 0.0 GB free and the images need 0.2 GB: make room there" in text


def test_what_is_not_there_or_no_bundle_is_said(maker: Maker, other: Tree) -> None:
    assert "No such file or directory, none.tar" in other.refuses(Path("none.tar"))
    text = other.refuses(Path("bin/_env"), SIGNERS=maker.signers)
    assert "bin/_env is refused, and nothing is changed: it is not a bundle" in text


def test_images_that_are_not_built_are_named(other: Tree) -> None:
    text = other.script("bin/bundle", "make", code=1)
    assert "not built: api, edge, registry, web, worker. Run 'make images' first." in text


def test_images_of_two_revisions_are_refused(maker: Maker, other: Tree) -> None:
    (other.path / "build").mkdir()
    mixed = {**maker.manifest, "web": {**maker.manifest["web"], "revision": "other"}}
    (other.path / "build/images.json").write_text(json.dumps(mixed))
    assert "of several revisions" in other.script("bin/bundle", "make", code=1)


# One image as a file. tests/cars has the way of a real one.


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    """Another maker: the images of the other one have been removed by now."""
    made = Maker(tmp_path_factory.mktemp("sender"))
    yield made
    made.forget()


@pytest.fixture(scope="module")
def saved(sender: Maker) -> Path:
    """The file of an image, as its maker hands it over."""
    said = sender.script("bin/image", "save", "web")
    path = next((sender.path / "dist").glob("web-1.2.3.tar.*[!6g]"))
    assert said.startswith(f"image: dist/{path.name}, 0 MB, beanft/web:1.2.3\n")
    assert len(list((sender.path / "dist").glob("web-*"))) == 3
    return path


@pytest.fixture
def received(saved: Path, other: Tree) -> Path:
    """The same where it has been handed to."""
    for suffix in ("", ".sha256", ".sha256.sig"):
        shutil.copy(f"{saved}{suffix}", other.path)
    return other.path / saved.name


@pytest.fixture
def refuses(saved: Path, sender: Maker, other: Tree) -> Callable[..., str]:
    """Load a file that has to be refused before the engine has anything of it; return why."""
    sender.forget()

    def act(path: Path, **variables: str) -> str:
        said = other.refuses(path, "bin/image", **{"SIGNERS": sender.signers, **variables})
        assert not any(present(sender.ids))
        return said

    return act


def engine_that_says(folder: Path, what: str, answer: str) -> str:
    """Return a PATH on which the docker client answers one question so, and the others as ever."""
    folder.mkdir()
    client = folder / "docker"
    client.write_text(
        f'#!/bin/sh\n[ "$1" = {what} ] && {{ echo {answer}; exit; }}\nexec {shutil.which("docker")} "$@"\n'
    )
    client.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_an_image_comes_to_another_checkout(sender: Maker, received: Path, other: Tree) -> None:
    sender.forget()
    said = other.script("bin/image", "load", received.name, SIGNERS=sender.signers)
    assert f"image: {received.name} is whole and signed by beanft-local-local" in said
    assert "docker run --rm --read-only --cap-drop ALL --tmpfs /tmp beanft/web:1.2.3" in said
    for name in ("beanft/web:1.2.3", f"{other.checkout}/web"):
        identity = docker("image", "inspect", "--format", "{{.Id}}", name)
        assert identity == sender.manifest["web"]["id"]
    docker("rmi", "beanft/web:1.2.3", f"{other.checkout}/web")


def test_its_checksum_and_signature_need_no_program_of_ours(sender: Maker, received: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", f"{received.name}.sha256"], cwd=received.parent, check=True
    )
    command = ["ssh-keygen", "-Y", "verify", "-f", sender.signers, "-I", "beanft-local-local"]
    command += ["-n", "beanft-release", "-s", f"{received}.sha256.sig"]
    subprocess.run(command, input=Path(f"{received}.sha256").read_bytes(), check=True)


def test_an_image_again_gives_the_same_bytes(sender: Maker, saved: Path) -> None:
    before = saved.read_bytes()
    sender.script("bin/image", "load", f"dist/{saved.name}")  # other tests may have removed it
    sender.script("bin/image", "save", "web")
    assert saved.read_bytes() == before
    docker("rmi", "beanft/web:1.2.3")


def test_a_damaged_image_is_refused(received: Path, refuses: Callable[..., str]) -> None:
    content = bytearray(received.read_bytes())
    content[len(content) // 2] ^= 1
    received.write_bytes(content)
    assert (
        f"{received.name} is refused, and nothing is changed: it has been changed or damaged"
        in refuses(received)
    )
    received.write_bytes(content[:-10])
    assert "its checksum does not fit" in refuses(received)


def test_a_changed_checksum_is_refused(received: Path, refuses: Callable[..., str]) -> None:
    received.write_bytes(b"something else")
    digest = hashlib.sha256(b"something else").hexdigest()
    Path(f"{received}.sha256").write_text(f"{digest}  {received.name}\n")
    assert "does not fit: what was signed has been changed" in refuses(received)


def test_another_images_file_is_refused(received: Path, refuses: Callable[..., str]) -> None:
    other = received.with_name("api-1.2.3" + "".join(received.suffixes[-2:]))
    for suffix in ("", ".sha256", ".sha256.sig"):
        Path(f"{received}{suffix}").rename(f"{other}{suffix}")
    assert f"is the checksum of {received.name}, not of this file" in refuses(other)


def test_a_foreign_signature_is_refused(
    received: Path, refuses: Callable[..., str], other: Tree
) -> None:
    assert "no signature can be trusted" in refuses(received, SIGNERS="none")
    other.script("bin/vault", "ensure")
    text = refuses(received, SIGNERS="")
    assert ".local/local-local/allowed_signers: add the line from the signer's own file" in text


def test_a_file_alone_is_refused(received: Path, refuses: Callable[..., str]) -> None:
    Path(f"{received}.sha256.sig").unlink()
    assert f"{received.name}.sha256.sig has to be beside it" in refuses(received)
    assert "No such file or directory, none.tar.zst" in refuses(Path("none.tar.zst"))


def test_a_full_disk_and_an_old_engine_are_said(
    received: Path, refuses: Callable[..., str], tmp_path: Path
) -> None:
    full = engine_that_says(tmp_path / "full", "info", "/proc")
    assert "/proc has 0.0 GB free and the images need 0.2 GB: make room" in refuses(
        received, PATH=full
    )
    old = engine_that_says(tmp_path / "old", "version", "18.09.1")
    assert "the Docker engine is 18.09.1 and has to be 20.10 or newer" in refuses(
        received, PATH=old
    )


def test_an_image_that_is_not_built_can_not_be_saved(other: Tree) -> None:
    said = other.script("bin/image", "save", "web", code=1)
    assert said == "beanft: there is no image 'web': run 'bin/images web' first\n"
