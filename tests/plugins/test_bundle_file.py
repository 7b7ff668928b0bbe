"""The format of bundles: whatever is changed in one is refused, byte by byte."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
CONTENT = {"manifest.json": b"{}\n", "images.tar.gz": b"x" * 700, "stack/a": b""}


class Maker:
    """Makes small bundles and verifies them, with real signatures."""

    def __init__(self, program: Load, folder: Path) -> None:
        self.file = program("bundle_file")
        self.signatures = program("signatures")
        self.folder = folder
        self.key = self.signatures.make_key()
        self.signers = folder / "allowed_signers"
        self.signers.write_text(f"maker {self.signatures.public_key(self.key)}\n")
        # The same bytes have the same answer; asking takes two processes.
        self.check = functools.cache(self._check)
        self.bundle = self.make(CONTENT)

    def _check(self, data: bytes, signature: str) -> str:
        return str(self.signatures.verify(data, signature, self.signers))

    def make(self, content: dict[str, bytes]) -> bytes:
        """Return a bundle."""
        members = {}
        for at, (name, data) in enumerate(content.items()):
            members[name] = self.folder / str(at)
            members[name].write_bytes(data)
        path = self.folder / "bundle"
        self.file.write(path, members, lambda sums: self.signatures.sign(sums, self.key))
        return path.read_bytes()

    def verified(self, bundle: bytes) -> tuple[str, dict[str, Any]]:
        """Verify a bundle."""
        signer, members = self.file.verified(io.BytesIO(bundle), self.check)
        return signer, members

    def refused(self, bundle: bytes) -> str:
        """Verify a bundle that has to be refused, and return why."""
        with pytest.raises((self.file.BundleProblem, self.signatures.SignatureProblem)) as problem:
            self.verified(bundle)
        return str(problem.value)

    def start(self, name: str) -> int:
        """Return where the content of a member begins."""
        with tarfile.open(fileobj=io.BytesIO(self.bundle)) as archive:
            return archive.getmember(name).offset_data


@pytest.fixture(scope="module")
def maker(program: Load, tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(program, tmp_path_factory.mktemp("bundle"))


def test_verified_says_what_is_where(maker: Maker) -> None:
    signer, members = maker.verified(maker.bundle)
    assert signer == "maker"
    found = {
        name: maker.bundle[member.start : member.start + member.size]
        for name, member in members.items()
    }
    assert found == CONTENT
    assert list(members) == sorted(CONTENT)


def test_same_content_gives_the_same_bytes(maker: Maker) -> None:
    assert maker.make(dict(reversed(CONTENT.items()))) == maker.bundle


def test_usual_tools_read_it(maker: Maker, tmp_path: Path) -> None:
    (tmp_path / "bundle.tar").write_bytes(maker.bundle)
    subprocess.run(["tar", "xf", "bundle.tar"], cwd=tmp_path, check=True)
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_every_changed_byte_is_refused(maker: Maker) -> None:
    """Of what is in the sums and of headers and padding, each; of sums and signature, some."""
    slow = range(maker.start("SHA256SUMS"), maker.start("SHA256SUMS.sig") + 512)
    tried = [at for at in range(len(maker.bundle)) if at not in slow or at % 7 == 0]
    assert len(tried) > 4000
    for at in tried:
        changed = bytearray(maker.bundle)
        changed[at] ^= 1
        assert maker.refused(bytes(changed)), at


def test_every_shortened_bundle_is_refused(maker: Maker) -> None:
    for length in range(0, len(maker.bundle), 64):
        text = maker.refused(maker.bundle[:length])
        assert any(
            part in text for part in ("cut short", "is empty", "something is wrong with its end")
        ), text


@pytest.mark.parametrize("more", [b"\0", b"x", b"\0" * 512, b"\0" * 10240])
def test_lengthened_bundle_is_refused(maker: Maker, more: bytes) -> None:
    assert "something is wrong with its end" in maker.refused(maker.bundle + more)


def test_what_was_changed_is_said(maker: Maker) -> None:
    def at(place: int) -> str:
        changed = bytearray(maker.bundle)
        changed[place] ^= 1
        return maker.refused(bytes(changed))

    assert "member images.tar.gz has been changed" in at(maker.start("images.tar.gz") + 5)
    assert "member manifest.json has been changed" in at(maker.start("manifest.json"))
    assert "signature by maker" in at(maker.start("SHA256SUMS") + 3)
    assert "signature is damaged" in at(maker.start("SHA256SUMS.sig") + 3)


def rewritten(bundle: bytes, *more: tarfile.TarInfo, first: bool = False) -> bytes:
    """Return a bundle with members that its maker did not put there."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(bundle)) as before,
        tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as after,
    ):
        for member in more if first else ():
            after.addfile(member, io.BytesIO(b"x" * member.size))
        for member in before:
            after.addfile(member, before.extractfile(member))
        for member in () if first else more:
            after.addfile(member, io.BytesIO(b"x" * member.size))
    return target.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    info.mode = 0o644
    return info


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        (member("../outside", size=3), "did not sign: '../outside'"),
        (member("/outside", size=3), "did not sign: '/outside'"),
        (member("manifest.json", size=3), "did not sign: 'manifest.json'"),
        (
            member("link", tarfile.SYMTYPE, "/etc/passwd"),
            "'link' is not as its maker wrote it: a link",
        ),
        (member("manifest.json", tarfile.LNKTYPE, "SHA256SUMS"), "'manifest.json' is not as"),
        (member("device", tarfile.CHRTYPE), "'device' is not as"),
        (member("folder", tarfile.DIRTYPE), "'folder' is not as"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_members_that_nobody_signed_are_refused(
    maker: Maker, added: tarfile.TarInfo, sentence: str
) -> None:
    assert sentence in maker.refused(rewritten(maker.bundle, added))
    assert maker.refused(rewritten(maker.bundle, added, first=True))


def test_member_that_is_missing_is_refused(maker: Maker) -> None:
    whole = maker.bundle
    start = maker.start("stack/a") - 512
    assert "its member stack/a is missing" in maker.refused(whole[:start] + b"\0" * 1024)


def test_unknown_signer_is_refused(maker: Maker, program: Load, tmp_path: Path) -> None:
    other = Maker(program, tmp_path)
    assert "who is not in" in maker.refused(other.bundle)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\0" * 20480, b"x" * 20480, b"\x1f\x8b" + b"a" * 2000]
)
def test_what_is_no_bundle_is_refused(maker: Maker, content: bytes) -> None:
    assert maker.refused(content)


def test_long_sums_are_not_read_into_memory(maker: Maker) -> None:
    huge = maker.file.header("SHA256SUMS", 2**33 - 1)
    assert "it is not a bundle" in maker.refused(huge + b"\0" * 10240)


def saved(layers: list[bytes], order: int, time: int) -> tuple[bytes, list[str]]:
    """Return what `docker save` writes for two images that share all layers, and the ids of those."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    configs = [
        json.dumps(
            {"name": name, "rootfs": {"diff_ids": [f"sha256:{d}" for d in digests]}}
        ).encode()
        for name in ("one", "two")
    ]
    ids = [hashlib.sha256(config).hexdigest() for config in configs]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:

        def put(name: str, data: bytes = b"", link: str = "") -> None:
            info = member(name, tarfile.SYMTYPE if link else tarfile.REGTYPE, link, len(data))
            info.mtime, info.uname = time, "root"
            archive.addfile(info, io.BytesIO(data))

        real, other = ("a", "b") if order else ("b", "a")
        for at, layer in enumerate(layers):
            put(f"{real}{at}/layer.tar", layer)
            put(f"{other}{at}/layer.tar", link=f"../{real}{at}/layer.tar")
        images = []
        for at in (0, 1) if order else (1, 0):
            put(f"{ids[at]}.json", configs[at])
            names = [f"{'ab'[at]}{number}/layer.tar" for number in range(len(layers))]
            images.append(
                {"Config": f"{ids[at]}.json", "RepoTags": [f"name{time}"], "Layers": names}
            )
        put("manifest.json", json.dumps(images).encode())
    return target.getvalue(), [f"sha256:{digest}" for digest in ids]


def test_same_images_give_the_same_archive(program: Load, tmp_path: Path) -> None:
    """Whatever the engine's mood: order, links, times, names."""
    rewrite = program("image_archive").rewrite
    layers = [b"layer 1" * 1000, b"layer 2"]
    written = []
    for order in (0, 1):
        data, ids = saved(layers, order, 1000 + order)
        (tmp_path / "saved").write_bytes(data)
        target = io.BytesIO()
        rewrite(tmp_path / "saved", target, ids)
        written.append(target.getvalue())
    assert written[0] == written[1]
    with tarfile.open(fileobj=io.BytesIO(written[0])) as archive:
        assert sum(name.endswith(".tar") for name in archive.getnames()) == len(layers)
        for image in json.loads((archive.extractfile("manifest.json") or io.BytesIO()).read()):
            found = [(archive.extractfile(name) or io.BytesIO()).read() for name in image["Layers"]]
            assert found == layers


def test_archive_of_other_images_is_refused(program: Load, tmp_path: Path) -> None:
    archive = program("image_archive")
    data, ids = saved([b"layer"], 0, 0)
    (tmp_path / "saved").write_bytes(data)
    with pytest.raises(archive.ArchiveProblem, match="other ids"):
        archive.rewrite(tmp_path / "saved", io.BytesIO(), [ids[0], "sha256:" + "0" * 64])
