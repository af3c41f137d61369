"""A head without weights: it reads the encoder's guess of one hidden column.

Shape letters: `B` rows, `O` outputs of the column (missing, unknown, then its values), `K` classes of the target,
`V` values of the column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack
from models.heads.prediction import (
    FloatArray,
    HeadPrediction,
    HiddenColumnPass,
    Inputs,
    check_coverage,
    words_of,
)


@dataclass(frozen=True, slots=True, eq=False)
class ValueTable:
    """Numbers that a column's values stand for, increasing.

    Shape: `means`, `lows`, `highs` float64 [V]: the mean of a bin and its ends; all three alike where a value is exact.
    """

    means: torch.Tensor
    lows: torch.Tensor
    highs: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ZeroShotHead:
    """Classes or numbers of a target, found among the outputs of its own column.

    Shape: `positions` int64 [K] (classification) or [V] (regression): which output belongs to a class or value; -1 for
    a class that the encoder does not know, which gets probability 0. Missing and unknown are left out: the target is
    asked for a value.

    >>> head = ZeroShotHead(Task.BINARY, ("No", "Yes"), ("a",), "", "a", torch.tensor([3, 2]), None)
    >>> head.finish((torch.tensor([[9.0, 9.0, 0.0, 0.0]]),)).probabilities.tolist()
    [[0.5, 0.5]]
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    column: str
    positions: torch.Tensor
    values: ValueTable | None

    @property
    def kind(self) -> str:
        return "zero_shot"

    @property
    def needs(self) -> tuple[HiddenColumnPass]:
        return (HiddenColumnPass(self.column),)

    @property
    def num_bytes(self) -> int:
        tables = () if self.values is None else (self.values.means, self.values.lows, self.values.highs)
        return sum(tensor.nbytes for tensor in (self.positions, *tables))

    def finish(self, inputs: Inputs, coverage: float = 0.9) -> HeadPrediction:
        """Logits [B, O] of the hidden column to predictions, each row by itself.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """
        check_coverage(coverage)
        (logits,) = inputs
        positions = self.positions.numpy()
        known = positions >= 0
        shares = _softmax(np.take(logits.detach().numpy(), positions[known], axis=1).astype(np.float64))
        if self.values is not None:
            return _number_prediction(shares, self.values, coverage)
        probabilities = np.zeros((len(shares), len(positions)))
        probabilities[:, known] = shares
        return HeadPrediction(
            probabilities=probabilities, label_index=probabilities.argmax(axis=1).astype(np.int64)
        )

    def to_files(self) -> dict[str, bytes]:
        """`head.json` and `head.safetensors`."""
        header: dict[str, object] = {
            **words_of(self),
            "column": self.column,
        }
        tensors = {"positions": self.positions}
        if self.values is not None:
            tensors |= {"means": self.values.means, "lows": self.values.lows, "highs": self.values.highs}
        return pack(self.kind, header, tensors)

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> ZeroShotHead:
        """Raises: BundleError when header and tensors do not fit together."""
        task, classes, view = parts.task, parts.classes, parts.view
        positions = parts.tensor("positions", torch.int64, 1)
        values: ValueTable | None = None
        if classes is None:
            values = ValueTable(
                *(parts.tensor(name, torch.float64, 1) for name in ("means", "lows", "highs"))
            )
            lengths = {len(positions), len(values.means), len(values.lows), len(values.highs)}
            if len(lengths) > 1 or len(positions) == 0 or bool((values.lows.diff() < 0).any()):
                raise BundleError("the head's table of values is damaged; fit it again")
        elif len(positions) != len(classes):
            raise BundleError(
                f"the head has {len(classes)} classes and {len(positions)} positions; fit it again"
            )
        fewest = 1 if classes is None else 2
        if int((positions >= 0).sum()) < fewest or (classes is None and bool((positions < 0).any())):
            raise BundleError("the head knows too few of its column's values; fit it again")
        column = parts.text("column")
        if column not in view:
            raise BundleError("the head's own column is not in its view; fit it again")
        return cls(task, classes, view, parts.text("encoder_fingerprint"), column, positions, values)


def _number_prediction(shares: FloatArray, table: ValueTable, coverage: float) -> HeadPrediction:
    """Expectation [B] and central interval [B, 2] of the guessed distribution `shares` [B, V]."""
    means = table.means.numpy()
    value = _row_sums(shares * means)
    tail = (1.0 - coverage) / 2.0
    low, high = (_quantile(shares, table, level) for level in (tail, 1.0 - tail))
    # Of a lopsided distribution the mean can lie beyond a quantile.
    return HeadPrediction(
        value=value, interval=np.stack([np.minimum(low, value), np.maximum(high, value)], axis=1)
    )


def _quantile(shares: FloatArray, table: ValueTable, level: float) -> FloatArray:
    """Quantile [B] of distributions [B, V] that are even within each value's bin."""
    cumulative = np.cumsum(shares, axis=1)
    index = np.minimum((cumulative < level).sum(axis=1), shares.shape[1] - 1)
    rows = np.arange(len(shares))
    mass = shares[rows, index]
    before = cumulative[rows, index] - mass
    way = np.clip((level - before) / np.maximum(mass, np.finfo(np.float64).tiny), 0.0, 1.0)
    lows, highs = table.lows.numpy()[index], table.highs.numpy()[index]
    return np.asarray(lows + way * (highs - lows))


def _softmax(logits: FloatArray) -> FloatArray:
    """Rows [B, V] of logits to shares; a row's bits depend on that row alone."""
    if len(logits) == 0:
        return logits
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / _row_sums(weights)[:, None])


def _row_sums(values: FloatArray) -> FloatArray:
    """Sums [B] of rows [B, V], from left to right: `sum` and products add in an order that memory layout and the number
    of rows decide, and with it the last bit."""
    return np.asarray(np.cumsum(values, axis=1)[:, -1])
