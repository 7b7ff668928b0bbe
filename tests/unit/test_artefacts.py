"""Loaded models are kept within bounds of number and of bytes."""

from __future__ import annotations

from typing import Any

import pytest

from beanft.config import Settings
from beanft.predictions.service import Artefacts
from beanft.storage.files import FileStorage
from beanft.training.models import Model


@pytest.fixture
def models(iris: Any, make_model: Any) -> list[Model]:
    return [make_model(iris, None) for _ in range(3)]


@pytest.fixture
def storage(settings: Settings) -> FileStorage:
    return FileStorage(settings.storage_path)


def kept(artefacts: Artefacts, models: list[Model], settings: Settings) -> list[bool]:
    """Tell which models are answered from memory: their files are gone."""
    for model in models:
        (settings.storage_path / model.storage_key).unlink()
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
    storage: FileStorage,
    settings: Settings,
    size: int,
    most_models_bytes: int,
    expected: list[bool],
) -> None:
    artefacts = Artefacts(storage, size, most_models_bytes * models[0].size)
    for index in (0, 1, 0, 2):
        artefacts.get(models[index])
    assert kept(artefacts, models, settings) == expected


def test_a_model_is_loaded_once(models: list[Model], storage: FileStorage) -> None:
    artefacts = Artefacts(storage, 2)
    assert artefacts.get(models[0]) is artefacts.get(models[0])
    assert artefacts.load(models[0]) is not artefacts.get(models[0])
