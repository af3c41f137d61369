"""`forest`: a random forest on the columns themselves (Breiman 2001), for few labels of which a few columns decide.

With 50 to 500 labels a forest of large, bootstrapped trees is ahead of boosted ones, and its errors are others than a
linear head's: averaged with it, it gains where single columns or their combinations decide. Measured on rows of the
training part of ten tables (2 to 4 draws), AUC points that a blend of both gains over the linear head alone at
50/200/500 labels: hotel_bookings 0.5/1.3/1.7, jasmine 0.1/0.5/1.8, bank_marketing 0.6/0.4/0.6, heart -1.4/-0.2/-0.1, the
mean of ten 0.0/0.4/0.5.

Shape letters: `n` fitted rows, `m` rows in folds, `K` classes, `O` outputs.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models.features.schema import Task
from models.heads.boosting import MIN_SHARED_CELLS
from models.heads.cross_fitting import TooSlow, cross_fit
from models.heads.finishing import NOT_FINISHED, Finishing, outputs_of
from models.heads.forest_head import ForestHead, forest_inputs, forest_scores
from models.heads.losses import centre_and_spread
from models.heads.prediction import FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem
from models.heads.random_forest import RandomForest

NUM_TREES = 200
SMALLEST_LEAF = 2
MAX_LABELS = 3_000  # beyond, boosted trees are better, smaller and faster
MANY_CLASSES = "The number of unique classes is greater than 50%"  # "could represent a regression problem"
NOT_JUDGED = "the forest was not cross-validated: time is short; raise max_seconds to change that"
TOO_MANY = "the forest was fitted to {limit:,} of {count:,} labels; the head kind gbdt takes all of them"


class ForestHeadConfig(BaseModel):
    """A random forest at fixed settings; it has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["forest"] = "forest"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Fit, calibrate and judge: out of bag, or out of fold where folds keep groups of rows together.

        Raises:
            Interrupted: the caller asked to stop.
        """
        return _Fitting(problem).run()


class _Fitting:
    """One fit: the numbers that trees read, and what the labels look like."""

    def __init__(self, problem: HeadProblem) -> None:
        self.problem = problem
        self.values = forest_inputs(problem.columns.values)
        self.base: tuple[float, ...] | None = None
        self.centre, self.spread = 0.0, 1.0
        self.labels = problem.labels
        if problem.task is Task.REGRESSION:
            self.centre, self.spread = centre_and_spread(problem.labels, problem.weights)
            self.labels = (problem.labels - self.centre) / self.spread
        if problem.classes is not None:
            counts = np.bincount(
                problem.labels.astype(np.int64), weights=problem.weights, minlength=len(problem.classes)
            )
            self.base = tuple((counts / counts.sum()).tolist())

    def run(self) -> HeadFit:
        problem, folds = self.problem, self.problem.folds
        problem.pace.check()
        every = self._sample()
        is_free = folds is not None and not folds.has_groups and len(folds.rows) == len(every)
        model = self._fit(every, 0, out_of_bag=is_free)
        said: tuple[str, ...] = ()
        if len(every) < len(problem.labels):
            said = (TOO_MANY.format(limit=len(every), count=len(problem.labels)),)
        scores: FloatArray | None = None
        if is_free:
            scores = forest_scores(problem.task, self._out_of_bag(model), self.base)
        elif folds is not None:
            found = cross_fit(folds, self._fit_and_score, problem.pace, max_repeats=1)
            if isinstance(found, TooSlow):
                said += (NOT_JUDGED,)
            else:
                scores = found.scores[0]
        finishing = NOT_FINISHED
        report: dict[str, object] = {"num_trees": NUM_TREES}
        outputs, judged = None, np.empty(0, dtype=np.int64)
        if scores is not None and folds is not None:
            finishing = Finishing.fit(problem, scores)
            outputs, judged = outputs_of(problem.task, scores), folds.rows
            report |= {**finishing.report(), "num_judged": len(judged)}
        return HeadFit(self._head(model, finishing), outputs, judged, report, said, scores)

    def _sample(self) -> IndexArray:
        """Labelled rows that are fitted, sorted; all of them unless there are more than a forest is good for."""
        count = len(self.problem.labels)
        if count <= MAX_LABELS:
            return np.arange(count)
        return np.sort(np.random.default_rng(0).choice(count, MAX_LABELS, replace=False))

    def _fit(self, rows: IndexArray, seed: int, *, out_of_bag: bool = False) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        is_regression = self.problem.task is Task.REGRESSION
        kind = RandomForestRegressor if is_regression else RandomForestClassifier
        model = kind(
            NUM_TREES,
            min_samples_leaf=SMALLEST_LEAF,
            max_features=1 / 3 if is_regression else "sqrt",
            oob_score=_nothing if out_of_bag else False,
            n_jobs=torch.get_num_threads() if self.values.size >= MIN_SHARED_CELLS else 1,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", MANY_CLASSES, UserWarning)  # a label has a task here
            return model.fit(self.values[rows], self.labels[rows], sample_weight=self.problem.weights[rows])

    def _fit_and_score(self, fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        """Scores [1, b, O] of held-out rows."""
        if len(fitted) > MAX_LABELS:
            fitted = np.sort(np.random.default_rng(division).choice(fitted, MAX_LABELS, replace=False))
        model = self._fit(fitted, division)
        if self.problem.task is Task.REGRESSION:
            found = np.asarray(model.predict(self.values[held_out]), dtype=np.float64)
            answers = found[:, None] * self.spread + self.centre
        else:
            answers = self._whole(model, np.asarray(model.predict_proba(self.values[held_out])))
        return forest_scores(self.problem.task, answers, self.base)[None]

    def _out_of_bag(self, model: Any) -> FloatArray:
        """Answers [n, K] or [n, 1] of the trees that did not see the row; the base where all of them did."""
        if self.problem.task is Task.REGRESSION:
            found = np.asarray(model.oob_prediction_, dtype=np.float64)
            return found[:, None] * self.spread + self.centre  # in every bag: 0, which is the mean
        found = self._whole(model, np.asarray(model.oob_decision_function_))
        found[~np.isfinite(found).all(axis=1) | (found.sum(axis=1) < 0.5)] = self.base
        return found

    def _whole(self, model: Any, probabilities: FloatArray) -> FloatArray:
        """Probabilities [b, K] of all classes; those without a label get none."""
        found = np.zeros((len(probabilities), len(self.base or ())))
        found[:, model.classes_.astype(np.int64)] = probabilities
        return found

    def _head(self, model: Any, finishing: Finishing) -> ForestHead:
        problem = self.problem
        present = () if self.base is None else tuple(model.classes_.astype(int).tolist())
        return ForestHead(
            problem.task,
            problem.classes,
            problem.view,
            problem.encoder_fingerprint,
            problem.columns.values.shape[1],
            self.base,
            present,
            RandomForest.of(model),
            self.centre,
            self.spread,
            finishing,
        )


def _nothing(labels: FloatArray, outputs: FloatArray) -> float:
    """The out-of-bag outputs are wanted, not a score of them."""
    return 0.0
