"""Boosted trees that start from the linear head's logits and correct them: steps and combinations of columns.

Growing starts from out-of-fold logits, never from those of rows the linear head was fitted on, or there would be nothing
left to correct (stacking; Wolpert 1992). So few and small trees that with little to find they hardly move anything.

Shape letters: `n` fitted rows, `b` held-out rows, `O` outputs.
"""

from __future__ import annotations

import numpy as np
import torch

from models.features.schema import Task
from models.heads.boosting import Trees, TreeSettings, fit_trees, load_library
from models.heads.cross_fitting import TooSlow, cross_fit
from models.heads.finishing import Finishing, outputs_of
from models.heads.gbdt_head import GbdtHead, tree_inputs
from models.heads.linear_head import LinearHead
from models.heads.prediction import FloatArray, IndexArray, RowFeaturesPass
from models.heads.problem import HeadFit, HeadProblem

NUM_ROUNDS = 60


def can_be_corrected(problem: HeadProblem, linear: HeadFit) -> bool:
    """Whether every label has an out-of-fold logit, and every class a label."""
    if problem.folds is None or linear.scores is None or problem.task is Task.REGRESSION:
        return False
    num_classes = len(problem.classes or ())
    return len(problem.folds.rows) == len(problem.labels) and len(np.unique(problem.labels)) == num_classes


def fit_correction(problem: HeadProblem, linear: HeadFit) -> HeadFit | None:
    """A `gbdt` head that corrects `linear`, for a problem that `can_be_corrected`; None where there is no time for it.

    Raises:
        Interrupted: the caller asked to stop.
    """
    head, folds = linear.head, problem.folds
    assert isinstance(head, LinearHead)
    assert linear.scores is not None
    assert folds is not None
    load_library()
    start = head.finishing.calibrated(linear.scores)
    values = tree_inputs(problem.columns.values)
    settings = _settings(len(problem.labels))

    def grow(rows: IndexArray, seed: int) -> Trees:
        return fit_trees(
            problem.task,
            values[rows],
            (),  # codes of categories as numbers: with few labels splits by order are the safer ones
            problem.labels[rows],
            problem.weights[rows],
            settings,
            num_classes=problem.num_outputs,
            num_rounds=NUM_ROUNDS,
            seed=seed,
            num_threads=torch.get_num_threads(),
            check=problem.pace.check,
            offset=start[rows],
        )

    def fit_and_score(fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        if len(np.unique(problem.labels[fitted])) < len(problem.classes or ()):
            return start[held_out][None]  # trees cannot speak of a class that the fold lacks
        return (start[held_out] + grow(fitted, division).sums(values[held_out]))[None]

    found = cross_fit(folds, fit_and_score, problem.pace, max_repeats=1)
    if isinstance(found, TooSlow):
        return None
    scores = found.scores[0]
    finishing = Finishing.fit(problem, scores)
    fitted = GbdtHead(
        problem.task,
        problem.classes,
        problem.view,
        problem.encoder_fingerprint,
        problem.columns.values.shape[1],
        grow(np.arange(len(problem.labels)), 0),
        _calibrated_product(head),
        finishing,
    )
    report: dict[str, object] = {"num_rounds": NUM_ROUNDS, "corrects": "linear", **finishing.report()}
    return HeadFit(fitted, outputs_of(problem.task, scores), folds.rows, report, (), scores)


def _settings(num_labels: int) -> TreeSettings:
    return TreeSettings(
        learning_rate=0.03,
        num_leaves=6,
        smallest_leaf=int(np.clip(num_labels // 50, 2, 10)),
        row_share=0.7,
        split_share=0.3,
        penalty=2.0,
    )


def _calibrated_product(head: LinearHead) -> RowFeaturesPass:
    """The head's weights with its calibration folded in."""
    calibration = head.finishing.calibration
    if calibration is None:
        return RowFeaturesPass(head.weight, head.bias)
    shift = torch.tensor(calibration.shift, dtype=torch.float64)
    return RowFeaturesPass(
        (head.weight.double() * calibration.scale).float(),
        (head.bias.double() * calibration.scale + shift).float(),
    )
