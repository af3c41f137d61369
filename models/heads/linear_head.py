"""The fitted linear head: one matrix over the row features, a calibration, and residual quantiles.

Shape letters: `B` rows, `F` row features of the view, `O` outputs, `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.calibration import Calibration, probabilities_of
from models.heads.files import HeadFiles, pack, unpack
from models.heads.intervals import ResidualTable
from models.heads.prediction import HeadPrediction, RowFeaturesPass, check_coverage

MAX_WEIGHT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """A linear map of row features, finished into probabilities or a value with its interval.

    Shape: `weight` [O, F], `bias` [O], float32; O is 1 for binary and regression, K for multiclass.

    >>> head = LinearHead(Task.BINARY, ("No", "Yes"), (), "", torch.zeros(1, 3), torch.zeros(1))
    >>> head.finish(torch.zeros(2, 1)).probabilities.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    weight: torch.Tensor
    bias: torch.Tensor
    calibration: Calibration | None = None
    intervals: ResidualTable | None = None

    @property
    def kind(self) -> str:
        return "linear"

    @property
    def needs(self) -> RowFeaturesPass:
        return RowFeaturesPass(self.weight, self.bias)

    @property
    def num_bytes(self) -> int:
        return self.weight.nbytes + self.bias.nbytes

    def finish(self, logits: torch.Tensor, coverage: float = 0.9) -> HeadPrediction:
        """Logits [B, O] to predictions, each row by itself.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """
        check_coverage(coverage)
        outputs = logits.detach().numpy().astype(np.float64)
        if self.task is Task.REGRESSION:
            value = np.ascontiguousarray(outputs[:, 0])
            if self.intervals is None:
                return HeadPrediction(value=value)
            low, high = self.intervals.offsets(coverage)
            return HeadPrediction(value=value, interval=np.stack([value + low, value + high], axis=1))
        if self.calibration is not None:
            outputs = self.calibration.apply(outputs)
        probabilities = probabilities_of(outputs)
        return HeadPrediction(
            probabilities=probabilities, label_index=probabilities.argmax(axis=1).astype(np.int64)
        )

    def to_files(self) -> dict[str, bytes]:
        """`head.json` and `head.safetensors`."""
        tensors = {"weight": self.weight, "bias": self.bias}
        header: dict[str, object] = {
            "task": str(self.task),
            "classes": None if self.classes is None else list(self.classes),
            "view": list(self.view),
            "encoder_fingerprint": self.encoder_fingerprint,
        }
        if self.calibration is not None:
            header["calibration"] = {"scale": self.calibration.scale, "shift": list(self.calibration.shift)}
        if self.intervals is not None:
            table = self.intervals
            header["intervals"] = {"num_labels": table.num_labels, "mean": table.mean, "spread": table.spread}
            tensors["interval_levels"] = torch.tensor(table.levels, dtype=torch.float64)
            tensors["interval_residuals"] = torch.tensor(table.residuals, dtype=torch.float64)
        return pack(self.kind, header, tensors)

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> LinearHead:
        """Raises: BundleError when the files are damaged, swapped or of an unknown format version."""
        return cls.from_parts(unpack(files))

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> LinearHead:
        """Raises: BundleError when header and tensors do not fit together."""
        task = parts.task
        classes = parts.classes
        weight = parts.tensor("weight", torch.float32, 2)
        bias = parts.tensor("bias", torch.float32, 1)
        num_outputs = len(classes) if task is Task.MULTICLASS and classes is not None else 1
        if weight.shape[0] != num_outputs or bias.shape[0] != num_outputs:
            raise BundleError(
                f"the head has {num_outputs} outputs, its weight {list(weight.shape)} and bias {list(bias.shape)}; "
                "fit it again"
            )
        return cls(
            task,
            classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            weight,
            bias,
            _calibration(parts, num_outputs),
            _intervals(parts),
        )


def _calibration(parts: HeadFiles, num_outputs: int) -> Calibration | None:
    if "calibration" not in parts.header:
        return None
    numbers = parts.section("calibration")
    scale, shift = numbers.get("scale"), numbers.get("shift")
    if not isinstance(shift, list) or len(shift) != num_outputs:
        raise BundleError("the head's calibration has not one shift per output; fit it again")
    if not isinstance(scale, float | int) or not all(isinstance(number, float | int) for number in shift):
        raise BundleError("the head's calibration is not made of numbers; fit it again")
    return Calibration(float(scale), tuple(float(x) for x in shift))


def _intervals(parts: HeadFiles) -> ResidualTable | None:
    if "intervals" not in parts.header:
        return None
    numbers = parts.section("intervals")
    levels = parts.tensor("interval_levels", torch.float64, 1)
    residuals = parts.tensor("interval_residuals", torch.float64, 1)
    if len(levels) != len(residuals) or len(levels) == 0 or bool((residuals.diff() < 0).any()):
        raise BundleError("the head's interval table is not monotone; fit it again")
    try:
        num_labels, mean, spread = (float(numbers[name]) for name in ("num_labels", "mean", "spread"))  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError("the head's interval table lacks its counts; fit it again") from error
    if num_labels <= 0.0 or spread < 0.0:
        raise BundleError(f"the head's intervals stand on {num_labels} labels; fit it again")
    return ResidualTable(tuple(levels.tolist()), tuple(residuals.tolist()), num_labels, mean, spread)
