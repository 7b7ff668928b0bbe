"""Sample data that people can put among their own data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beanft.config import Limits
from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.storage.files import Storage
from beanft.uploader.models import Dataset
from beanft.uploader.service import add_dataset

FOLDER = Path(__file__).resolve().parents[1] / "samples"
FILES = ("iris.csv", "iris_TEST.csv", "mtcars.csv", "diabetes.csv")


@dataclass(frozen=True, slots=True)
class SampleSet:
    """A sample: its file, what it is in a sentence, and the column that people predict."""

    file: str
    about: str
    target: str


SAMPLE_SETS = {
    "iris": SampleSet("iris.csv", "Which of three species is this flower?", "species"),
    "mtcars": SampleSet("mtcars.csv", "How far does a car of 1974 go on a gallon?", "mpg"),
    "diabetes": SampleSet(
        "diabetes.csv", "How far will a patient's diabetes be in a year?", "progression"
    ),
}


def add_sample(
    database: Database, storage: Storage, limits: Limits, user_id: str, name: str
) -> Dataset:
    """Put a copy of a sample among a person's data sets.

    Raises:
        NotFoundError: there is no sample of that name.
        ConflictError: the person has too many data sets, or too many bytes of them.

    """
    sample = SAMPLE_SETS.get(name)
    if sample is None:
        raise NotFoundError("There is no such sample.")
    with (FOLDER / sample.file).open("rb") as source:
        return add_dataset(
            database, storage, limits, user_id=user_id, name=sample.file, source=source
        )
