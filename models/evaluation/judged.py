"""Predictions of one model on labelled rows that it has not been fitted on, kept to judge and compare it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from models.errors import BundleError
from models.features.schema import JsonScalar, Task

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
IdentityArray = npt.NDArray[np.uint64]
Part = Literal["out_of_fold", "holdout"]
_IDENTITIES = "identities_1"  # the number of the way to hash, see `models.features.row_identity.VERSION_TAG`


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """`n` labelled rows with the outputs of a model that did not see their labels.

    Shape: `rows` [n], positions in the snapshot, each at most once; `labels` [n], class index or number;
    `outputs` [n, K] probabilities, or [n] values for regression; `weights` [n]; `identities` [n] of the rows
    (`models.features.row_identity`), which hold in later snapshots too, None in files older than they are.
    """

    task: Task
    on: Part
    rows: IndexArray
    labels: FloatArray
    outputs: FloatArray
    weights: FloatArray
    identities: IdentityArray | None = None

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
            None if self.identities is None else self.identities[index],
        )

    def without(self, identities: IdentityArray, removed: IndexArray | None) -> JudgedRows:
        """The same without the rows of these `identities`, for a snapshot from which rows have been erased.

        `removed`: their sorted positions in the snapshot that `rows` are positions of; None where that is not known.
        Where rows have no identities, their positions tell them.
        """
        if self.identities is not None:
            is_gone = np.isin(self.identities, identities)
        elif removed is not None:
            is_gone = np.isin(self.rows, removed)
        else:
            return self
        kept = self.at(~is_gone)
        if removed is None:
            return kept
        return replace(kept, rows=kept.rows - np.searchsorted(removed, kept.rows).astype(np.int64))

    def in_classes(self, own: Sequence[JsonScalar], wanted: Sequence[JsonScalar]) -> JudgedRows:
        """The same with outputs and labels in the order of `wanted`, which has all of `own` classes and may have more.

        A class that the model does not know has probability 0 everywhere.

        Raises: ValueError where `wanted` lacks a class, or the outputs are not of `own` classes.
        """
        index = {(type(label) is bool, label): position for position, label in enumerate(wanted)}
        missing = [label for label in own if (type(label) is bool, label) not in index]
        if missing or len(own) != self.num_classes:
            raise ValueError(
                f"{len(missing)} of {len(own)} classes are unknown; the outputs have {self.num_classes}"
            )
        place = np.array([index[type(label) is bool, label] for label in own], dtype=np.int64)
        outputs = np.zeros((len(self), len(wanted)))
        outputs[:, place] = self.outputs
        return replace(self, labels=place[self.labels.astype(np.int64)].astype(np.float64), outputs=outputs)

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
        if self.identities is not None:
            tensors[_IDENTITIES] = self.identities
        return save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes, task: Task, on: Part) -> JudgedRows:
        """Raises: BundleError when the file is no such file."""
        try:
            tensors = load(data)
            rows, labels, weights = tensors["rows"], tensors["labels"], tensors["weights"]
            outputs = tensors["outputs"].astype(np.float64)
            identities = tensors.get(_IDENTITIES)
        except Exception as error:  # safetensors raises its own Rust type, not a public class
            raise BundleError(
                f"judged rows of {len(data)} bytes cannot be read ({type(error).__name__}); fit the head again"
            ) from error
        lengths = {len(found) for found in (rows, labels, weights, outputs)}
        if identities is not None:
            lengths.add(len(identities))
        if len(lengths) > 1:
            raise BundleError("judged rows of unequal lengths; fit the head again")
        return cls(
            task,
            on,
            rows.astype(np.int64),
            labels.astype(np.float64),
            outputs,
            weights.astype(np.float64),
            None if identities is None else identities.astype(np.uint64),
        )
