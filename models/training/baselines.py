"""What the same labels give without the encoder: a linear model on raw features, and boosted trees.

Both see the same rows, the same folds and the same view as the head they stand beside.

Shape letters: `n` fitted rows, `m` rows in folds, `h` hold-out rows, `K` classes, `F` row features, `C` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from models.bundle import EncoderBundle
from models.features.codec import PlainColumns
from models.features.schema import ColumnKind, ColumnSchema, Task
from models.heads.boosting import TreeSettings, fit_trees, load_library, smallest_leaf
from models.heads.cross_fitting import TooSlow, cross_fit
from models.heads.finishing import outputs_of
from models.heads.linear import LinearHeadConfig
from models.heads.prediction import FloatArray, IndexArray, RowFeaturesPass
from models.heads.problem import HeadProblem, Pace
from models.heads.scaling import FeatureScaling

NUM_ROUNDS = 100
LEARNING_RATE = 0.05
NUM_LEAVES = 15
MAX_TREES = 2_000  # rounds times classes
MAX_BOOSTED_ROWS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class BaselineOutputs:
    """Shape: `out_of_fold` [m, K] or [m], None without folds; `holdout` [h, K] or [h], None without hold-out rows."""

    out_of_fold: FloatArray | None
    holdout: FloatArray | None
    warnings: tuple[str, ...] = ()


def plain_columns(
    bundle: EncoderBundle, frame: pl.DataFrame, view: Collection[str], rows: IndexArray
) -> PlainColumns:
    """What the encoder reads under a view, at `rows` of `frame`, as columns for models without an encoder."""
    codec = bundle.codec
    columns = [
        column for column in bundle.schema.encoded if column.name in codec.sources and column.name not in view
    ]
    if not columns:
        return PlainColumns(pl.DataFrame(), (), {})
    return codec.expand(frame.select([column.name for column in columns])[rows], columns)


def fit_baselines(
    problem: HeadProblem,
    plain: PlainColumns,
    raw: npt.NDArray[np.bool_],
    holdout: torch.Tensor,
    *,
    seed: int,
    pace: Pace,
    begin: Callable[[str], None],
) -> tuple[dict[str, BaselineOutputs], list[str]]:
    """All baselines by name, and what to say about them; `plain` [n + h, C] has the fitted rows first.

    `begin` hears which one is next.

    Raises:
        Interrupted: the caller asked to stop.
    """
    name = "ridge" if problem.task is Task.REGRESSION else "logistic"
    begin(name)
    found = {name: linear_baseline(problem, raw, holdout)}
    begin("LightGBM")
    table = RawColumns.of(plain.frame, plain.columns)
    boosted = BoostedBaseline(problem, table, seed=seed, num_threads=torch.get_num_threads())
    outputs = boosted.fit(pace)
    if isinstance(outputs, str):
        return found, [f"the LightGBM baseline was left out: {outputs}"]
    return found | {"lightgbm": outputs}, list(outputs.warnings)


def linear_baseline(
    problem: HeadProblem, raw: npt.NDArray[np.bool_], holdout: torch.Tensor
) -> BaselineOutputs:
    """The linear head's own procedure on the raw features alone; `raw` [F] marks them, `holdout` is [h, F].

    Raises:
        Interrupted: the caller asked to stop.
    """
    index = torch.from_numpy(np.flatnonzero(raw))
    scaling = FeatureScaling(problem.scaling.centre[index], problem.scaling.gain[index])
    fit = LinearHeadConfig().fit(
        replace(problem, features=problem.features.index_select(1, index), scaling=scaling)
    )
    if not len(holdout):
        return BaselineOutputs(fit.out_of_fold, None)
    (product,) = fit.head.needs
    assert isinstance(product, RowFeaturesPass)  # of the linear head
    logits = torch.nn.functional.linear(holdout.index_select(1, index), product.weight, product.bias)
    return BaselineOutputs(fit.out_of_fold, fit.head.finish((logits,)).outputs)


@dataclass(frozen=True, slots=True, eq=False)
class RawColumns:
    """Columns as trees want them. Shape: `values` float64 [B, C], NaN where missing; `categorical` positions."""

    values: FloatArray
    categorical: tuple[int, ...]

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Sequence[ColumnSchema]) -> RawColumns:
        """From the rows of `frame`; categories are numbered over all of them, without their labels."""
        categorical = tuple(i for i, column in enumerate(columns) if column.kind is not ColumnKind.CONTINUOUS)
        values = [
            _ranks(frame[column.name]) if i in categorical else _numbers(frame[column.name])
            for i, column in enumerate(columns)
        ]
        table = np.stack(values, axis=1) if values else np.zeros((len(frame), 1))
        return cls(table, categorical)


def _numbers(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)


def _ranks(column: pl.Series) -> FloatArray:
    ranks = column.cast(pl.String).rank("dense").cast(pl.Float64) - 1.0
    return ranks.fill_null(float("nan")).to_numpy().astype(np.float64)


class BoostedBaseline:
    """LightGBM at fixed, ordinary settings on the raw columns.

    `columns` [n + h, C] has the fitted rows first, then the hold-out rows.
    """

    def __init__(self, problem: HeadProblem, columns: RawColumns, *, seed: int, num_threads: int) -> None:
        self._problem, self._columns = problem, columns
        self._seed, self._num_threads = seed, num_threads
        self._num_rounds = max(10, min(NUM_ROUNDS, MAX_TREES // problem.num_outputs))

    def fit(self, pace: Pace) -> BaselineOutputs | str:
        """Outputs, or the reason why there was no time for them.

        Raises:
            Interrupted: the caller asked to stop.
        """
        load_library()
        problem, folds = self._problem, self._problem.folds
        num_rows = len(problem.labels)
        warnings: list[str] = []
        out_of_fold: FloatArray | None = None
        if folds is not None:
            found = cross_fit(
                folds,
                lambda fitted, held_out, division: self._scores(fitted, held_out, pace)[None],
                pace,
                max_repeats=folds.num_repeats,
            )
            if isinstance(found, TooSlow):
                return f"it would have taken about {found.seconds:.0f} s, more than there was left"
            out_of_fold = outputs_of(problem.task, found.scores[0])
            if found.num_repeats < folds.num_repeats:
                warnings.append(
                    f"LightGBM saw {found.num_repeats} of {folds.num_repeats} repeats of the folds: time was short"
                )
        holdout: FloatArray | None = None
        if len(self._columns.values) > num_rows:
            rows = np.arange(num_rows)
            if num_rows > MAX_BOOSTED_ROWS:
                rows = np.sort(
                    np.random.default_rng(self._seed).choice(rows, MAX_BOOSTED_ROWS, replace=False)
                )
            judged = np.arange(num_rows, len(self._columns.values))
            holdout = outputs_of(problem.task, self._scores(rows, judged, pace))
        return BaselineOutputs(out_of_fold, holdout, tuple(warnings))

    def _scores(self, fitted: IndexArray, judged: IndexArray, pace: Pace) -> FloatArray:
        """Scores [b, O] of the rows `judged` [b] from trees of the rows `fitted`."""
        problem, values = self._problem, self._columns.values
        trees = fit_trees(
            problem.task,
            values[fitted],
            self._columns.categorical,
            problem.labels[fitted],
            problem.weights[fitted],
            TreeSettings(LEARNING_RATE, NUM_LEAVES, smallest_leaf(len(fitted))),
            num_classes=problem.num_outputs,
            num_rounds=self._num_rounds,
            seed=self._seed,
            num_threads=self._num_threads,
            check=pace.check,
        )
        return trees.scores(values[judged], num_threads=self._num_threads)
