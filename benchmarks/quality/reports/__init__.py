"""What a part's figures come to, one report per part."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.reports.calibration import calibration
from benchmarks.quality.reports.efficiency import label_efficiency
from benchmarks.quality.reports.figures import Figures
from benchmarks.quality.reports.many_targets import many_targets
from benchmarks.quality.reports.markdown import Report
from benchmarks.quality.reports.published import Published
from benchmarks.quality.reports.robustness import robustness
from benchmarks.quality.reports.scores import all_labels, few_labels, tasks

REPORTS: dict[str, Callable[[Figures, Published], Report]] = {
    "few-labels": few_labels,
    "all-labels": all_labels,
    "label-efficiency": label_efficiency,
    "robustness": robustness,
    "tasks": tasks,
    "calibration": calibration,
    "many-targets": many_targets,
}
"""By the name of the part."""
