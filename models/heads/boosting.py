"""Boosted trees (LightGBM; Ke et al., NeurIPS 2017) on a table of numbers, as heads and baselines fit them.

Shape letters: `n` rows fitted, `B` rows, `C` columns, `O` outputs (1 for binary and regression, one per class for
multiclass), `K` classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import BundleError
from models.features.schema import Task
from models.heads.losses import centre_and_spread
from models.heads.prediction import FloatArray

CHECK_EVERY = 10  # rounds between two looks at whether to stop
MIN_SHARED_CELLS = 200_000  # of fewer, threads wait for each other longer than they work
MAX_SCORE = 12.0  # logits beyond are six digits of certainty, which no number of trees has earned
_OBJECTIVES = {Task.BINARY: "binary", Task.MULTICLASS: "multiclass", Task.REGRESSION: "regression"}

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """How trees are grown. `smallest_leaf` counts rows; `column_share` is what a tree may look at, `split_share` a split."""

    learning_rate: float
    num_leaves: int
    smallest_leaf: int
    column_share: float = 1.0
    row_share: float = 1.0
    penalty: float = 0.0
    split_share: float = 1.0


def smallest_leaf(num_labels: int) -> int:
    """A twentieth of the labels, between 2 and 20.

    LightGBM's fixed 20 gives a constant below 40 labels. A twentieth without a bound would make it blunt with many: on
    19,442 house prices a leaf of 972 rows gave R² .71.
    """
    return min(max(2, num_labels // 20), 20)


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Fitted trees of the classes that were there.

    Shape: `present` int64 [K'], the classes among `num_classes` that had labels, increasing; empty for regression.
    `absent_score` is the log-probability of a class that had none. `stored` is the text they were read from. Numbers were
    fitted less `centre` and by `spread`: LightGBM holds labels in single precision.
    """

    task: Task
    num_classes: int
    present: tuple[int, ...]
    absent_score: float
    booster: Any
    centre: float = 0.0
    spread: float = 1.0
    stored: str | None = None

    @property
    def text(self) -> str:
        """LightGBM's own format, which keeps every threshold and leaf exactly; to write it takes milliseconds."""
        return str(self.booster.model_to_string()) if self.stored is None else self.stored

    @property
    def num_rounds(self) -> int:
        return int(self.booster.current_iteration())

    def scores(self, values: Numbers, *, num_rounds: int | None = None, num_threads: int = 1) -> FloatArray:
        """Logits (binary), log-probabilities (multiclass) or values, float64 [B, O], of rows [B, C], row by row."""
        found = self.sums(values, num_rounds=num_rounds, num_threads=num_threads)
        if self.task is Task.REGRESSION:
            return found * self.spread + self.centre
        if self.task is Task.BINARY:
            return np.clip(found, -MAX_SCORE, MAX_SCORE)
        whole = np.full((len(values), self.num_classes), self.absent_score)
        whole[:, list(self.present)] = _log_shares(found)
        return whole

    def sums(self, values: Numbers, *, num_rounds: int | None = None, num_threads: int = 1) -> FloatArray:
        """Sums of leaves, float64 [B, K'] or [B, 1]: what is added to an offset, where trees were grown from one."""
        if len(values) == 0:
            return np.empty((0, max(len(self.present), 1)))
        if values.size < MIN_SHARED_CELLS:
            num_threads = 1
        raw = self.booster.predict(values, raw_score=True, num_iteration=num_rounds, num_threads=num_threads)
        return np.asarray(raw, dtype=np.float64).reshape(len(values), -1)

    @classmethod
    def from_text(
        cls,
        task: Task,
        num_classes: int,
        present: tuple[int, ...],
        absent_score: float,
        text: str,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> Trees:
        """Raises: BundleError when the text holds no trees, or trees of other outputs."""
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError("the head's trees cannot be read; fit it again") from error
        expected = len(present) if task is Task.MULTICLASS else 1
        if booster.num_model_per_iteration() != expected:
            raise BundleError(
                f"the head has {expected} outputs, its trees {booster.num_model_per_iteration()}; fit it again"
            )
        return cls(task, num_classes, present, absent_score, booster, centre, spread, text)


def load_library() -> None:
    """Import LightGBM now, which takes a second, before the time of a fit is measured."""
    import lightgbm  # noqa: F401


def fit_trees(
    task: Task,
    values: Numbers,
    categorical: Sequence[int],
    labels: FloatArray,
    weights: FloatArray,
    settings: TreeSettings,
    *,
    num_classes: int,
    num_rounds: int,
    seed: int,
    num_threads: int,
    check: Callable[[], None],
    max_seconds: float = float("inf"),
    offset: FloatArray | None = None,
) -> Trees:
    """Grow `num_rounds` rounds on rows [n, C]; the columns at `categorical` hold numbers of categories.

    Deterministic for a seed, whatever the number of threads, unless `max_seconds` run out: then there are fewer rounds,
    at least `CHECK_EVERY`. `check` is called every few rounds. `offset` [n, O] is where growing starts: the trees then
    give what is to be added to it, and every class must have a label.

    Raises:
        Interrupted: whatever `check` raises.
    """
    import lightgbm

    present: tuple[int, ...] = ()
    absent_score = 0.0
    if task is Task.MULTICLASS:
        found = np.unique(labels).astype(np.int64)
        present = tuple(found.tolist())
        labels = np.searchsorted(found, labels).astype(np.float64)
        absent = num_classes - len(present)
        absent_score = float(np.log(0.5 / (len(labels) + 0.5 * absent)))
    centre, spread = 0.0, 1.0
    if task is Task.REGRESSION:
        centre, spread = centre_and_spread(labels, weights)
        labels = (labels - centre) / spread
    if values.size < MIN_SHARED_CELLS:
        num_threads = 1
    parameters = _parameters(task, settings, len(present), seed, num_threads)
    dataset = lightgbm.Dataset(
        values,
        labels,
        weight=weights,
        categorical_feature=list(categorical),
        params=parameters,
        init_score=None if offset is None else offset.flatten(order="F"),
    )

    deadline = time.monotonic() + max_seconds

    def call_check(state: Any) -> None:
        if state.iteration % CHECK_EVERY == 0:
            check()
            if state.iteration and time.monotonic() > deadline:
                raise lightgbm.callback.EarlyStopException(state.iteration, [])

    # Kept as it is: else LightGBM writes the trees as text and reads them back, which takes as long as growing small ones.
    booster = lightgbm.train(
        parameters, dataset, num_rounds, callbacks=[call_check], keep_training_booster=True
    )
    return Trees(task, num_classes, present, absent_score, booster, centre, spread)


def _parameters(
    task: Task, settings: TreeSettings, num_present: int, seed: int, num_threads: int
) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "objective": _OBJECTIVES[task],
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": settings.smallest_leaf,
        "min_data_per_group": settings.smallest_leaf,  # the default of 100 makes few labels blind to categories
        "feature_fraction": settings.column_share,
        "feature_fraction_bynode": settings.split_share,
        "lambda_l2": settings.penalty,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed % (1 << 31),
        "num_threads": num_threads,
        "verbosity": -1,
    }
    if settings.row_share < 1.0:
        parameters |= {"bagging_fraction": settings.row_share, "bagging_freq": 1}
    if task is Task.MULTICLASS:
        parameters["num_class"] = num_present
    return parameters


def _log_shares(raw: FloatArray) -> FloatArray:
    """Log-softmax of rows [B, K'], bounded; classes are added from left to right, so that a row's bits are its own."""
    shifted = raw - raw.max(axis=1, keepdims=True)
    total = np.cumsum(np.exp(shifted), axis=1)[:, -1:]
    return np.asarray(np.maximum(shifted - np.log(total), -MAX_SCORE))
