"""Profile pictures: a person's initials, or a picture that they sent, made anew and small."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from beanft.core.database import Database
from beanft.core.errors import InvalidError, NotFoundError
from beanft.storage.files import Storage, undone_on_error
from beanft.users.models import User
from beanft.users.picture_header import read_header

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 10_000_000
# What takes 100 MB to decode and crop, as measured: 9, 9 and 16 bytes a pixel. Of a JPEG, nearly
# nothing, since it is decoded small; a progressive one is held whole at 6 bytes a pixel, 170 MB.
MAX_MEGAPIXELS = {"JPEG": 30, "PNG": 11, "GIF": 11, "WEBP": 6}
SIDE = 256
KEPT_MAX_BYTES = 1_000_000
# One at a time in a process: several large pictures at once would be several times 100 MB.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to send."""

    content: bytes
    content_type: str


def _wrong(message: str) -> InvalidError:
    return InvalidError(message, errors=[{"field": "picture", "message": message}])


def make_small(content: bytes) -> bytes:
    """Return a sent picture as a square WebP of 256 pixels, without its metadata.

    Args:
        content: a JPEG, PNG, WebP or GIF file; of a moving one, the first picture counts.

    Raises:
        InvalidError: it is none of them, damaged or too large; in which case it isn't decoded.

    """
    if len(content) > MAX_BYTES:
        raise _wrong(f"The picture is larger than {MAX_BYTES / 1e6:g} MB. Choose a smaller one.")
    header = read_header(content)
    if header is None:
        raise _wrong("This is not a picture that we can read. Choose a JPEG, PNG, WebP or GIF.")
    if header.width * header.height > MAX_MEGAPIXELS[header.format] * 1_000_000:
        raise _wrong(
            f"The picture has {header.width} by {header.height} pixels. Of this format, at most "
            f"{MAX_MEGAPIXELS[header.format]} million are taken: make it smaller first."
        )
    with _LOCK:
        try:
            return _decode(content, header.format)
        except InvalidError:
            raise
        # A decoder that is given a damaged file raises whatever it happens to meet.
        except Exception:
            raise _wrong("The picture is damaged. Choose another one.") from None


def _decode(content: bytes, kind: str) -> bytes:
    # Imported late: most requests show no picture that is not made already.
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content), formats=(kind,)) as image:
        # A frame may be larger than the header says.
        if image.width * image.height > MAX_MEGAPIXELS[kind] * 1_000_000:
            raise _wrong("The picture is damaged. Choose another one.")
        if kind == "JPEG":
            image.draft("RGB", (2 * SIDE, 2 * SIDE))  # decodes a part of the detail
        small = _square(_smooth(image))
    # After the crop, which a turn doesn't change: turning the whole one needs twice the memory.
    ImageOps.exif_transpose(small, in_place=True)
    small = small.convert("RGBA" if small.has_transparency_data else "RGB")
    small.info.clear()  # such as a colour profile, which may name a camera
    out = io.BytesIO()
    small.save(out, "WEBP", quality=85)
    return out.getvalue()


def _smooth(image: Image) -> Image:
    """Return a picture in a mode that can be made smaller by averaging."""
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode.startswith("I"):  # 16 bits of grey
        return image.point(lambda value: value / 256).convert("L")
    return image.convert("L") if image.mode == "1" else image


def _square(image: Image) -> Image:
    from PIL.Image import Resampling

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((SIDE, SIDE), Resampling.LANCZOS, box=box, reducing_gap=2.0)


def set_picture(database: Database, storage: Storage, user_id: str, content: bytes) -> None:
    """Make a picture somebody's own; the one before is deleted.

    Raises:
        InvalidError: as ``make_small``.

    """
    small = make_small(content)
    kept = storage.save("pictures", "webp", io.BytesIO(small), most=KEPT_MAX_BYTES)
    with undone_on_error(storage, kept.key):
        _replace(database, storage, user_id, kept.key)


def remove_picture(database: Database, storage: Storage, user_id: str) -> None:
    """Go back to the initials."""
    _replace(database, storage, user_id, None)


def _replace(database: Database, storage: Storage, user_id: str, key: str | None) -> None:
    with database.writing() as session:
        user = session.get_one(User, user_id, with_for_update=True)
        before, user.picture_key = user.picture_key, key
    if before is not None:
        storage.delete(before)


def open_picture(storage: Storage, user: User) -> Picture:
    """Return somebody's picture; their initials if they have none, or its file is gone."""
    if user.picture_key is not None:
        try:
            with storage.open(user.picture_key) as stream:
                return Picture(stream.read(), "image/webp")
        except NotFoundError:
            pass
    return Picture(initials_svg(user).encode(), "image/svg+xml")


def version(user: User) -> str:
    """Return what changes with somebody's picture, for its address and its ETag."""
    return hashlib.sha256(f"{user.id} {user.picture_key}".encode()).hexdigest()[:16]


def initials(email: str) -> str:
    """Return one or two letters for an address: of ``ada.lovelace@…``, AL."""
    parts = re.findall(r"[^\W_]+", email.partition("@")[0]) or ["?"]
    return "".join(part[0] for part in parts[:2]).upper()


def initials_svg(user: User) -> str:
    """Return the picture of who has sent none: initials on a colour that stays the same."""
    hue = int(hashlib.sha256(user.id.encode()).hexdigest()[:4], 16) % 360
    text = escape(initials(user.email))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">'
        f'<rect width="{SIDE}" height="{SIDE}" fill="hsl({hue},45%,35%)"/>'
        f'<text x="128" y="128" fill="#fff" font-family="system-ui,sans-serif" font-size="104" '
        f'font-weight="600" text-anchor="middle" dominant-baseline="central">{text}</text></svg>'
    )
