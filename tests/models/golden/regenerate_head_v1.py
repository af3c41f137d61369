"""Writes the golden heads of format 1: `python -m tests.models.golden.regenerate_head_v1`.

They hold down what stored heads mean: file names, JSON fields, order of outputs, what calibration and intervals do.
Nothing is fitted here, so they do not move with the fit. Only a new format version is a reason to write them anew (into
a folder of its own); a failing test is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from models.features.schema import Task
from models.heads.calibration import Calibration
from models.heads.finishing import Finishing
from models.heads.intervals import ErrorScale, ResidualTable
from models.heads.linear_head import LinearHead
from models.heads.sets import ClassSets, ScoreTable

FOLDER = Path(__file__).parent / "head_v1"
EXPECTED_FILE = "expected.json"
COVERAGES = (0.5, 0.9, 0.99)
FINGERPRINT = "0123456789abcdef" * 4


def golden_features() -> torch.Tensor:
    """[4, 3]; quarters, so that products are exact in float32 in any order."""
    return torch.tensor([[0.0, 0.0, 0.0], [1.0, -0.5, 0.25], [-4.0, 8.0, 2.5], [100.0, 100.0, -100.0]])


def golden_heads() -> dict[str, LinearHead]:
    """One of each task, by folder name."""
    return {
        "binary": LinearHead(
            Task.BINARY,
            (False, True),
            (),
            FINGERPRINT,
            torch.tensor([[0.5, -1.0, 2.0]]),
            torch.tensor([-0.25]),
            Finishing(Calibration(0.8, (0.1,))),
        ),
        "multiclass": LinearHead(
            Task.MULTICLASS,
            ("rot", "grün", 3),
            ("colour", "Ärger"),
            FINGERPRINT,
            torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, 0.0], [-0.5, 0.75, -2.0]]),
            torch.tensor([0.0, 0.5, -0.5]),
            Finishing(Calibration(1.3, (0.0, -0.2, 0.2))),
        ),
        "sets": LinearHead(
            Task.MULTICLASS,
            ("a", "b", "c"),
            (),
            FINGERPRINT,
            torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, 0.0], [-0.5, 0.75, -2.0]]),
            torch.tensor([0.0, 0.5, -0.5]),
            Finishing(
                Calibration(1.3, (0.0, -0.2, 0.2)),
                sets=ClassSets(
                    (
                        ScoreTable((0.25, 0.5, 0.75), (0.9, 0.6, 0.125), 3.0),
                        ScoreTable((0.3, 0.6, 0.92), (0.5, 0.25, 0.0625), 12.0),
                    ),
                    (1, 0, 0),
                ),
            ),
        ),
        "scaled_regression": LinearHead(
            Task.REGRESSION,
            None,
            (),
            FINGERPRINT,
            torch.tensor([[2.0, 0.5, -1.0]]),
            torch.tensor([1_000.0]),
            Finishing(
                intervals=ResidualTable(
                    levels=(0.05, 0.25, 0.5, 0.75, 0.95),
                    residuals=(-2.0, -0.5, 0.125, 1.0, 3.0),
                    num_labels=19.0,
                    mean=0.25,
                    spread=1.5,
                ),
                error_scale=ErrorScale((900.0, 1_000.0, 1_200.0), (5.0, 8.0, 40.0)),
            ),
        ),
        "regression": LinearHead(
            Task.REGRESSION,
            None,
            ("price",),
            FINGERPRINT,
            torch.tensor([[2.0, 0.5, -1.0]]),
            torch.tensor([1_000.0]),
            Finishing(
                intervals=ResidualTable(
                    levels=(0.05, 0.25, 0.5, 0.75, 0.95),
                    residuals=(-10.0, -2.5, 0.125, 3.0, 20.0),
                    num_labels=19.0,
                    mean=1.5,
                    spread=8.0,
                )
            ),
        ),
    }


def outputs_of(head: LinearHead) -> dict[str, list[object]]:
    """Everything the head says about the golden rows."""
    logits = golden_features() @ head.weight.T + head.bias
    prediction = head.finish((logits,))
    if prediction.probabilities is not None and prediction.label_index is not None:
        said: dict[str, list[object]] = {
            "probabilities": prediction.probabilities.tolist(),
            "label_index": prediction.label_index.tolist(),
        }
        if prediction.in_set is not None:
            for coverage in COVERAGES:
                in_set = head.finish((logits,), coverage).in_set
                said[f"set {coverage}"] = [] if in_set is None else in_set.tolist()
        return said
    found: dict[str, list[object]] = {"value": [] if prediction.value is None else prediction.value.tolist()}
    for coverage in COVERAGES:
        interval = head.finish((logits,), coverage).interval
        found[f"interval {coverage}"] = [] if interval is None else interval.tolist()
    return found


def main() -> None:
    for name, head in golden_heads().items():
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        for file_name, content in head.to_files().items():
            (FOLDER / name / file_name).write_bytes(content)
        (FOLDER / name / EXPECTED_FILE).write_text(json.dumps(outputs_of(head)) + "\n")


if __name__ == "__main__":
    main()
