"""The groups of operations."""

from __future__ import annotations

DATASETS = "Data sets"
TRAININGS = "Trainings"
MODELS = "Models"
PREDICTIONS = "Predictions"
SERVICE = "Service"
