"""Files made to hurt are refused in one reading and 100 MB, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beanft.core.schema_revision import MIGRATIONS

MEGABYTES = 100.0
# Whoever counts the lines that run makes them slow.
UNWATCHED = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
SIZE = 120_000_000  # as much as may be uploaded
# Prints what was said, the megabytes read and how much the peak of resident memory grew.
CHILD = """
import json, re, sys
from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import DataError
from beanft.ml.profile import profile_csv

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)) / 1e3

class Counted:
    def __init__(self, file):
        self.file, self.bytes = file, 0

    def read(self, size=-1):
        data = self.file.read(size)
        self.bytes += len(data)
        return data

    def seek(self, *where):
        return self.file.seek(*where)

before, said = peak(), ""
with open(sys.argv[1], "rb") as file:
    stream = Counted(file)
    try:
        profile_csv(stream, CsvLimits())
    except DataError as error:
        said = str(error)
print(json.dumps([said, stream.bytes / 1e6, peak() - before]))
"""


def header_of_a_million() -> bytes:
    return ",".join(f"c{number}" for number in range(1_000_000)).encode() + b"\n"


def repeated(head: bytes, unit: bytes) -> bytes:
    return head + unit * ((SIZE - len(head)) // len(unit))


def gzipped() -> bytes:
    import gzip

    return gzip.compress(b"a,b\n" + b"1,2\n" * 20_000_000, 1)


BOMBS = {
    "a million columns": (header_of_a_million, "Line 1 can't be read"),
    "a million empty columns": (lambda: b"," * 1_000_000 + b"\n", "1000001 columns; 200"),
    "a million cells in line 2": (lambda: b"a,b\n" + b"xy," * 600_000 + b"\n", "Line 2 has 600001"),
    "one endless line": (lambda: repeated(b"", b"a,"), "Line 1 can't be read"),
    "one endless line of one cell": (lambda: repeated(b"a,b\n", b"x"), "Line 2 can't be read"),
    "NUL bytes": (lambda: b"a,b\n" + bytes(SIZE), "not a CSV file"),
    "a compressed file": (gzipped, "not a CSV file"),
    "UTF-16": (lambda: ("a,b\n" + "1,2\n" * 10_000_000).encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (lambda: ("a,b\n" * 10_000_000).encode("utf-16-le"), "not a CSV"),
    "a huge cell": (lambda: b"a,b\n1," + b"x" * 1_900_000 + b"\n", "Line 2 can't be read"),
    "a quote that is never closed": (lambda: repeated(b'a,b\n1,"', b"2,3\n"), "Line 2 can't be"),
    "cells with line breaks, without end": (
        lambda: repeated(b'a,b\n"', b'xy\nz","'),
        "Line 2 can't be read: it goes on",
    ),
    "twice the same name, wide": (
        lambda: b",".join([b"same"] * 200) + b"\n" + b"1," * 199 + b"1\n",
        "Two columns are named 'same'",
    ),
    "ragged rows": (lambda: repeated(b"a,b\n", b"1,2,3\n"), "Line 2 has 3 cells"),
    "nothing but line breaks": (lambda: repeated(b"", b"\n"), "empty"),
    "a header and line breaks": (lambda: repeated(b"a,b\n", b"\n"), "2000000 empty lines"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_one_reading_and_in_little_memory(tmp_path: Path, name: str) -> None:
    make, wanted = BOMBS[name]
    path = tmp_path / "bomb.csv"
    path.write_bytes(make())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        env={**UNWATCHED, "PYTHONPATH": str(MIGRATIONS.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    size = path.stat().st_size / 1e6
    path.unlink()
    said, read, grown = json.loads(child.stdout)
    assert wanted in said
    # All of it once, by the decoder of the encoding; its beginning, where the fault is, up to twice more; and what
    # tells its kind.
    assert read < size + 2 * min(size, 4) + 0.1
    assert grown < MEGABYTES


def test_the_measure_sees_memory() -> None:
    """The measure of the other tests would notice a reader that takes all at once."""
    code = CHILD.replace("profile_csv(stream, CsvLimits())", "bytearray(120_000_000)")
    child = subprocess.run(
        [sys.executable, "-c", code, __file__],
        env={**os.environ, "PYTHONPATH": str(MIGRATIONS.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(child.stdout)[2] > MEGABYTES
