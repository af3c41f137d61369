"""Fine-tuning: labels of one target or many, to judged heads, with one encoder pass per distinct view.

Shape letters: `n` labels of a target, `F` row features of a view, `h` hold-out rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import torch

from models.bundle import EncoderBundle
from models.encoders.tuning import TunableEncoder
from models.errors import InputError, Interrupted
from models.evaluation.judged import JudgedRows
from models.evaluation.leaks import find_leaks
from models.features.codec import PlainColumns
from models.features.column_values import ColumnValues
from models.features.row_identity import row_identities
from models.features.schema import KEY_COLUMN
from models.heads import HeadConfig
from models.heads.folds import Folds, divide
from models.heads.prediction import FittedHead, FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem, Pace
from models.predictor import Predictor
from models.progress import Progress, ShouldStop, never_stop, no_progress
from models.training.baselines import BaselineOutputs, fit_baselines, plain_columns
from models.training.budget import Plan, plan_folds, plan_rows
from models.training.deciding import with_decision, with_scores
from models.training.guessing import guess_head
from models.training.importance import ImportanceTask, importance_seconds, with_importance
from models.training.judging import Bench, judge_head, reads_encoder
from models.training.labels import CheckedLabels, LabelledRows, check_labels, holdout_labels, row_groups
from models.training.targets import HeadFailure, HeadResult, JsonObject, TargetData
from models.training.trust import with_trust
from models.training.view_features import ViewFeatures, ViewSample, compute_features

__all__ = ["HeadFailure", "HeadResult", "TargetData", "fit_heads"]

_STEPS_PER_TARGET = 3  # the head, the linear baseline, the boosted baseline
MAX_SLOWNESS = 20.0
BASELINE_SHARE = 0.2  # of a target's time, kept for LightGBM even where the head took longer than planned


def fit_heads(
    bundle: EncoderBundle,
    frame: pl.DataFrame,
    targets: Sequence[TargetData],
    config: HeadConfig,
    *,
    seed: int,
    max_seconds: float,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never_stop,
    baselines: bool = True,
    importance: bool = True,
    key_space: str = "",
) -> list[HeadResult | HeadFailure]:
    """Fit and judge one head per target, in the order of `targets`; a target that cannot be fitted fails alone.

    `frame` is the snapshot (or any frame whose row positions `targets` name); with its `_key`, judged rows are known in
    later snapshots too (`key_space` as in `models.features.row_identity`). `config` and `seed` hold for targets that do
    not bring their own. `max_seconds` is kept by using fewer
    labels, folds and baselines, each said in the result's warnings; it is no hard limit. Labels of the evaluation
    part are never fitted. The same labels, seed and threads give the same heads, as long as time suffices.

    Raises:
        Interrupted: `should_stop` said so; there are no partial results.
    """
    session = _Session(
        bundle,
        frame,
        config,
        seed,
        baselines,
        importance,
        Pace(time.monotonic() + max_seconds, progress, should_stop),
        len(targets),
        BASELINE_SHARE * max_seconds / max(len(targets), 1),
        key_space,
    )
    found: list[HeadResult | HeadFailure | None] = [None] * len(targets)
    by_view: dict[tuple[str, ...], list[int]] = {}
    checked: dict[int, CheckedLabels] = {}
    for position, target in enumerate(targets):
        try:
            if not session.config_of(target).learns_from_labels:
                found[position] = session.guess(target)
                continue
            checked[position] = check_labels(
                target, len(frame), np.random.default_rng([session.seed_of(target), 1])
            )
            by_view.setdefault(target.view, []).append(position)
        except InputError as error:
            found[position] = HeadFailure(target.name, error.code, error.message)
    for view, positions in by_view.items():
        session.fit_view(
            view, [(position, targets[position], checked[position]) for position in positions], found
        )
    return [result for result in found if result is not None]


@dataclass(slots=True)
class _Session:
    """One call of `fit_heads`: what its steps share."""

    bundle: EncoderBundle
    frame: pl.DataFrame
    config: HeadConfig
    seed: int
    baselines: bool
    importance: bool
    pace: Pace
    num_left: int
    baseline_seconds: float
    key_space: str
    predictor: Predictor = field(init=False)
    num_steps: int = field(init=False)
    step: int = 0
    slowness: float = 1.0

    def __post_init__(self) -> None:
        self.predictor = Predictor(self.bundle)
        self.num_steps = self.num_left * _STEPS_PER_TARGET

    def seed_of(self, target: TargetData) -> int:
        return self.seed if target.seed is None else target.seed

    def config_of(self, target: TargetData) -> HeadConfig:
        return target.config or self.config

    def guess(self, target: TargetData) -> HeadResult:
        """A head that needs no labels to be fitted.

        Raises: InputError.
        """
        self._say(f"{target.name}: reading the encoder's guesses")
        try:
            started = time.monotonic()
            result = guess_head(
                self.predictor,
                self.frame,
                target,
                self.config_of(target),
                pace=self.pace,
                generator=np.random.default_rng([self.seed_of(target), 1]),
                identify=self._identified,
            )
            holdout = holdout_labels(
                target, len(self.frame), np.random.default_rng([self.seed_of(target), 1])
            )
            return self._with_importance(target, result, None, holdout, None, started)
        finally:
            self.step += _STEPS_PER_TARGET
            self.num_left -= 1

    def fit_view(
        self,
        view: tuple[str, ...],
        todo: list[tuple[int, TargetData, CheckedLabels]],
        found: list[HeadResult | HeadFailure | None],
    ) -> None:
        """Fit all targets of one view; features are computed once for the union of their rows, if that fits."""
        started = time.monotonic()
        sample = ViewSample.of(self.bundle, view)
        plans = []
        for position, target, checked in todo:
            generator = np.random.default_rng([self.seed_of(target), 2])
            plan = plan_rows(checked, target.task, sample, self._share, generator)
            plans.append((position, target, plan))
        union = np.unique(np.concatenate([plan.rows for *_, plan in plans]))
        shared = self._features(sample, union) if len(union) <= sample.max_rows else None
        for position, target, plan in plans:
            self._say(f"{target.name}: fitting")
            features = shared if shared is not None else self._features(sample, np.sort(plan.rows))
            began, share = time.monotonic(), self._share
            found[position] = self._fit_target(target, plan, sample, features)
            self._learn_speed(time.monotonic() - began, share)
            self.num_left -= 1
        self._decide(sample, todo, found, time.monotonic() - started)

    @property
    def _share(self) -> float:
        """Seconds a target may take."""
        return max(self.pace.seconds_left, 0.0) / max(self.num_left, 1)

    def _learn_speed(self, took: float, share: float) -> None:
        """Plans rest on one machine's speed; this one may be slower, or busy."""
        if share > 0.0:
            self.slowness = min(max(self.slowness * took / share, 1.0), MAX_SLOWNESS)

    def _decide(
        self,
        sample: ViewSample,
        todo: list[tuple[int, TargetData, CheckedLabels]],
        found: list[HeadResult | HeadFailure | None],
        elapsed: float,
    ) -> None:
        """Add to the results of a view how their scores are spread, and what their decision rules come to."""
        fitted = {
            position: result for position, _, _ in todo if isinstance(result := found[position], HeadResult)
        }
        scored = with_scores(
            self.predictor,
            self.frame,
            sample,
            list(fitted.values()),
            elapsed,
            self.pace.seconds_left,
            lambda done: self._say("scores of unlabelled rows"),
        )
        rules = {position: target.decision for position, target, _ in todo}
        for position, result in zip(fitted, scored, strict=True):
            found[position] = with_decision(result, rules[position])

    def _features(self, sample: ViewSample, rows: IndexArray) -> ViewFeatures:
        def advance(done: int) -> None:
            self._say(f"row features: {done:,} of {len(rows):,} rows")

        return compute_features(self.bundle, self.frame, sample, rows, advance)

    def _fit_target(
        self, target: TargetData, plan: Plan, sample: ViewSample, features: ViewFeatures
    ) -> HeadResult | HeadFailure:
        started = time.monotonic()
        fitted, holdout = plan.fitted, plan.holdout
        plain = plain_columns(
            self.bundle, self.frame, target.view, np.concatenate([fitted.rows, holdout.rows])
        )
        labelled, names = plain.frame.head(len(fitted.rows)), [column.name for column in plain.columns]
        fold_plan = plan_folds(fitted, target.task, sample.width, self._share / self.slowness)
        warnings = [
            *plan.warnings,
            *fold_plan.warnings,
            *find_leaks(labelled, names, fitted.labels, target.task, plain.source_of),
        ]
        pace = replace(self.pace, deadline=time.monotonic() + self._share)
        folds = divide(
            fitted.labels,
            target.task,
            generator=np.random.default_rng([self.seed_of(target), 3]),
            groups=row_groups(self.frame, self.bundle.schema, fitted.rows),
            max_rows=fold_plan.max_rows,
        )
        folds, more = fold_plan.limit(folds)
        known = features.at(fitted.rows)
        problem = HeadProblem(
            task=target.task,
            classes=target.classes,
            view=target.view,
            encoder_fingerprint=self.predictor.fingerprint,
            features=known.features,
            columns=ColumnValues.of(known.codes, self.bundle.codec, target.view),
            scaling=sample.scaling,
            plain_scaling=sample.plain_scaling,
            labels=fitted.labels,
            weights=fitted.weights,
            folds=folds,
            pace=pace,
            tunable=TunableEncoder.of(self.bundle.codec, self.bundle.encoder, known.codes, target.view),
        )
        try:
            config, began = self.config_of(target), time.monotonic()
            fit = config.fit(problem)
            took = time.monotonic() - began
            if not target.seen_in_pretraining:  # then rows out of fold prove nothing
                fit = with_trust(problem, fit, config.fit, seconds=took, seed=self.seed_of(target))
        except InputError as error:
            self.step += _STEPS_PER_TARGET
            return HeadFailure(target.name, error.code, error.message)
        warnings += [*more, *fit.warnings]
        held_out = features.at(holdout.rows)
        rivals = self._baselines(target, problem, sample, plain, held_out.features, warnings)
        result = self._result(target, plan, fit, folds, held_out, rivals, warnings, sample)
        return self._with_importance(target, result, fitted, holdout, sample, started)

    def _with_importance(
        self,
        target: TargetData,
        result: HeadResult,
        fitted: LabelledRows | None,
        holdout: LabelledRows,
        sample: ViewSample | None,
        started: float,
    ) -> HeadResult:
        if not self.importance:
            return result
        self._say(f"{target.name}: columns that matter")
        now = time.monotonic()
        allowed = now - started + max(0.0, self.pace.seconds_left) / max(self.num_left, 1)
        seconds = importance_seconds(now - started, allowed)
        return with_importance(
            result,
            ImportanceTask(
                self.predictor,
                self.frame,
                target,
                fitted,
                holdout,
                sample,
                seconds,
                self.seed_of(target),
                self.pace,
            ),
        )

    def _baselines(
        self,
        target: TargetData,
        problem: HeadProblem,
        sample: ViewSample,
        plain: PlainColumns,
        held_out: torch.Tensor,
        warnings: list[str],
    ) -> dict[str, BaselineOutputs]:
        self.step += 1
        found: dict[str, BaselineOutputs] = {}
        if self.baselines and plain.columns:
            found, said = fit_baselines(
                problem,
                plain,
                sample.is_raw,
                held_out,
                seed=self.seed_of(target),
                pace=self._baseline_pace(problem.pace),
                begin=lambda what: self._say(f"{target.name}: {what} baseline"),
            )
            warnings += said
        self.step += 2
        return found

    def _baseline_pace(self, pace: Pace) -> Pace:
        """With some seconds in any case: a head that nothing stands beside cannot be trusted.

        How long a head takes is planned from one machine's speed; on a slower one it uses up the target's time.
        """
        return replace(pace, deadline=max(pace.deadline, time.monotonic() + self.baseline_seconds))

    def _result(
        self,
        target: TargetData,
        plan: Plan,
        fit: HeadFit,
        folds: Folds | None,
        held_out: ViewFeatures,
        rivals: dict[str, BaselineOutputs],
        warnings: list[str],
        sample: ViewSample,
    ) -> HeadResult:
        folded = None if folds is None else plan.fitted.at(folds.rows)
        bench = Bench.of(target.task, folded, plan.holdout, seen=target.seen_in_pretraining)
        outputs = self._outputs(fit.head, held_out) if len(held_out) else None
        is_mixed = not all(reads_encoder(need, sample.is_raw) for need in fit.head.needs)
        judgement = judge_head(bench, fit.out_of_fold, outputs, rivals, is_mixed=is_mixed)
        if target.seen_in_pretraining:
            warnings.append(bench.reasons[0])
        report: JsonObject = {
            **fit.report,
            "num_labels": plan.num_labels,
            "num_fitted": len(plan.fitted),
            "num_holdout": len(plan.holdout),
            "seen_in_pretraining": target.seen_in_pretraining,
            "not_reported": list(bench.reasons),
            "comparisons": {name: found.to_json() for name, found in judgement.comparisons.items()},
        }
        return HeadResult(
            target.name,
            fit.head,
            judgement.metrics,
            judgement.baselines,
            judgement.verdict,
            warnings,
            judgement.beats_constant,
            report,
            tuple(self._identified(judged) for judged in judgement.judged),
        )

    def _outputs(self, head: FittedHead, rows: ViewFeatures) -> FloatArray:
        (prediction,) = self.predictor.predict_codes(rows.codes, [head], features={head.view: rows.features})
        return prediction.outputs

    def _identified(self, judged: JudgedRows) -> JudgedRows:
        if KEY_COLUMN not in self.frame.columns:
            return judged
        keys = self.frame[KEY_COLUMN].gather(judged.rows)
        return replace(judged, identities=row_identities(keys, self.key_space))

    def _say(self, message: str) -> None:
        """Raises: Interrupted once the caller asked to stop."""
        if self.pace.should_stop():
            raise Interrupted(
                "stopped while fitting heads; nothing was published, ask for the fine-tune again"
            )
        self.pace.progress(self.step, self.num_steps, message)
