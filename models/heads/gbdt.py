"""`gbdt`: boosted trees on the columns themselves, where a few columns decide or effects are steps.

Shape letters: `n` fitted rows, `m` rows in folds, `C` columns, `O` outputs, `V` numbers of rounds.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models.features.schema import Task
from models.heads.boosting import Trees, TreeSettings, fit_trees, load_library
from models.heads.cross_fitting import CrossFitted, TooSlow, cross_fit
from models.heads.finishing import NOT_FINISHED, Finishing, outputs_of
from models.heads.gbdt_head import GbdtHead, tree_inputs
from models.heads.losses import mean_loss
from models.heads.prediction import FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem

MAX_REPEATS = 2
MAX_TREES = 4_000  # rounds times classes
MANY_LABELS = 2_000  # from here on large trees find enough rows
ROUND_SHARES = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
TIME_SHARE = 0.8  # of what is left, for one repeat of the folds and the trees of all labels
NOT_JUDGED = "boosted trees were not cross-validated: time is short; raise max_seconds to change that"


class GbdtHeadConfig(BaseModel):
    """Boosted trees; the number of rounds is chosen by cross-validation inside the labels, so there are no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gbdt"] = "gbdt"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Choose the rounds, fit, calibrate and judge out of fold.

        Raises:
            Interrupted: the caller asked to stop.
        """
        return _Fitting(problem).run()


class _Fitting:
    """One fit: the numbers that trees read, the settings, and what is tried."""

    def __init__(self, problem: HeadProblem) -> None:
        self.problem = problem
        self.values = tree_inputs(problem.columns.values)
        self.settings = tree_settings(problem.task, len(problem.labels))
        self.rounds = round_choices(problem.task, len(problem.labels), problem.num_outputs)
        self.seconds_per_fit = float("inf")
        self.num_threads = torch.get_num_threads()

    def run(self) -> HeadFit:
        load_library()
        problem, folds = self.problem, self.problem.folds
        num_rounds = self.rounds[len(self.rounds) // 2]
        finishing, scores = NOT_FINISHED, None
        report: dict[str, object] = {}
        judged = np.empty(0, dtype=np.int64)
        warnings: tuple[str, ...] = ()
        if folds is not None:
            self.seconds_per_fit = TIME_SHARE * max(problem.pace.seconds_left, 0.0) / (folds.num_folds + 1)
            found = cross_fit(folds, self._fit_and_score, problem.pace, max_repeats=MAX_REPEATS)
            if isinstance(found, TooSlow):
                warnings = (NOT_JUDGED,)
            else:
                judged = folds.rows
                best = self._best(found, judged)
                num_rounds, scores = self.rounds[best], found.scores[best]
                finishing = Finishing.fit(problem, scores)
                report = {
                    **finishing.report(),
                    "num_folds": folds.num_folds,
                    "num_repeats": found.num_repeats,
                    "num_judged": len(judged),
                }
        trees = self._fit(np.arange(len(problem.labels)), num_rounds, 0)
        head = GbdtHead(
            problem.task,
            problem.classes,
            problem.view,
            problem.encoder_fingerprint,
            problem.columns.values.shape[1],
            trees,
            finishing=finishing,
        )
        outputs = None if scores is None else outputs_of(problem.task, scores)
        report = {"num_rounds": trees.num_rounds} | report
        return HeadFit(head, outputs, judged, report, warnings, scores)

    def _fit(self, rows: IndexArray, num_rounds: int, division: int) -> Trees:
        problem = self.problem
        return fit_trees(
            problem.task,
            self.values[rows],
            range(problem.columns.num_categorical),
            problem.labels[rows],
            problem.weights[rows],
            self.settings,
            num_classes=problem.num_outputs,
            num_rounds=num_rounds,
            seed=division,
            num_threads=self.num_threads,
            check=problem.pace.check,
            max_seconds=self.seconds_per_fit,
        )

    def _fit_and_score(self, fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        """Scores [V, b, O] after each number of rounds, of one fit."""
        trees = self._fit(fitted, self.rounds[-1], division)
        values = self.values[held_out]
        return np.stack(
            [trees.scores(values, num_rounds=rounds, num_threads=self.num_threads) for rounds in self.rounds]
        )

    def _best(self, found: CrossFitted, rows: IndexArray) -> int:
        """The number of rounds whose held-out loss is smallest."""
        labels, weights = self.problem.labels[rows], self.problem.weights[rows]
        losses = [mean_loss(self.problem.task, scores, labels, weights) for scores in found.scores]
        return int(np.argmin(losses))


def tree_settings(task: Task, num_labels: int) -> TreeSettings:
    """Small, blunt trees for few labels; larger ones where there is enough to fill them.

    A number says more than a class, so its trees may be finer: with 200 and 500 labels of six targets (rows of the
    training part) leaves of 2 and up to 600 rounds in a blend gave 1.1 and 1.2 points of R² more than those of classes.
    """
    if num_labels >= MANY_LABELS:
        return TreeSettings(
            learning_rate=0.05, num_leaves=31, smallest_leaf=20, column_share=0.7, row_share=0.8, penalty=1.0
        )
    is_number = task is Task.REGRESSION
    return TreeSettings(
        learning_rate=0.05,
        num_leaves=8,
        smallest_leaf=2 if is_number else int(np.clip(num_labels // 50, 2, 10)),
        column_share=0.5,
        row_share=0.85 if is_number else 0.7,
        penalty=1.0,
    )


def round_choices(task: Task, num_labels: int, num_outputs: int) -> tuple[int, ...]:
    """Numbers of rounds to choose from, increasing."""
    most = 150 if num_labels < 1_000 else 300
    if task is Task.REGRESSION or num_labels >= 3_000:
        most = 600
    most = max(20, min(most, MAX_TREES // num_outputs))
    return tuple(sorted({max(5, round(most * share)) for share in ROUND_SHARES}))
