"""`full`: encoder and head trained together on the labels, as the TabTransformer paper does (arXiv 2012.06678, section 2).

Shape letters: `n` fitted rows, `m` rows in folds, `O` outputs, `V` numbers of epochs.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models.encoders.tuning import TunableEncoder
from models.errors import InputError
from models.heads.cross_fitting import CrossFitted, TooSlow, cross_fit
from models.heads.finishing import Finishing, outputs_of
from models.heads.folds import Folds
from models.heads.full_head import FullHead
from models.heads.linear import LinearSolution, solve
from models.heads.losses import mean_loss
from models.heads.prediction import FloatArray, IndexArray, TunedEncoderPass
from models.heads.problem import HeadFit, HeadProblem
from models.heads.tuning import Tuning, batch_rows

EPOCHS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
"""Numbers of passes over the labels to choose from; 0 is the linear head."""
MAX_STEPS = 4_000  # of one run, whatever the number of labels
MAX_REPEATS = 1
PATIENCE = 5  # a run ends when so many of the numbers above bring nothing better
TIMED_STEPS = 3
CROSS_SHARE = 0.7  # of the time left, for runs out of fold and the last one
TIME_IS_SHORT = "time is short; raise max_seconds to change that"
CHECK_EVERY = 10  # steps between two looks at whether to stop


class FullHeadConfig(BaseModel):
    """Gentle fine-tuning from the linear head on; its length is chosen by cross-validation, so there are no options.

    Every such head has an encoder of its own, which costs a pass more wherever it predicts. Where tuning does not help out
    of fold, the linear head is what is given back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["full"] = "full"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Choose the number of epochs, tune, calibrate and judge out of fold.

        Raises:
            InputError: the problem comes without an encoder (code `no_encoder_to_tune`).
            Interrupted: the caller asked to stop.
        """
        return tune(problem, solve(problem))


def tune(problem: HeadProblem, linear: LinearSolution) -> HeadFit:
    """From the solution `linear` of the same problem on; raises what `FullHeadConfig.fit` does."""
    if problem.tunable is None:
        raise InputError(
            "a full head tunes the encoder, and this problem comes without one; choose linear or gbdt",
            code="no_encoder_to_tune",
        )
    if problem.folds is None:
        return _kept(problem, linear, "labels are too few to tell whether tuning helps")
    return _Fitting(problem, problem.tunable, linear).run()


class _Fitting:
    """One fit: what all divisions share."""

    def __init__(self, problem: HeadProblem, tunable: TunableEncoder, linear: LinearSolution) -> None:
        self.problem, self.tunable, self.linear = problem, tunable, linear
        self.target = linear.target
        self.epochs: tuple[int, ...] = EPOCHS
        self.deadline = math.inf
        self._first: FloatArray | None = None

    def run(self) -> HeadFit:
        problem, folds = self.problem, self.problem.folds
        assert folds is not None
        num_judged = len(folds.rows)
        warnings: tuple[str, ...] = ()
        most = self._affordable_epochs(num_judged, folds.num_folds)
        if most < EPOCHS[1]:
            return _kept(problem, self.linear, TIME_IS_SHORT)
        if most < EPOCHS[-1]:
            self.epochs = tuple(number for number in EPOCHS if number <= most)
            if most < _wanted_epochs(num_judged):
                warnings += (f"the encoder was tuned for at most {self.epochs[-1]} epochs: {TIME_IS_SHORT}",)
        if not self._helps_at_first(folds):
            return _kept(problem, self.linear, "tuning it did not help in the first fold")
        found = cross_fit(folds, self._fit_and_score, problem.pace, max_repeats=MAX_REPEATS)
        if isinstance(found, TooSlow):
            return _kept(problem, self.linear, TIME_IS_SHORT)
        best, losses = self._best(found)
        if best == 0:
            return _kept(problem, self.linear, "tuning it did not help out of fold")
        scores = found.scores[best]
        finishing = Finishing.fit(problem, scores)
        report: dict[str, object] = {
            "num_epochs": self.epochs[best],
            "losses": {str(self.epochs[number]): round(loss, 6) for number, loss in enumerate(losses)},
            **finishing.report(),
            "num_folds": folds.num_folds,
            "num_repeats": found.num_repeats,
            "num_judged": num_judged,
        }
        head, more = self._final(self.epochs[best], finishing)
        outputs = outputs_of(problem.task, scores)
        return HeadFit(head, outputs, folds.rows, report, warnings + more, scores=scores)

    def _affordable_epochs(self, num_judged: int, num_folds: int) -> int:
        """As many as all runs have time for, by a few steps that are timed and thrown away."""
        problem = self.problem
        rows = np.arange(min(len(problem.labels), 4 * batch_rows(len(problem.labels))))
        tuning = self._tuning(rows, self.linear.weight, self.linear.bias, 0)
        tuning.step()
        started = time.monotonic()
        for _ in range(TIMED_STEPS):
            problem.pace.check()
            tuning.step()
        seconds = (time.monotonic() - started) / TIMED_STEPS
        per_run = _steps(num_judged * (num_folds - 1) / num_folds)
        steps = num_folds * per_run + _steps(len(problem.labels))
        # Scoring a row costs about a third of a step on it, after each of the numbers of epochs: counted as a half more.
        affordable = CROSS_SHARE * problem.pace.seconds_left / max(1.5 * seconds * steps, 1e-9)
        self.deadline = problem.pace.deadline
        return int(min(affordable, _wanted_epochs(num_judged)))

    def _tuning(self, rows: IndexArray, weight: torch.Tensor, bias: torch.Tensor, seed: int) -> Tuning:
        problem = self.problem
        weights = problem.weights[rows]
        return Tuning(
            problem.task,
            self.tunable.at(rows),
            self._fixed(rows),
            problem.scaling,
            self.target.of_rows(rows),
            weights / weights.mean(),
            (weight, bias),
            seed=seed,
        )

    def _fixed(self, rows: IndexArray) -> torch.Tensor:
        """The row features that do not come from the encoder; without a copy where all rows are asked for."""
        fixed = self.problem.features[:, self.tunable.num_learned :]
        return fixed if len(rows) == len(fixed) else fixed.index_select(0, torch.from_numpy(rows))

    def _helps_at_first(self, folds: Folds) -> bool:
        """Whether the first division is worth the others: most tables where it is not cost a fifth of the time."""
        held_out = folds.assignment[0] == 0
        rows = folds.rows[held_out]
        self._first = self._run_division(folds.rows[~held_out], rows, 0)
        return int(np.argmin([self._loss(part, rows) for part in self._first if np.isfinite(part).all()])) > 0

    def _fit_and_score(self, fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        """Scores [V, b, O] after each number of epochs; those of the first division are known."""
        if division == 0 and self._first is not None:
            return self._first
        return self._run_division(fitted, held_out, division)

    def _run_division(self, fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        """Scores [V, b, O] after each number of epochs, of one run that ends where it only gets worse; NaN beyond."""
        problem = self.problem
        weight, bias = self._start(fitted)
        tuning = self._tuning(fitted, weight, bias, division)
        rows, fixed = self.tunable.at(held_out), self._fixed(held_out)
        scores = np.full((len(self.epochs), len(held_out), problem.num_outputs), np.nan)
        num_steps = 0
        losses: list[float] = []
        for number, epochs in enumerate(self.epochs):
            is_past_best = number - int(np.argmin([*losses, np.inf])) > PATIENCE
            if number > 1 and (is_past_best or time.monotonic() > self.deadline):
                break
            num_steps = self._train(tuning, num_steps, epochs * _steps(len(fitted)))
            scores[number] = tuning.scores(rows, fixed) * self.target.spread + self.target.centre
            losses.append(self._loss(scores[number], held_out))
        return scores

    def _loss(self, scores: FloatArray, rows: IndexArray) -> float:
        problem = self.problem
        return mean_loss(problem.task, scores, problem.labels[rows], problem.weights[rows])

    def _start(self, fitted: IndexArray) -> tuple[torch.Tensor, torch.Tensor]:
        """The linear solution of these rows, in the standardised labels of all."""
        problem = self.problem
        weights = problem.weights[fitted]
        part = replace(
            problem,
            features=problem.features[torch.from_numpy(fitted)],
            labels=problem.labels[fitted],
            weights=weights / weights.mean(),
            folds=None,
            tunable=None,
        )
        found = solve(part, self.linear.shares)
        scale = found.target.spread / self.target.spread
        return found.weight * scale, found.bias * scale + (
            found.target.centre - self.target.centre
        ) / self.target.spread

    def _train(self, tuning: Tuning, done: int, until: int) -> int:
        for step in range(done, until):
            if step % CHECK_EVERY == 0:
                self.problem.pace.check()
            tuning.step()
        return until

    def _best(self, found: CrossFitted) -> tuple[int, list[float]]:
        """The number of epochs whose held-out loss is smallest, among those that every division reached."""
        folds = self.problem.folds
        assert folds is not None
        losses = [self._loss(part, folds.rows) for part in found.scores if bool(np.isfinite(part).all())]
        return int(np.argmin(losses)), losses

    def _final(self, num_epochs: int, finishing: Finishing) -> tuple[FullHead, tuple[str, ...]]:
        """The head of all labels."""
        problem, target = self.problem, self.target
        tuning = self._tuning(np.arange(len(problem.labels)), self.linear.weight, self.linear.bias, 0)
        done = 0
        warnings: tuple[str, ...] = ()
        for epoch in range(num_epochs):
            if epoch and time.monotonic() > self.deadline:
                warnings = (f"the last run ended after {epoch} of {num_epochs} epochs: time was short",)
                break
            done = self._train(tuning, done, done + _steps(len(problem.labels)))
        encoder, weight, bias = tuning.weights_now()
        weight, bias = problem.scaling.fold(
            weight.double() * target.spread, bias.double() * target.spread + target.centre
        )
        tuned = TunedEncoderPass(encoder, weight, bias)
        head = FullHead(
            problem.task, problem.classes, problem.view, problem.encoder_fingerprint, tuned, finishing
        )
        return head, warnings


def _kept(problem: HeadProblem, linear: LinearSolution, reason: str) -> HeadFit:
    fit = linear.head_fit(problem)
    said = f"the encoder was left as it is, so this is a linear head: {reason}"
    return replace(fit, warnings=(*fit.warnings, said))


def _steps(num_rows: float) -> int:
    """Of one epoch."""
    return math.ceil(num_rows / batch_rows(int(num_rows)))


def _wanted_epochs(num_rows: int) -> int:
    return int(np.clip(MAX_STEPS // _steps(num_rows), EPOCHS[1], EPOCHS[-1]))
