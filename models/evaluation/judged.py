"""Predictions of one model on labelled rows that it has not been fitted on, kept to judge and compare it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from models.errors import BundleError
from models.features.schema import Task

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Part = Literal["out_of_fold", "holdout"]


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """`n` labelled rows with the outputs of a model that did not see their labels.

    Shape: `rows` [n], positions in the snapshot, each at most once; `labels` [n], class index or number;
    `outputs` [n, K] probabilities, or [n] values for regression; `weights` [n].
    """

    task: Task
    on: Part
    rows: IndexArray
    labels: FloatArray
    outputs: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_classes(self) -> int:
        """Classes of the outputs; 0 for regression."""
        return 0 if self.task is Task.REGRESSION else int(self.outputs.shape[1])

    def at(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> JudgedRows:
        return JudgedRows(
            self.task,
            self.on,
            self.rows[index],
            self.labels[index],
            self.outputs[index],
            self.weights[index],
        )

    def to_bytes(self) -> bytes:
        """A safetensors file; outputs are kept in float32, which no metric can tell apart.

        Without metadata: safetensors writes its entries in random order, and equal rows must give equal bytes.
        """
        tensors: dict[str, npt.NDArray[Any]] = {
            "rows": self.rows,
            "labels": self.labels,
            "outputs": np.ascontiguousarray(self.outputs, dtype=np.float32),
            "weights": self.weights,
        }
        return save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes, task: Task, on: Part) -> JudgedRows:
        """Raises: BundleError when the file is no such file."""
        try:
            tensors = load(data)
            rows, labels, weights = tensors["rows"], tensors["labels"], tensors["weights"]
            outputs = tensors["outputs"].astype(np.float64)
        except Exception as error:  # safetensors raises its own Rust type, not a public class
            raise BundleError(
                f"judged rows of {len(data)} bytes cannot be read ({type(error).__name__}); fit the head again"
            ) from error
        if not len(rows) == len(labels) == len(weights) == len(outputs):
            raise BundleError("judged rows of unequal lengths; fit the head again")
        return cls(
            task, on, rows.astype(np.int64), labels.astype(np.float64), outputs, weights.astype(np.float64)
        )
