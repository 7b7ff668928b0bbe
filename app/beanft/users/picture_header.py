"""What kind of picture a file is and how large, from its first bytes and before any decoding.

A picture of 20 kB can unfold to a gigabyte, so its size is looked at here, and not by a library
that has set memory aside by then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# JPEG's markers of a frame (ITU-T T.81, table B.1): all from SOF0 but DHT, JPG and DAC.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """A format by the name that Pillow has for it, and width and height in pixels."""

    format: str
    width: int
    height: int


def _png(content: bytes) -> tuple[int, int] | None:
    if content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _gif(content: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _webp(content: bytes) -> tuple[int, int] | None:
    # RFC 9649, sections 2.5 to 2.7.
    kind = content[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(content[24:27], "little") + 1,
            int.from_bytes(content[27:30], "little") + 1,
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", content, at)
        if mark != 0xFF:
            return None
        if kind == 0xFF:  # a filler
            at += 1
            continue
        if kind in FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + length


READERS = (
    (b"\xff\xd8\xff", "JPEG", _jpeg),
    (b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (b"GIF87a", "GIF", _gif),
    (b"GIF89a", "GIF", _gif),
    (b"RIFF", "WEBP", _webp),
)


def read_header(content: bytes) -> PictureHeader | None:
    """Return a picture's header; None unless it is a JPEG, PNG, WebP or GIF."""
    for start, name, reader in READERS:
        if not content.startswith(start) or (name == "WEBP" and content[8:12] != b"WEBP"):
            continue
        try:
            size = reader(content)
        except struct.error:  # it ends before its size is said
            return None
        return PictureHeader(name, *size) if size and min(size) > 0 else None
    return None
