"""A whole installation moves from SQLite to PostgreSQL and back, and nothing is lost on the way."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.cli.main import main
from beanft.config import Settings, load_settings
from beanft.core import migrate, move
from beanft.core.database import Database, utcnow
from beanft.jobs.models import Job
from beanft.jobs.runner import Runner
from beanft.predictions import recent
from beanft.predictions.models import InputCount
from beanft.security import throttle
from beanft.storage.files import FileStorage
from beanft.storage.models import FileChunk, FileRecord
from beanft.tables import TABLES
from beanft.training.models import Model
from beanft.training.sample import SAMPLES, ensure_sample
from beanft.training.shares import make_share
from beanft.uploader.models import Dataset
from beanft.uploader.once import add_dataset_once
from beanft.users import keys, pictures, second_factor, service, sessions
from beanft.users.models import User
from tests.servers import Servers

LARGE = b"x,y\n" + b"1.5,a\n2.5,b\n" * 200_000  # 2.4 MB: some chunks


class Filled:
    """An installation on SQLite with rows in every table and files of every kind."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "db.sqlite3"
        self.url = f"sqlite:///{self.path}"
        self.files = folder / "files"

    def fill(self) -> None:
        """Use it as people do."""
        migrate.upgrade(self.url)
        storage = FileStorage(self.files)
        with Database(self.url) as database:
            self._fill(database, storage, load_settings({"BEANFT_ENVIRONMENT": "test"}))

    def _fill(self, database: Database, storage: FileStorage, settings: Settings) -> None:
        ensure_sample(database, storage)
        user = service.register(database, "ada@example.org", "a good long password")
        service.register(database, "élodie@example.org", None)
        service.make_link(database, user.id)
        sessions.begin_session(database, user.id, sessions.Visitor("10.0.0.1", "x"), 14)
        keys.make_key(database, user.id, "k", ["predict"])
        throttle.count_attempt(database, "ada@example.org", "10.0.0.1")
        second_factor.begin(database, user.id)
        with database.writing() as session:
            second_factor._replace_codes(session, user.id)
        pictures.set_picture(database, storage, user.id, _png())
        for name, content in (("iris.csv", (SAMPLES / "iris.csv").read_bytes()), ("l.csv", LARGE)):
            add_dataset_once(
                database,
                storage,
                settings.limits,
                user_id=user.id,
                name=name,
                source=io.BytesIO(content),
                key=name,
            )
        with database.reading() as session:
            model = session.scalars(sa.select(Model)).one()
            dataset = session.scalars(sa.select(Dataset).where(Dataset.name == "iris.csv")).one()
        job = Job(
            user_id=user.id,
            dataset_id=dataset.id,
            name="x",
            plan_data={
                "target": "species",
                "features": ["petal_length", "petal_width"],
                "estimators": ["decision_tree"],
                "seed": 1,
            },
        )
        with database.writing() as session:
            session.add(job)
        Runner(settings, database, storage, lambda: False, lambda _id: None).run(job.id)
        with database.reading() as session:
            mine = session.scalars(sa.select(Model).where(Model.user_id == user.id)).one()
        make_share(database, user.id, mine.id)
        recent.remember(database, user.id, model.id, {"a": "ä\0€"}, {"label": "setosa", "p": 0.1})
        with database.writing() as session:
            day = utcnow().date().isoformat()
            session.add(InputCount(model_id=model.id, day=day, feature=0, counts={"0": 3}))

    def state(self) -> tuple[list[str], dict[str, str]]:
        """Return all rows as SQL, and the hash of every file."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = sorted(line for line in connection.iterdump() if line.startswith("INSERT"))
        files = [path for path in self.files.rglob("*") if path.is_file()]
        return rows, {
            str(path.relative_to(self.files)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }


def _png() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation's directory, made once."""
    folder = tmp_path_factory.mktemp("filled")
    Filled(folder).fill()
    return folder


@pytest.fixture
def filled(original: Path, tmp_path: Path) -> Filled:
    """A copy of it."""
    shutil.copytree(original, tmp_path / "filled")
    return Filled(tmp_path / "filled")


@pytest.fixture(autouse=True)
def environment(servers: Servers, other: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings of the second database; returns its address."""
    name = str(other.engine.url.database)
    monkeypatch.setenv("BEANFT_ENVIRONMENT", "test")
    for key, value in servers.places(name).items():
        monkeypatch.setenv(key, value)
    return servers.url(name)


def rows_of(database: Database) -> dict[str, int]:
    count = sa.func.count()
    with database.reading() as session:
        return {
            table.__tablename__: int(session.scalar(sa.select(count).select_from(table)) or 0)
            for table in TABLES
        }


def test_there_and_back(
    filled: Filled,
    environment: str,
    other: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = filled.state()
    source = ["--from", filled.url, "--from-files", str(filled.files)]
    assert main(["move-database", *source, "--to", environment]) == 0, capsys.readouterr().err
    table = capsys.readouterr().out
    assert filled.state() == before, "nothing changes at the source"
    with Database(filled.url) as database:
        counts = rows_of(database)
    assert all(counts[name] for name in counts if not name.startswith("stored_")), counts
    there = rows_of(other)
    files = len(before[1])
    assert files == 6, "two data sets, two models, golden rows and a picture"
    assert there == {**counts, "stored_files": files, "stored_chunks": there["stored_chunks"]}
    assert there["stored_chunks"] > files
    for name, count in counts.items():
        if not name.startswith("stored_"):
            assert any(line.split()[:2] == [name, str(count)] for line in table.splitlines())
    with other.reading() as session:
        kept = dict(session.execute(sa.select(FileRecord.key, FileRecord.sha256)).all())
    assert kept == before[1]

    # Back, into another directory: the same rows and files as in the beginning.
    back = tmp_path / "back"
    back.mkdir()
    target = ["--to", f"sqlite:///{back}/db.sqlite3", "--to-files", str(back / "files")]
    assert main(["move-database", "--from", environment, *target, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {entry["name"]: entry["rows"] for entry in said["moved"]} == {
        **{name: count for name, count in counts.items() if not name.startswith("stored_")},
        "files": files,
    }
    filled.path, filled.files = back / "db.sqlite3", back / "files"
    assert filled.state() == before


def test_a_target_that_is_not_empty_is_refused(
    filled: Filled, environment: str, other: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate.upgrade(environment, load_settings().database_access)
    with other.writing() as session:
        session.add(User(email="somebody@example.org"))
    arguments = ["--from", filled.url, "--from-files", str(filled.files), "--to", environment]
    assert main(["move-database", *arguments]) == 1
    assert "isn't empty: there are rows in users" in capsys.readouterr().err
    assert rows_of(other)["users"] == 1


@pytest.mark.parametrize("spoil", ["gone", "damaged", "arrives as another"])
def test_what_is_not_whole_arrives_as_nothing(
    filled: Filled,
    environment: str,
    other: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: str,
) -> None:
    path = max(filled.files.rglob("*.csv"), key=lambda path: path.stat().st_size)
    said = {"gone": "is gone at the source", "damaged": "is damaged at the source"}.get(spoil)
    if spoil == "gone":
        path.unlink()
    elif spoil == "damaged":
        path.write_bytes(path.read_bytes()[:-2] + b"c\n")
    else:
        said = "files differ at the target"
        real = move.write_chunks

        def lossy(session: Any, key: str, source: Any) -> Any:
            kept = real(session, key, source)
            session.execute(
                sa.update(FileChunk).where(FileChunk.file_key == key).values(content=b"")
            )
            return kept

        monkeypatch.setattr(move, "write_chunks", lossy)
    before = filled.state()
    arguments = ["--from", filled.url, "--from-files", str(filled.files), "--to", environment]
    assert main(["move-database", *arguments]) == 1
    err = capsys.readouterr().err
    assert str(said) in err
    assert err.count("\n") == 1
    assert filled.state() == before
    assert set(rows_of(other).values()) == {0}


def test_files_that_were_written_go_again_when_the_way_back_fails(
    filled: Filled,
    environment: str,
    other: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = ["--from", filled.url, "--from-files", str(filled.files)]
    assert main(["move-database", *source, "--to", environment]) == 0
    with other.writing() as session:
        dataset = session.scalars(sa.select(Dataset).where(Dataset.name == "l.csv")).one()
        dataset.sha256 = "0" * 64
    files = tmp_path / "back-files"
    target = ["--to", f"sqlite:///{tmp_path}/back.sqlite3", "--to-files", str(files)]
    assert main(["move-database", "--from", environment, *target]) == 1
    assert "is damaged at the source" in capsys.readouterr().err
    assert [path for path in files.rglob("*") if path.is_file()] == []
    with Database(f"sqlite:///{tmp_path}/back.sqlite3") as database:
        assert set(rows_of(database).values()) == {0}


def test_a_source_of_another_revision_is_refused(
    filled: Filled, environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Database(filled.url) as database, database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
    arguments = ["--from", filled.url, "--from-files", str(filled.files), "--to", environment]
    assert main(["move-database", *arguments]) == 1
    assert "run 'beanft db upgrade' on it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sqlite:///x", None, "PG", None), "--from-files"),
        (("sqlite:///x", "x", "PG", "x"), "leave --to-files out"),
        (("mysql://a@b/c", None, "PG", None), "--from must look like"),
        (("sqlite:///x", "x", "postgresql+psycopg://a:pw@b/c", None), "has a password in it"),
    ],
)
def test_bad_arguments_are_named(
    environment: str, capsys: pytest.CaptureFixture[str], arguments: Any, said: str
) -> None:
    options = ("--from", "--from-files", "--to", "--to-files")
    pairs = [(option, value) for option, value in zip(options, arguments, strict=True) if value]
    given = [part.replace("PG", environment) for pair in pairs for part in pair]
    assert main(["move-database", *given]) == 1
    assert said in capsys.readouterr().err
