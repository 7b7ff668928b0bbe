"""What each service may import: images hold no more, and imports go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from beanft.core.schema_revision import MIGRATIONS

PACKAGE = MIGRATIONS.parent / "beanft"
HEAVY = ("pandas", "sklearn", "skl2onnx", "scipy", "alembic", "pydantic")
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
        [sys.executable, "-c", LOOK.format(service=service), " ".join((*HEAVY, *more))],
        env={"PYTHONPATH": str(PACKAGE.parent), "BEANFT_RUN_DIR": str(tmp_path)},
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


def test_nothing_unpickles() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not imports(path) & {"pickle", "joblib", "cloudpickle", "dill"}, path
