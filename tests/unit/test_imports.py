"""What each service may import: images hold no more, and imports go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from beanft.core.schema_revision import MIGRATIONS

PACKAGE = MIGRATIONS.parent / "beanft"
HEAVY = ("pandas", "sklearn", "skl2onnx", "scipy", "alembic", "pydantic", "PIL", "zxcvbn", "segno")
# Of servers, which a database and a queue in files have no use for.
SERVERS = ("psycopg", "valkey", "sqlalchemy.dialects.postgresql", "beanft.storage.database")
LOOK = """
import sys
from beanft.config import load_settings
from beanft.wsgi import create_{service}
app = create_{service}(load_settings())
app.test_client().get("/healthz")
print(*sorted(name for name in sys.argv[1].split() if name in sys.modules))
"""


@pytest.mark.parametrize(("service", "more"), [("web", ()), ("api", ("huey", "wtforms", "argon2"))])
def test_services_stay_lean(service: str, more: tuple[str, ...], tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LOOK.format(service=service), " ".join((*HEAVY, *SERVERS, *more))],
        env={"PYTHONPATH": str(PACKAGE.parent), "BEANFT_RUN_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == ""


USE_FILES = """
import sys
import beanft.jobs.worker
from beanft.config import load_settings
from beanft.extensions import Site
site = Site(load_settings(), "api")
site.queue.announce("x")
assert type(site.storage).__name__ == "FileStorage"
with site.database.reading():
    pass
print(*sorted(name for name in sys.argv[1].split() if name in sys.modules))
"""


def test_a_database_and_a_queue_in_files_need_no_client_of_servers(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", USE_FILES, " ".join(SERVERS)],
        env={
            "PYTHONPATH": str(PACKAGE.parent),
            "BEANFT_DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3",
            "BEANFT_QUEUE_PATH": str(tmp_path / "queue.sqlite3"),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.strip() == ""


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_ml_imports_neither_flask_nor_the_database() -> None:
    for path in (PACKAGE / "ml").glob("*.py"):
        for name in imports(path):
            assert not name.startswith(("flask", "sqlalchemy", "werkzeug")), path
            assert not name.startswith("beanft") or name.startswith("beanft.ml"), path


def test_services_and_models_know_no_views_and_models_no_services() -> None:
    web = ("flask", "wtforms", "beanft.extensions")
    for path in PACKAGE.glob("*/service.py"):
        if path.parent.name == "health":
            continue  # looks at the running site
        for name in imports(path):
            assert not name.startswith(web), path
            assert not name.endswith((".views", ".forms")), path
    for path in PACKAGE.glob("*/models.py"):
        for name in imports(path):
            assert not name.startswith(web), path
            assert not name.endswith((".service", ".views", ".forms")), path


UNPICKLERS = {"pickle", "_pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}
UNPICKLING = {"read_pickle", "allow_pickle", "find_class", "eval", "exec", "__import__"}


def test_nothing_unpickles_or_runs_text() -> None:
    looked = 0
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        looked += 1
        assert not {name.split(".")[0] for name in imports(path)} & UNPICKLERS, path
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not {alias.name for alias in node.names} & UNPICKLERS, path
            elif isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                used = {name, *(keyword.arg or "" for keyword in node.keywords)}
                assert not used & UNPICKLING, f"{path}:{node.lineno}"
    assert looked > 50
