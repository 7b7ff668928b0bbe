"""Write iris.csv and iris_TEST.csv from scikit-learn's copy of Fisher's iris data.

Run it where scikit-learn is: ``python app/beanft/samples/make_samples.py``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

SEED = 0
TEST_ROWS = 30
HERE = Path(__file__).resolve().parent
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width", "species")


def main() -> None:
    """Split stratified by species, keep the original order, write both files."""
    iris = load_iris()
    parts = train_test_split(
        np.arange(len(iris.data)), test_size=TEST_ROWS, random_state=SEED, stratify=iris.target
    )
    for name, chosen in zip(("iris.csv", "iris_TEST.csv"), parts, strict=True):
        with (HERE / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for index in np.sort(chosen):
                species = iris.target_names[iris.target[index]]
                writer.writerow([*(f"{size:.1f}" for size in iris.data[index]), species])


if __name__ == "__main__":
    main()
