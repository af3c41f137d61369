"""What a head says about rows, and what every fitted head can do, whatever its kind.

Shape letters: `B` rows, `F` row features of the head's view, `O` outputs (1 for binary and regression, one per
class for multiclass), `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from models.features.schema import JsonScalar, Task

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadPrediction:
    """Predictions of one head for `B` rows; classification fills the first two fields, regression the last two.

    Shape: `probabilities` [B, K], rows sum to 1, in the order of the head's `classes`; `label_index` [B], the
    most probable class; `value` [B]; `interval` [B, 2], lower and upper end at the coverage asked for.
    """

    probabilities: FloatArray | None = None
    label_index: IndexArray | None = None
    value: FloatArray | None = None
    interval: FloatArray | None = None

    @property
    def num_rows(self) -> int:
        filled = self.probabilities if self.probabilities is not None else self.value
        return 0 if filled is None else len(filled)


class FittedHead(Protocol):
    """An immutable fitted head. It knows no encoder: only a view, a feature width and a fingerprint to check.

    `weight` [O, F] and `bias` [O], float32, act on the raw row features (standardisation is folded in), so that
    the heads of one view stack into one product; `finish` turns the logits into predictions, row by row.
    """

    @property
    def kind(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def classes(self) -> tuple[JsonScalar, ...] | None: ...
    @property
    def view(self) -> tuple[str, ...]: ...
    @property
    def encoder_fingerprint(self) -> str: ...
    @property
    def weight(self) -> torch.Tensor: ...
    @property
    def bias(self) -> torch.Tensor: ...
    @property
    def num_bytes(self) -> int: ...

    def finish(self, logits: torch.Tensor, coverage: float = 0.9) -> HeadPrediction:
        """Logits [B, O] to predictions; nothing in a row depends on the others.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """

    def to_files(self) -> dict[str, bytes]:
        """Files of the head bundle: `head.json` and `head.safetensors`."""
