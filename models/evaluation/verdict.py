"""Plain words on what the encoder is worth to a head, from paired differences with its baselines."""

from __future__ import annotations

from collections.abc import Mapping

from models.evaluation.comparison import METRIC_WORDS, POINTS, PairedComparison, points_text
from models.evaluation.judged import Part

BASELINE_WORDS = {
    "lightgbm": "LightGBM",
    "logistic": "logistic regression on raw features",
    "ridge": "ridge on raw features",
}
_BASES: Mapping[Part, str] = {
    "out_of_fold": "({:,} labels, out of fold)",
    "holdout": "(judged on {:,} labels of the hold-out)",
}


def verdict_sentence(
    comparisons: Mapping[str, PairedComparison], *, beats_constant: bool, is_mixed: bool = False
) -> str:
    """Against the baseline that does best, that is where the head's lead is smallest; then against the others.

    `is_mixed`: the encoder has no part in a member of the head (trees, straight lines), so a gain is not its alone.

    >>> gain = PairedComparison("auc", "out_of_fold", 500, 0.018, 0.009, 0.027)
    >>> verdict_sentence({"lightgbm": gain}, beats_constant=True)
    'The encoder adds 1.8 ± 0.9 AUC points over LightGBM with these labels (500 labels, out of fold).'
    """
    known = {name: found for name, found in comparisons.items() if found.difference is not None}
    if not beats_constant:
        return (
            "With these labels the head is not shown to be better than a constant predictor; "
            "send more labels before relying on it."
        )
    if not known:
        reason = next(
            (found.reason for found in comparisons.values() if found.reason), "no baseline was fitted"
        )
        what = "How this head compares" if is_mixed else "What the encoder adds"
        return f"{what} with these labels cannot be said: {reason}."
    name, closest = min(known.items(), key=lambda item: item[1].difference or 0.0)
    assert closest.difference is not None and closest.low is not None and closest.high is not None  # noqa: PT018
    reach = points_text((closest.high - closest.difference) * POINTS)
    metric = METRIC_WORDS[closest.metric]
    rival = BASELINE_WORDS.get(name, name)
    basis = _BASES[closest.on].format(closest.num_rows)
    gap = closest.difference * POINTS
    whose = "this head" if is_mixed else "the encoder"
    others = "".join(_beside(name, found) for name, found in known.items() if found is not closest)
    if closest.low > 0.0:
        verb = "is better by" if is_mixed else "adds"
        over = "than" if is_mixed else "over"
        return (
            f"{whose.capitalize()} {verb} {points_text(gap)} ± {reach} {metric} points {over} {rival} with these labels "
            f"{basis}.{others}"
        )
    if closest.high < 0.0:
        return (
            f"Use more labels; {whose} does not help here: {rival} is {points_text(-gap)} ± {reach} {metric} "
            f"points better with these labels {basis}.{others}"
        )
    return (
        f"{whose.capitalize()} does not clearly help here: {points_text(gap, signed=True)} ± {reach} {metric} points "
        f"against {rival} with these labels {basis}.{others}"
    )


def _beside(name: str, found: PairedComparison) -> str:
    assert found.difference is not None and found.high is not None  # noqa: PT018
    gap, reach = found.difference * POINTS, (found.high - found.difference) * POINTS
    return (
        f" Against {BASELINE_WORDS.get(name, name)}: {points_text(gap, signed=True)} ± {points_text(reach)}."
    )
