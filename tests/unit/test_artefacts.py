"""Loaded models are kept within bounds of number and of bytes."""

from __future__ import annotations

from typing import Any

import pytest

from beanft.predictions.service import Artefacts
from beanft.storage.files import Storage
from beanft.training.models import Model
from tests.kept import Kept


@pytest.fixture
def models(iris: Any, make_model: Any) -> list[Model]:
    return [make_model(iris, None) for _ in range(3)]


def kept(artefacts: Artefacts, models: list[Model], kept_files: Kept) -> list[bool]:
    """Tell which models are answered from memory: their files are gone."""
    for model in models:
        kept_files.remove(model.storage_key)
    found = []
    for model in models:
        try:
            artefacts.get(model)
        except Exception:
            found.append(False)
        else:
            found.append(True)
    return found


@pytest.mark.parametrize(
    ("size", "most_models_bytes", "expected"),
    [
        (3, 10, [True, True, True]),
        (2, 10, [True, False, True]),
        (3, 2, [True, False, True]),
        (3, 0, [False, False, True]),
        (1, 10, [False, False, True]),
    ],
)
def test_the_least_recently_used_go(
    models: list[Model],
    storage: Storage,
    kept_files: Kept,
    size: int,
    most_models_bytes: int,
    expected: list[bool],
) -> None:
    artefacts = Artefacts(storage, size, most_models_bytes * models[0].size)
    for index in (0, 1, 0, 2):
        artefacts.get(models[index])
    assert kept(artefacts, models, kept_files) == expected


def test_a_model_is_loaded_once(models: list[Model], storage: Storage) -> None:
    artefacts = Artefacts(storage, 2)
    assert artefacts.get(models[0]) is artefacts.get(models[0])
    assert artefacts.load(models[0]) is not artefacts.get(models[0])
