"""Metrics of a head beside those of its baselines, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOLDOUT = "holdout"
LEADING = ("auc", "macro_auc", "r2")
"""The metric that stands for a head where there is room for one."""


@dataclass(frozen=True)
class MetricRow:
    """`0.87 [0.84, 0.90]` of the head and of each baseline; `on` is out_of_fold or holdout."""

    metric: str
    on: str
    head: str
    baselines: Mapping[str, str]


def metric_rows(head: Mapping[str, Any]) -> list[MetricRow]:
    """One row per metric, the leading one first; then those on the hold-out, where there are any."""
    metrics = head.get("metrics") or {}
    baselines = head.get("baselines") or {}
    rows = _rows(metrics, baselines)
    if isinstance(metrics.get(HOLDOUT), Mapping):
        of_holdout = {
            name: values.get(HOLDOUT) or {}
            for name, values in baselines.items()
            if isinstance(values, Mapping)
        }
        rows += _rows(metrics[HOLDOUT], of_holdout)
    return rows


def leading_row(head: Mapping[str, Any]) -> MetricRow | None:
    """Out of fold where there is that, else on the hold-out."""
    rows = metric_rows(head)
    return min(rows, key=lambda row: row.metric not in LEADING, default=None)


def _rows(metrics: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[MetricRow]:
    return [
        MetricRow(
            metric=name,
            on=str(metric.get("on", "")).replace("_", " "),
            head=metric_text(metric),
            baselines={
                baseline: metric_text(values.get(name))
                for baseline, values in baselines.items()
                if isinstance(values, Mapping)
            },
        )
        for name, metric in metrics.items()
        if isinstance(metric, Mapping) and "value" in metric
    ]


def metric_text(metric: object) -> str:
    if not isinstance(metric, Mapping) or metric.get("value") is None:
        return "–"
    low, high = metric.get("low"), metric.get("high")
    interval = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    if metric.get("of_perfect") is not None:
        interval = f" (perfect: {metric['of_perfect']:.3g})"
    return f"{metric['value']:.3g}{interval}"


def promise_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Coverage asked for, what was found of it out of fold, and the mean size of sets or width of intervals."""
    return [
        [
            f"{point['asked']:.0%}",
            metric_text({"value": point["found"], **{end: point[end] for end in ("low", "high")}}),
            f"{point.get('mean_size', point.get('mean_width')):.3g}",
        ]
        for point in report.get("coverage") or ()
    ]


def control_line(report: Mapping[str, Any]) -> str | None:
    """What the head makes of labels that have changed places; None where that was not computed."""
    control = report.get("permutation_control") or {}
    if control.get("value") is None:
        return None
    verdict = "above chance: see the warnings" if control["is_above_chance"] else "no better than chance"
    return f"control on permuted labels: {control['metric']} {metric_text(control)}, {verdict}"
