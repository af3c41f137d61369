"""What a head says about rows, and what every fitted head can do, whatever its kind.

Shape letters: `B` rows, `F` row features of the head's view, `O` outputs (1 for binary and regression, one per
class for multiclass), `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from models.errors import InputError
from models.features.schema import JsonScalar, Task

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeadPrediction:
    """Predictions of one head for `B` rows; classification fills the first two fields and `in_set`, regression the others.

    Shape: `probabilities` [B, K], rows sum to 1, in the order of the head's `classes`; `label_index` [B], the
    most probable class; `value` [B]; `interval` [B, 2], lower and upper end at the coverage asked for; `in_set`
    [B, K], the classes a row may be of at that coverage, None where no labels say so.
    """

    probabilities: FloatArray | None = None
    label_index: IndexArray | None = None
    value: FloatArray | None = None
    interval: FloatArray | None = None
    in_set: npt.NDArray[np.bool_] | None = None

    @property
    def num_rows(self) -> int:
        return len(self.outputs)

    @property
    def outputs(self) -> FloatArray:
        """Probabilities [B, K] or values [B], as heads are judged by."""
        filled = self.value if self.probabilities is None else self.probabilities
        assert filled is not None  # a head fills one of the two
        return filled


@dataclass(frozen=True, slots=True, eq=False)
class RowFeaturesPass:
    """The row features of the view times `weight` [O, F] plus `bias` [O], float32.

    They act on raw row features (standardisation is folded in), so that the heads of one view stack into one product.
    """

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class HiddenColumnPass:
    """The encoder's own guess of `column`, hidden from it: logits of missing, unknown, then its values.

    The head's view names the column too, as absent: whatever a row holds there is not looked at.
    """

    column: str


@dataclass(frozen=True, slots=True)
class ColumnValuesPass:
    """The columns of the view as numbers [B, C'], as `models.features.column_values` gives them; no encoder is run."""


@dataclass(frozen=True, slots=True, eq=False)
class TunedEncoderPass:
    """Row features made with encoder weights of the head's own, times `weight` [O, F] plus `bias` [O], float32.

    Codec and architecture are the encoder's; `encoder` has all its weights by name. It is an encoder pass more, so a
    head keeps one such object, by which a tuned encoder is found again.
    """

    encoder: Mapping[str, torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def num_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.encoder.values(), self.weight, self.bias))


Pass = RowFeaturesPass | HiddenColumnPass | ColumnValuesPass | TunedEncoderPass
Inputs = tuple[torch.Tensor, ...]
"""What the passes of a head gave for `B` rows, one float32 [B, …] each, in the order of its `needs`."""


class FittedHead(Protocol):
    """An immutable fitted head. It knows no encoder: only a view, what it needs of the encoder, and a fingerprint.

    `needs` says what is computed for rows; `finish` turns that into predictions, row by row.
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
    def needs(self) -> tuple[Pass, ...]: ...
    @property
    def num_bytes(self) -> int: ...

    def finish(self, inputs: Inputs, coverage: float = 0.9) -> HeadPrediction:
        """Inputs to predictions; nothing in a row depends on the others.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """

    def to_files(self) -> dict[str, bytes]:
        """Files of the head bundle: `head.json`, `head.safetensors` and whatever its kind adds."""


def words_of(head: FittedHead) -> dict[str, object]:
    """What `head.json` says of every head, whatever its kind."""
    return {
        "task": str(head.task),
        "classes": None if head.classes is None else list(head.classes),
        "view": list(head.view),
        "encoder_fingerprint": head.encoder_fingerprint,
    }


def check_coverage(coverage: float) -> None:
    """Raises: InputError (code `invalid_coverage`)."""
    if not 0.0 < coverage < 1.0:
        raise InputError(
            f"coverage must lie strictly between 0 and 1; received {coverage!r}; 0.9 is usual",
            code="invalid_coverage",
        )
