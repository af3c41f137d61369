"""Published numbers of the same tables, and ours beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.quality.reports.figures import Figures
from benchmarks.quality.reports.intervals import Estimate, over_splits
from benchmarks.quality.reports.markdown import labels_text, table

FILE = Path(__file__).parents[1] / "published.json"


@dataclass(frozen=True, slots=True)
class Published:
    """AUC %. `few_labels`: table → number of labels → best of any method; `all_labels`: table → method → value."""

    source: str
    few_labels: dict[str, dict[int, float]]
    all_labels: dict[str, dict[str, float]]

    def compared_few(self, figures: Figures) -> list[dict[str, Any]]:
        """Ours against the best published number, per table and number of labels that both have."""
        found = []
        for place, labels in self._cells(figures):
            estimate = _ours(figures, place, labels)
            best = self.few_labels[place.split(".", 1)[0]][labels]
            if estimate is not None:
                found.append({
                    "table": place, "labels": labels, "published": best, "ours": estimate.to_json(),
                    "difference": round(estimate.mean - best, 3),
                })  # fmt: skip
        return found

    def few_lines(self, figures: Figures) -> list[str]:
        compared = self.compared_few(figures)
        if not compared:
            return []
        rows = []
        for entry in compared:
            ours = Estimate(**entry["ours"])
            rows.append([
                entry["table"].split(".", 1)[0], labels_text(entry["labels"]), f"{entry['published']:.1f}",
                ours.text(1), f"{entry['difference']:+.1f}", _outcome(ours, entry["published"]),
            ])  # fmt: skip
        wins = sum(entry["difference"] > 0 for entry in compared)
        lines = table(
            ["set", "labels", "best published AUC %", f"{figures.leading} [95 %]", "difference", ""], rows
        )
        return [
            *lines,
            f"Above the best published number in {wins} of {len(compared)} cases ({self.source}).",
            "",
        ]

    def all_lines(self, figures: Figures) -> list[str]:
        rows = []
        for place in figures.places():
            known, estimate = self.all_labels.get(place.split(".", 1)[0]), _ours(figures, place, None)
            if known is not None and estimate is not None:
                method = max(known, key=lambda name: known[name])
                rows.append([
                    place.split(".", 1)[0], f"{known[method]:.1f} ({method})", estimate.text(1),
                    f"{estimate.mean - known[method]:+.1f}", _outcome(estimate, known[method]),
                ])  # fmt: skip
        if not rows:
            return []
        header = ["set", "best published AUC %, all labels", f"{figures.leading} [95 %]", "difference", ""]
        return [*table(header, rows), f"Published: {self.source}.", ""]

    def _cells(self, figures: Figures) -> list[tuple[str, int]]:
        return [
            (place, labels)
            for labels in figures.labels
            if labels is not None
            for place in figures.places()
            if labels in self.few_labels.get(place.split(".", 1)[0], {})
        ]


@cache
def published() -> Published:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    few = {name: cells for name, cells in content["best_few_labels"].items() if name != "about"}
    return Published(
        content["source"],
        {name: {int(labels): value for labels, value in cells.items()} for name, cells in few.items()},
        {name: cells for name, cells in content["all_labels"].items() if name != "about"},
    )


def _ours(figures: Figures, place: str, labels: int | None) -> Estimate | None:
    if figures.leading is None:
        return None
    values = figures.values(figures.leading, place, labels)
    return over_splits({pair: 100.0 * value for pair, value in values.items()}) if values else None


def _outcome(ours: Estimate, published: float) -> str:
    """A win or loss counts as clear where the published number lies outside our interval."""
    word = "win" if ours.mean > published else "loss"
    is_clear = ours.low is not None and ours.high is not None and not ours.low <= published <= ours.high
    return word if is_clear else f"{word}, within our interval"
