"""Rootstock itself: an encoder pretrained without labels, and a head of one kind on it.

Shape letters: `b` rows to predict, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from benchmarks.quality.confidence import Confident
from benchmarks.quality.systems.rootstock_encoders import DEFAULT_PRETRAINING, Pretraining, encoder_of
from benchmarks.quality.trial import FloatArray, Predict, Trial
from benchmarks.quality.versions import code_digest
from models.features.schema import Task
from models.heads import HEADS, FittedHead, HeadConfig, HeadPrediction
from models.predictor import Predictor
from models.training.finetuning import HeadFailure, TargetData, fit_heads

_Number = TypeVar("_Number", bound=np.generic)

HEAD_SECONDS = 600.0
"""What a head may take at most; it takes as little as it needs."""


class RootstockError(Exception):
    """A head could not be fitted; the message has its code."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadPredict:
    """A fitted head as `Predict`, which can also say how sure it is."""

    predictor: Predictor
    head: FittedHead
    classes: tuple[str, ...]

    def __call__(self, frame: pl.DataFrame) -> FloatArray:
        return self.with_confidence(frame, 0.9).outputs

    def with_confidence(self, frame: pl.DataFrame, coverage: float) -> Confident:
        (prediction,) = self.predictor.predict(frame, [self.head], coverage=coverage).predictions
        in_set = prediction.in_set
        if in_set is not None:
            in_set = _in_order(in_set, self._positions(), len(self.classes))
        return Confident(self.outputs_of(prediction), prediction.interval, in_set)

    def outputs_of(self, prediction: HeadPrediction) -> FloatArray:
        if prediction.probabilities is None:
            return prediction.outputs
        return _in_order(prediction.probabilities, self._positions(), len(self.classes))

    def _positions(self) -> list[int]:
        return [self.classes.index(str(name)) for name in self.head.classes or ()]


class RootstockSystem:
    """A head of one kind, at the product's defaults, on the split's encoder."""

    def __init__(self, config: HeadConfig, pretraining: Pretraining = DEFAULT_PRETRAINING) -> None:
        self.config = config
        self.pretraining = pretraining
        self.name = f"rootstock-{config.kind}"
        self.about = (
            f"Rootstock's `{config.kind}` head on an encoder pretrained without labels on the training part; chooses "
            "inside the labels also where a validation part has some"
        )
        self.tasks = frozenset(Task)
        self.version = code_digest(
            ["models.training.finetuning", "models.training.pretraining", "models.predictor"],
            within=["models"],
        )

    def with_pretraining(self, pretraining: Pretraining) -> RootstockSystem:
        return RootstockSystem(self.config, pretraining)

    def fit(self, trial: Trial) -> Predict:
        """Raises: RootstockError."""
        (predict,) = self.fit_many([trial])
        return predict

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """What the encoder took, whenever it was pretrained: `{"seconds", "steps"}`. It is no part of a head's time."""
        report = encoder_of(trial, self.pretraining).report
        return {"seconds": float(report["seconds"]), "steps": int(report["num_steps"])}

    def fit_many(self, trials: Sequence[Trial]) -> list[Predict]:
        """Heads of several targets of one split, with one encoder pass.

        Raises:
            RootstockError: one of them could not be fitted.
        """
        bundle = encoder_of(trials[0], self.pretraining)
        torch.set_num_threads(trials[0].threads)
        frame = trials[0].frame[trials[0].train_rows]
        results = fit_heads(
            bundle,
            frame,
            [_target(trial) for trial in trials],
            self.config,
            seed=trials[0].seed,
            max_seconds=HEAD_SECONDS * len(trials),
            baselines=False,
            importance=False,
        )
        predictor = Predictor(bundle)
        found: list[Predict] = []
        for trial, result in zip(trials, results, strict=True):
            if isinstance(result, HeadFailure):
                raise RootstockError(result.code)
            found.append(HeadPredict(predictor, result.head, trial.classes))
        return found

    def predict_many(self, predicts: Sequence[Predict], frame: pl.DataFrame) -> list[FloatArray]:
        """All heads for the same rows, with one encoder pass."""
        heads = [predict for predict in predicts if isinstance(predict, HeadPredict)]
        batch = heads[0].predictor.predict(frame, [predict.head for predict in heads])
        return [
            predict.outputs_of(prediction)
            for predict, prediction in zip(heads, batch.predictions, strict=True)
        ]


def _target(trial: Trial) -> TargetData:
    """Labels by position among the training rows; the frame is these alone, so nothing else can be looked at."""
    position = np.full(trial.frame.height, -1, dtype=np.int64)
    position[trial.train_rows] = np.arange(len(trial.train_rows))
    is_number = trial.task is Task.REGRESSION
    return TargetData(
        name=trial.target,
        task=trial.task,
        classes=None if is_number else trial.classes,
        view=(),
        rows=position[trial.labelled_rows],
        values=trial.labels if is_number else trial.labels.astype(np.int64),
        evaluation=np.zeros(len(trial.labels), dtype=np.bool_),
    )


def _in_order(
    values: npt.NDArray[_Number], positions: Sequence[int], num_classes: int
) -> npt.NDArray[_Number]:
    found = np.zeros((len(values), num_classes), dtype=values.dtype)
    found[:, positions] = values
    return found


ROOTSTOCK: dict[str, Callable[[], RootstockSystem]] = {
    f"rootstock-{config.kind}": partial(RootstockSystem, config)
    for config in (head() for head in HEADS if head.learns_from_labels)
}
"""One per kind of head that learns from labels; a new kind is compared by being registered in `models.heads`."""
