"""Files in the database: whole or not there, the same on every machine, copies within bounds."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.core.errors import NotFoundError, TooLargeError, UnavailableError
from beanft.storage.database import DatabaseStorage
from beanft.storage.files import CHUNK_BYTES
from beanft.storage.models import FileChunk, FileRecord

LARGE = bytes(range(256)) * (CHUNK_BYTES // 100)  # some chunks and a part of one


@pytest.fixture
def here(database: Database, tmp_path: Path) -> DatabaseStorage:
    return DatabaseStorage(database, tmp_path / "here", 10**9)


@pytest.fixture
def there(database: Database, tmp_path: Path) -> DatabaseStorage:
    """The same on another machine."""
    return DatabaseStorage(database, tmp_path / "there", 10**9)


def keep(storage: DatabaseStorage, content: bytes) -> str:
    return storage.save("datasets", "csv", io.BytesIO(content), most=10**9).key


def read(storage: DatabaseStorage, key: str) -> bytes:
    with storage.open(key) as stream:
        return stream.read()


def copies(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("content", [b"", b"x", LARGE])
def test_what_is_kept_here_is_read_there(
    here: DatabaseStorage, there: DatabaseStorage, content: bytes
) -> None:
    kept = here.save("models", "onnx", io.BytesIO(content), most=10**9)
    assert kept.size == len(content)
    assert read(here, kept.key) == read(there, kept.key) == read(there, kept.key) == content
    assert here.stamp(kept.key) == there.stamp(kept.key) is not None
    there.delete(kept.key)
    there.delete(kept.key)
    for storage in (here, there):
        assert storage.stamp(kept.key) is None
        with pytest.raises(NotFoundError):
            storage.open(kept.key)


def test_deleted_files_leave_no_copy_where_somebody_asks(
    here: DatabaseStorage, there: DatabaseStorage, tmp_path: Path
) -> None:
    key = keep(here, b"abc")
    there.delete(key)
    assert len(copies(tmp_path / "here")) == 1
    with pytest.raises(NotFoundError):
        here.open(key)
    assert copies(tmp_path / "here") == []


def test_a_file_is_there_as_a_whole_or_not_at_all(
    here: DatabaseStorage, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(TooLargeError):
        here.save("datasets", "csv", io.BytesIO(LARGE), most=CHUNK_BYTES)

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("the sender is gone")
            return super().read(size)

    with pytest.raises(OSError, match="sender"):
        here.save("datasets", "csv", Breaks(LARGE), most=10**9)
    with database.reading() as session:
        assert session.scalars(sa.select(FileRecord.key)).all() == []
    assert copies(tmp_path / "here") == []


def test_a_damaged_copy_is_fetched_again(here: DatabaseStorage, tmp_path: Path) -> None:
    key = keep(here, b"abc")
    path = tmp_path / "here" / "cache" / key
    path.write_bytes(b"abd")
    assert read(here, key) == b"abc"
    assert path.read_bytes() == b"abc"


def test_damage_in_the_database_is_no_file(
    here: DatabaseStorage, there: DatabaseStorage, database: Database
) -> None:
    key = keep(here, b"abc")
    with database.writing() as session:
        session.execute(sa.update(FileChunk).values(content=b"abd"))
    assert read(here, key) == b"abc", "the copy is good"
    with pytest.raises(UnavailableError, match="damaged in the database"):
        there.open(key)


def test_copies_are_bounded_and_who_reads_one_goes_on(database: Database, tmp_path: Path) -> None:
    storage = DatabaseStorage(database, tmp_path, 2_500)
    first = keep(storage, b"a" * 1000)
    with storage.open(first) as stream:
        others = [keep(storage, b"b" * 1000) for _ in range(3)]
        assert len(copies(tmp_path)) == 2
        assert stream.read() == b"a" * 1000
    assert read(storage, first) == b"a" * 1000
    assert [read(storage, key)[:1] for key in others] == [b"b"] * 3
    large = keep(storage, b"c" * 5000)
    assert copies(tmp_path) == [large.split("/")[1]], "the one in use stays, whatever its size"


def test_one_chunk_at_a_time_is_in_memory(
    here: DatabaseStorage, there: DatabaseStorage, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    size = 40 * CHUNK_BYTES
    with path.open("wb") as stream:
        stream.truncate(size)
    tracemalloc.start()
    try:
        with path.open("rb") as stream:
            key = here.save("datasets", "csv", stream, most=10**9).key
        there.open(key).close()
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * CHUNK_BYTES


def test_a_name_that_was_not_made_here_is_no_file(here: DatabaseStorage, storage: Any) -> None:
    for key in ("../x", "datasets/../../x.csv", "", "\0"):
        with pytest.raises(NotFoundError):
            here.open(key)
    assert isinstance(storage, DatabaseStorage)
