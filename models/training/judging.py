"""From outputs to what is said about a head: metrics, baselines beside it, a verdict, and whether it has skill.

Shape letters: `m` rows judged out of fold, `h` hold-out rows, `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.evaluation.comparison import PairedComparison, difference
from models.evaluation.judged import JudgedRows, Part
from models.evaluation.metrics import beats_constant, holdout_refusal, metrics_json, missing_metrics
from models.evaluation.verdict import verdict_sentence
from models.features.schema import Task
from models.heads.prediction import ColumnValuesPass, FloatArray, Pass, RowFeaturesPass
from models.training.baselines import BaselineOutputs
from models.training.labels import LabelledRows
from models.training.targets import JsonObject

SEEN_REASON = (
    "the target column was a feature in pretraining, so out-of-fold labels have been seen by the encoder; "
    "only hold-out labels judge this head"
)


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """The rows on which a head and its baselines are judged; either part may be missing, `reasons` say why."""

    task: Task
    folded: LabelledRows | None
    holdout: LabelledRows | None
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, task: Task, folded: LabelledRows | None, holdout: LabelledRows, *, seen: bool) -> Bench:
        """`folded` are the rows judged out of fold, None where labels are too few for folds."""
        reasons = []
        if seen:
            folded = None
            reasons.append(SEEN_REASON)
        elif folded is None:
            reasons.append("too few labels to be divided into folds")
        refusal = holdout_refusal(task, holdout.labels)
        if refusal is not None:
            reasons.append(refusal)
        return cls(task, folded, holdout if refusal is None else None, tuple(reasons))

    def judge(self, out_of_fold: FloatArray | None, holdout: FloatArray | None) -> tuple[JudgedRows, ...]:
        """Outputs [m, K] and [h, K] (or [m], [h]) with their labels; out of fold first, it leads."""
        found = []
        if self.folded is not None and out_of_fold is not None:
            found.append(_judged(self.task, "out_of_fold", self.folded, out_of_fold))
        if self.holdout is not None and holdout is not None:
            found.append(_judged(self.task, "holdout", self.holdout, holdout))
        return tuple(found)

    def metrics(self, judged: tuple[JudgedRows, ...]) -> JsonObject:
        """Metrics of the leading part under their plain names, those of the hold-out beside them under `holdout`."""
        if not judged:
            return missing_metrics(self.task, "; ".join(self.reasons) or "not computed")
        metrics = metrics_json(judged[0])
        if len(judged) > 1:
            metrics["holdout"] = metrics_json(judged[1])
        return metrics


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    metrics: JsonObject
    baselines: JsonObject
    comparisons: dict[str, PairedComparison]
    verdict: str
    beats_constant: bool
    judged: tuple[JudgedRows, ...]


def judge_head(
    bench: Bench,
    out_of_fold: FloatArray | None,
    holdout: FloatArray | None,
    baselines: Mapping[str, BaselineOutputs],
    *,
    is_mixed: bool = False,
) -> Judgement:
    """Everything that is said about a head with these outputs, beside baselines on the same rows."""
    judged = bench.judge(out_of_fold, holdout)
    rivals = {name: bench.judge(found.out_of_fold, found.holdout) for name, found in baselines.items()}
    comparisons: dict[str, PairedComparison] = {}
    compared = max(judged, key=len, default=None)  # the part with more labels tells more
    has_skill = compared is not None and beats_constant(compared)
    if compared is not None:
        comparisons = {
            name: difference(compared, part)
            for name, parts in rivals.items()
            for part in parts
            if part.on == compared.on
        }
        verdict = verdict_sentence(comparisons, beats_constant=has_skill, is_mixed=is_mixed)
    else:
        verdict = f"This head cannot be judged: {'; '.join(bench.reasons)}."
    return Judgement(
        bench.metrics(judged),
        {name: bench.metrics(rival) for name, rival in rivals.items()},
        comparisons,
        verdict,
        has_skill,
        judged,
    )


def _judged(task: Task, on: Part, rows: LabelledRows, outputs: FloatArray) -> JudgedRows:
    return JudgedRows(task, on, rows.rows, rows.labels, outputs, rows.weights)


def reads_encoder(need: Pass, is_raw: npt.NDArray[np.bool_]) -> bool:
    """Whether the encoder has a part in what the pass gives; `is_raw` [F] as in `ViewSample`."""
    if isinstance(need, RowFeaturesPass):
        return bool(need.weight[:, torch.from_numpy(~is_raw)].any())
    return not isinstance(need, ColumnValuesPass)
