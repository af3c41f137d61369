"""How many labels others need for the score that ours has with few.

Shape letters: none; curves are lists of (number of labels, score).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.parts import RIVALS
from benchmarks.quality.reports.figures import Figure, Figures
from benchmarks.quality.reports.markdown import Report, table
from benchmarks.quality.reports.published import Published

OUR_LABELS = 50
NUM_RESAMPLES = 1_000

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Needed:
    """Labels that reach a score; `side` says that it is fewer ("<") than the smallest or more (">") than the largest of
    the curve, which then is `labels`."""

    labels: float
    side: str = ""

    @property
    def for_order(self) -> float:
        return math.inf if self.side == ">" else self.labels

    def text(self) -> str:
        sign = {"": "", "<": "≤ ", ">": "> "}[self.side]
        return f"{sign}{self.labels:,.0f}"


def labels_needed(curve: Curve, goal: float) -> Needed:
    """Where a curve first reaches the goal: straight between its points over the logarithm of the labels.

    More labels never count as worse: the curve is the best score so far.
    """
    best = -math.inf
    previous: tuple[int, float] | None = None
    for labels, score in sorted(curve):
        best = max(best, score)
        if best >= goal:
            if previous is None:
                return Needed(labels, "<")
            share = (goal - previous[1]) / (best - previous[1])
            low, high = math.log(previous[0]), math.log(labels)
            return Needed(math.exp(low + share * (high - low)))
        previous = labels, best
    return Needed(max(labels for labels, _ in curve), ">")


def label_efficiency(figures: Figures, published: Published) -> Report:
    ours = figures.leading
    rivals = [name for name in RIVALS if name in figures.systems]
    if ours is None or not rivals:
        return Report(
            {"ours": ours, "tables": {}}, [f"Needs figures of ours and of {' or '.join(RIVALS)}.", ""]
        )
    by_place = {place: _scores(figures, place, [ours, *rivals]) for place in figures.places()}
    by_place = {place: scores for place, scores in by_place.items() if _is_complete(scores, ours, rivals)}
    if not by_place:
        return Report(
            {"ours": ours, "tables": {}}, [f"No table has {OUR_LABELS} labels of ours beside others.", ""]
        )
    found = {place: _needed(scores, ours, rivals) for place, scores in by_place.items()}
    median = _median([_better(needed) for needed in found.values()])
    low, high = _interval(by_place, ours, rivals)
    body = {
        "ours": ours,
        "labels": OUR_LABELS,
        "tables": {
            place: {
                "auc": round(100 * _mean_curve(by_place[place][ours])[OUR_LABELS], 3),
                "needed": {
                    name: [round(needed.labels, 1), needed.side] for name, needed in all_needed.items()
                },
            }
            for place, all_needed in found.items()
        },
        "median_ratio": _finite(median),
        "interval": [_finite(low), _finite(high)],
    }
    header = ["set", f"our AUC % at {OUR_LABELS}", *(f"{name} needs" for name in rivals), "better one ÷ ours"]
    rows = [
        [
            place.split(".", 1)[0],
            f"{100 * _mean_curve(by_place[place][ours])[OUR_LABELS]:.1f}",
            *(
                needed.text() if needed is not None else "—"
                for needed in (all_needed.get(name) for name in rivals)
            ),
            _ratio_text(_better(all_needed)),
        ]
        for place, all_needed in found.items()
    ]
    sentence = (
        f"Median over {len(found)} sets: {_times(median)} our labels, 95 % interval {_times(low)} to {_times(high)} "
        "(splits and draws resampled). `>`: not reached with the most labels tried, which ranks above every number."
    )
    return Report(body, [*table(header, rows), sentence, "", *figures.notes, ""])


Scores = Mapping[str, Mapping[tuple[int, int], Mapping[int, float]]]
"""System to (split, draw) to number of labels to score."""


def _scores(figures: Figures, place: str, systems: Sequence[str]) -> Scores:
    found: dict[str, dict[tuple[int, int], dict[int, float]]] = {name: {} for name in systems}
    for figure in figures.good:
        if figure.place == place and figure.spec.system in found and figure.score is not None:
            found[figure.spec.system].setdefault(figure.pair, {})[_num_labels(figure)] = figure.score
    return found


def _num_labels(figure: Figure) -> int:
    """As many as there were: a small table has fewer than were asked for."""
    return int(figure.record["num_labels"])


def _is_complete(scores: Scores, ours: str, rivals: Sequence[str]) -> bool:
    has_ours = any(OUR_LABELS in by_labels for by_labels in scores[ours].values())
    return has_ours and any(scores[name] for name in rivals)


def _mean_curve(scores: Mapping[tuple[int, int], Mapping[int, float]]) -> dict[int, float]:
    """Mean score by number of labels, of the pairs that have it; all-row counts of splits that differ by a few rows are
    taken together at the smallest."""
    by_labels: dict[int, list[float]] = {}
    for by_count in scores.values():
        for labels, score in by_count.items():
            near = next((known for known in by_labels if abs(known - labels) <= 0.02 * known), labels)
            by_labels.setdefault(near, []).append(score)
    return {labels: float(np.mean(found)) for labels, found in by_labels.items()}


def _needed(scores: Scores, ours: str, rivals: Sequence[str]) -> dict[str, Needed]:
    goal = _mean_curve(scores[ours])[OUR_LABELS]
    return {
        name: labels_needed(list(_mean_curve(scores[name]).items()), goal) for name in rivals if scores[name]
    }


def _better(needed: Mapping[str, Needed]) -> Needed:
    return min(needed.values(), key=lambda found: (found.for_order, found.labels))


def _median(needed: Sequence[Needed]) -> float:
    ordered = sorted(found.for_order / OUR_LABELS for found in needed)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _interval(by_place: Mapping[str, Scores], ours: str, rivals: Sequence[str]) -> tuple[float, float]:
    """Of the median, by drawing pairs of split and draw anew, the same for every system of a table."""
    generator = np.random.default_rng(0)
    medians = []
    for _ in range(NUM_RESAMPLES):
        needed = []
        for scores in by_place.values():
            pairs = sorted(set.union(*(set(found) for found in scores.values())))
            drawn = [pairs[i] for i in generator.integers(0, len(pairs), len(pairs))]
            again = {
                name: {(i, 0): found[pair] for i, pair in enumerate(drawn) if pair in found}
                for name, found in scores.items()
            }
            if _is_complete(again, ours, rivals):
                needed.append(_better(_needed(again, ours, rivals)))
        if needed:
            medians.append(_median(needed))
    ordered = sorted(medians)
    return ordered[int(0.025 * len(ordered))], ordered[min(int(0.975 * len(ordered)), len(ordered) - 1)]


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _times(value: float) -> str:
    return f"{value:.1f} times" if math.isfinite(value) else "more than was tried of"


def _ratio_text(needed: Needed) -> str:
    sign = {"": "", "<": "≤ ", ">": "> "}[needed.side]
    return f"{sign}{needed.labels / OUR_LABELS:.1f}"
