"""The file format of a bundle: a tar of plain files, sums of them first, and a signature of the sums.

Every byte of it is either in a sum, in the signature, or the only one that may stand there: headers and
padding of the tar are compared with those that ``write`` makes. So a changed byte is refused wherever it is,
and so are links, other kinds of files, and members that nobody signed. Nothing is unpacked by name.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
BLOCK = tarfile.BLOCKSIZE
CHUNK = 2**20
# What is read into memory, and so has to be small.
MOST_BYTES = 2**20


class BundleProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """A bundle can't be made or used; the message is one sentence with cause and mend."""


@dataclass(frozen=True)
class Member:
    """Where a member is in a bundle."""

    name: str
    start: int
    size: int
    sha256: str


def header(name: str, size: int) -> bytes:
    """Return the only header that a member of this name and size may have."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def sums_of(members: dict[str, Path]) -> bytes:
    """Return the lines of sha256sum for some files, sorted."""
    lines = []
    for name, path in sorted(members.items()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines).encode()


def write(path: Path, members: dict[str, Path], sign: Callable[[bytes], str]) -> None:
    """Write a bundle of some files, in the order of their names: the same files give the same bytes."""
    sums = sums_of(members)
    with path.open("wb") as bundle:
        for name, data in ((SUMS, sums), (SIGNATURE, sign(sums).encode())):
            add(bundle, name, len(data), io.BytesIO(data))
        for name, source in sorted(members.items()):
            with source.open("rb") as file:
                add(bundle, name, source.stat().st_size, file)
        bundle.write(b"\0" * (2 * BLOCK))


def add(bundle: IO[bytes], name: str, size: int, source: IO[bytes]) -> None:
    """Write one member."""
    bundle.write(header(name, size))
    for chunk in iter(lambda: source.read(CHUNK), b""):
        bundle.write(chunk)
    bundle.write(b"\0" * (-size % BLOCK))


def verified(
    bundle: IO[bytes], verify: Callable[[bytes, str], str]
) -> tuple[str, dict[str, Member]]:
    """Check every byte of a bundle.

    Args:
        bundle: the open file, at its beginning.
        verify: checks the signature of some bytes and returns the signer's name, or raises.

    Returns:
        The signer's name, and the members by name.

    Raises:
        BundleProblem: it is no bundle, it is cut short, or it has been changed.
    """
    sums, signature = (read_small(bundle, name) for name in (SUMS, SIGNATURE))
    signer = verify(sums, signature.decode(errors="replace"))
    # From here on the sums are what the signer wrote.
    expected = {
        name: digest
        for digest, _, name in (line.partition("  ") for line in sums.decode().splitlines())
    }
    members: dict[str, Member] = {}
    while (found := next_header(bundle)) is not None:
        name, size = found
        if name in members or name not in expected:
            raise BundleProblem(f"it has a member that its maker did not sign: {name!r}")
        members[name] = Member(name, bundle.tell(), size, expected[name])
        digest = hashlib.sha256()
        for chunk in content(bundle, name, size):
            digest.update(chunk)
        if digest.hexdigest() != expected[name]:
            raise BundleProblem(
                f"its member {name} has been changed or damaged: its checksum does not fit"
            )
        check_padding(bundle, size)
    missing = sorted(set(expected) - set(members))
    if missing:
        raise BundleProblem(f"its member {missing[0]} is missing: it is not whole")
    return signer, members


def read_small(bundle: IO[bytes], name: str) -> bytes:
    """Return the content of the next member, which has to be this one."""
    found = next_header(bundle)
    if found is None or found[0] != name or found[1] > MOST_BYTES:
        raise BundleProblem(f"it is not a bundle: it has to begin with {SUMS} and {SIGNATURE}")
    data = b"".join(content(bundle, *found))
    check_padding(bundle, found[1])
    return data


def next_header(bundle: IO[bytes]) -> tuple[str, int] | None:
    """Return name and size of the next member, or nothing at the proper end."""
    block = bundle.read(BLOCK)
    if len(block) < BLOCK:
        raise BundleProblem("it is cut short" if bundle.tell() else "it is empty")
    if block == b"\0" * BLOCK:
        if bundle.read(BLOCK + 1) != b"\0" * BLOCK:
            raise BundleProblem("it is not as its maker wrote it: something is wrong with its end")
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        plain = header(info.name, info.size)
    except (tarfile.TarError, ValueError) as error:
        where = "it is not a bundle" if bundle.tell() == BLOCK else "a header in it is damaged"
        raise BundleProblem(f"{where}: {error}") from None
    if block != plain:
        raise BundleProblem(
            f"its member {info.name!r} is not as its maker wrote it: a link, or a changed header"
        )
    return info.name, info.size


def content(bundle: IO[bytes], name: str, size: int) -> Iterator[bytes]:
    """Yield the content of the member that begins here."""
    while size:
        chunk = bundle.read(min(size, CHUNK))
        if not chunk:
            raise BundleProblem(f"it is cut short, in its member {name}")
        size -= len(chunk)
        yield chunk


def check_padding(bundle: IO[bytes], size: int) -> None:
    """Read what fills a member's last block."""
    length = -size % BLOCK
    padding = bundle.read(length)
    if len(padding) < length:
        raise BundleProblem("it is cut short")
    if padding.strip(b"\0"):
        raise BundleProblem(
            "it is not as its maker wrote it: bytes have changed between its members"
        )
