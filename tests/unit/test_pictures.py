"""Profile pictures: what is taken, what it becomes, and bombs."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from beanft.core.database import Database
from beanft.core.errors import InvalidError
from beanft.core.schema_revision import MIGRATIONS
from beanft.storage.files import Storage
from beanft.users import pictures, service
from beanft.users.models import User
from beanft.users.picture_header import PictureHeader, read_header
from tests.kept import Kept

BLUE, RED = (0, 0, 255), (255, 0, 0)
ORIENTATION, MAKE = 0x0112, 0x010F
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
TAKE = """
import resource, sys
from pathlib import Path
from PIL import Image, PngImagePlugin
from beanft.core.errors import InvalidError
from beanft.users.pictures import make_small
content = Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    make_small(content)
    said = "taken"
except InvalidError as error:
    said = error.detail
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(used / 1000, said, sep="|")
"""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def halves() -> Image.Image:
    """Blue on the left, red on the right, wider than high."""
    image = Image.new("RGB", (400, 300), RED)
    image.paste(BLUE, (0, 0, 200, 300))
    return image


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(have - want) < 25 for have, want in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_becomes_a_small_square_webp(kind: str) -> None:
    content = encoded(halves(), kind)
    assert read_header(content) == PictureHeader(kind, 400, 300)
    small = opened(pictures.make_small(content))
    assert (small.format, small.size, small.mode) == ("WEBP", (256, 256), "RGB")
    assert near(small.getpixel((10, 128)), BLUE)
    assert near(small.getpixel((245, 128)), RED)


@pytest.mark.parametrize(
    ("orientation", "blue"), [(1, (10, 128)), (3, (245, 128)), (6, (128, 10)), (8, (128, 245))]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_is_turned_as_the_camera_was_and_says_nothing_of_it(
    kind: str, orientation: int, blue: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Secret camera"
    content = encoded(halves(), kind, exif=exif, icc_profile=b"secret profile" * 20)
    assert b"Secret camera" in content
    made = pictures.make_small(content)
    assert near(opened(made).getpixel(blue), BLUE)
    assert b"ecret" not in made
    assert not {"exif", "icc_profile", "xmp"} & set(opened(made).info)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixel_is_taken(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    small = opened(pictures.make_small(encoded(Image.new(mode, (30, 50)), kind)))
    assert small.mode == ("RGBA" if mode in {"LA", "RGBA"} else "RGB")


def test_lossless_lossy_and_extended_webp_say_their_size() -> None:
    plain = Image.new("RGB", (61, 47), RED)
    for options in ({"lossless": True}, {"quality": 50}, {"exif": Image.Exif().tobytes()}):
        assert read_header(encoded(plain, "WEBP", **options)) == PictureHeader("WEBP", 61, 47)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (encoded(halves(), "TIFF"), "not a picture"),
        (encoded(halves(), "BMP"), "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a picture"),
        (b"GIF89a\x00\x00\x00\x00" + bytes(20), "not a picture"),
        (b"\xff\xd8\xff\xff\xff\xe0\x00\x02no marker", "not a picture"),
        (b"RIFF\x00\x00\x00\x00WEBPNONE" + bytes(20), "not a picture"),
        (b"RIFF\x00\x00\x00\x00WAVEVP8 " + bytes(20), "not a picture"),
        (encoded(halves(), "PNG")[:200], "damaged"),
        (encoded(halves(), "JPEG")[:300], "damaged"),
        (encoded(halves(), "WEBP")[:60], "damaged"),
        (encoded(halves(), "GIF")[:30], "damaged"),
        (b"\xff\xd8\xff" + bytes(pictures.MAX_BYTES), "larger than 10 MB"),
    ],
)
def test_anything_else_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as caught:
        pictures.make_small(content)
    assert caught.value.errors[0]["field"] == "picture"


def png_bomb(width: int, height: int) -> bytes:
    """A black PNG of 1 bit a pixel, without making its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def webp_bomb() -> bytes:
    """A small WebP that says that its canvas is 16383 pixels wide and high."""
    content = bytearray(encoded(Image.new("RGBA", (9, 9)), "WEBP", exif=b"Exif\0\0" + b"x" * 9))
    assert content[12:16] == b"VP8X"
    content[24:30] = (16382).to_bytes(3, "little") * 2
    return bytes(content)


def gif_bomb() -> bytes:
    """A GIF of one pixel whose frame is 20000 pixels wide and high."""
    content = bytearray(encoded(Image.new("P", (1, 1)), "GIF"))
    at = content.index(b"\x2c", 13)
    content[at + 5 : at + 9] = struct.pack("<HH", 20000, 20000)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png_bomb(13000, 13000), "13000 by 13000"),
        (webp_bomb(), "16383 by 16383"),
        (gif_bomb(), "damaged"),
    ],
    ids=["png", "webp", "gif"],
)
def test_bombs_are_refused_within_100_mb(content: bytes, said: str, tmp_path: Path) -> None:
    assert len(content) < 25_000
    path = tmp_path / "bomb"
    path.write_bytes(content)
    answer = subprocess.run(
        [sys.executable, "-c", TAKE, str(path)],
        env={"PYTHONPATH": str(MIGRATIONS.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    megabytes, heard = answer.stdout.strip().split("|")
    assert said in heard
    assert float(megabytes) < 100


def test_the_picture_before_and_the_accounts_are_deleted(
    database: Database, storage: Storage, kept_files: Kept
) -> None:
    user = service.register(database, "ada.lovelace@example.org", "a good long password")
    before = pictures.version(user)
    for kind in ("PNG", "JPEG"):
        pictures.set_picture(database, storage, user.id, encoded(halves(), kind))
    found = service.find_user(database, user.id)
    assert found is not None
    assert found.picture_key is not None
    assert pictures.version(found) != before
    assert kept_files.stored("pictures") == [found.picture_key]
    service.delete_account(database, storage, user.id)
    assert kept_files.stored("pictures") == []


def test_initials_stand_in_also_when_the_file_is_gone(storage: Storage) -> None:
    user = User(id="0" * 20, email="ada.lovelace@example.org", picture_key=None)
    assert pictures.open_picture(storage, user).content_type == "image/svg+xml"
    user.picture_key = f"pictures/{'0' * 32}.webp"
    assert b">AL</text>" in pictures.open_picture(storage, user).content


@pytest.mark.parametrize(
    ("email", "letters"),
    [
        ("ada.lovelace@example.org", "AL"),
        ("ada@example.org", "A"),
        ("<b>@example.org", "B"),
        ("élise-x@example.org", "ÉX"),
        ("__@example.org", "?"),
    ],
)
def test_initials(email: str, letters: str) -> None:
    assert pictures.initials(email) == letters
