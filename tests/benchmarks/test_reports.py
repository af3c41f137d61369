"""The arithmetic of reports, against hand-computed values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.__main__ import DOCUMENT, ROOT
from benchmarks.quality.parts import EIGHT, PARTS
from benchmarks.quality.reports import REPORTS
from benchmarks.quality.reports.efficiency import Needed, labels_needed
from benchmarks.quality.reports.figures import Figures, select
from benchmarks.quality.reports.intervals import estimate, over_splits
from benchmarks.quality.reports.many_targets import break_even
from benchmarks.quality.reports.markdown import MarkersError, insert
from benchmarks.quality.reports.published import published
from benchmarks.quality.specification import TrialSpec

MACHINE = {"processor": "p", "cores": 4, "torch": "t", "python": "3", "commit": "c", "at": "2026"}
PRETRAINING = {"seconds": 60.0}


def record(
    system: str, table: str, split: int, score: float, *, labels: int | None = 50, **more: Any
) -> dict[str, Any]:
    spec = TrialSpec(table=table, target="y", system=system, split=split, draw=0, labels=labels)
    facts: dict[str, Any] = {"name": system, "version": "1", "code": "x"}
    if system.startswith("rootstock"):
        facts["pretraining"] = PRETRAINING
    return {
        "key": f"{spec}",
        "spec": spec.model_dump(mode="json"),
        "metrics": {"auc": score},
        "seconds": {"fit": 1.0, "predict": 0.5},
        "task": "binary",
        "num_labels": labels or 600,
        "system": facts,
        "machine": MACHINE,
        **more,
    }


def selected(records: list[dict[str, Any]]) -> Figures:
    specs = [TrialSpec.model_validate(item["spec"]) for item in records]
    return select(records, specs, PRETRAINING, None)


def test__estimate__by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])

    assert found.mean == 2.0
    assert found.high is not None
    assert found.high - 2.0 == pytest.approx(4.302653 * 1.0 / math.sqrt(3))  # t(0.975, 2)
    assert estimate([1.0]).low is None


def test__over_splits__draws_of_a_split__count_once() -> None:
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 4.0}

    assert over_splits(values) == estimate([2.0, 4.0])
    assert over_splits({(0, 0): 1.0, (0, 1): 3.0}) == estimate([1.0, 3.0])


def test__few_labels__differences__are_paired_and_over_tables() -> None:
    scores = {
        ("rootstock-auto", "a"): [0.80, 0.84], ("rootstock-auto", "b"): [0.70, 0.72],
        ("other", "a"): [0.78, 0.80], ("other", "b"): [0.71, 0.71],
    }  # fmt: skip
    records = [
        record(system, table, split, score)
        for (system, table), found in scores.items()
        for split, score in enumerate(found)
    ]
    report = REPORTS["few-labels"](selected(records), published())
    systems = report.body["counts"][0]["systems"]

    assert list(systems) == ["rootstock-auto", "other"]
    assert systems["rootstock-auto"]["mean"]["mean"] == pytest.approx(76.5)
    best = report.body["counts"][0]["best"]
    assert best["single"] == "other"
    assert best["ours_minus_single"]["mean"] == pytest.approx(1.5)
    assert best["tables"]["b.y"] == {"system": "other", "ours_minus": pytest.approx(0.0)}
    minus = systems["other"]["ours_minus"]
    assert minus["tables"]["a.y"]["mean"] == pytest.approx(3.0)
    assert minus["tables"]["b.y"]["mean"] == pytest.approx(0.0)
    assert minus["over_splits"]["mean"] == minus["over_tables"]["mean"] == pytest.approx(1.5)
    # By split: (2 − 1) / 2 = 0.5 and (4 + 1) / 2 = 2.5.
    assert minus["over_splits"]["high"] - 1.5 == pytest.approx(
        12.7062 * math.sqrt(2) / math.sqrt(2), rel=1e-4
    )


def test__few_labels__system_of_fewer_splits__is_not_called_the_best() -> None:
    scores = {"rootstock-auto": (0.90, 0.70), "other": (0.85, 0.71), "lucky": (0.95,)}
    records = [
        record(system, "a", split, score)
        for system, found in scores.items()
        for split, score in enumerate(found)
    ]
    best = REPORTS["few-labels"](selected(records), published()).body["counts"][0]["best"]

    assert best["tables"]["a.y"] == {"system": "other", "ours_minus": pytest.approx(2.0)}
    assert best["single"] == "other"


def test__few_labels__system_without_a_table__has_no_mean() -> None:
    records = [record("rootstock-auto", table, 0, 0.8) for table in ("a", "b")] + [
        record("other", "a", 0, 0.7)
    ]
    report = REPORTS["few-labels"](selected(records), published())

    assert report.body["counts"][0]["systems"]["other"]["mean"] is None
    assert "(1 of 2)" in "\n".join(report.lines)


def test__few_labels__published_best__is_won_or_lost() -> None:
    records = [
        record("rootstock-auto", "qsar_bio", split, score, labels=labels)
        for labels, scores in ((50, (0.90, 0.90)), (200, (0.80, 0.82)))
        for split, score in enumerate(scores)
    ]
    compared = REPORTS["few-labels"](selected(records), published()).body["published"]

    assert [entry["difference"] for entry in compared] == pytest.approx([90.0 - 88.8, 81.0 - 89.6])


def test__select__newest_record_stands_and_other_pretraining_does_not() -> None:
    old, new = record("rootstock-auto", "a", 0, 0.5), record("rootstock-auto", "a", 0, 0.9)
    new["system"] = {**new["system"], "version": "2"}
    other = record("rootstock-auto", "a", 0, 0.1)
    other["system"] = {**other["system"], "pretraining": {"seconds": 5.0}}
    failed = {**record("other", "a", 0, 0.0), "error": {"type": "ValueError", "at": ""}}
    figures = selected([old, new, other, failed])

    assert [figure.score for figure in figures.good] == [0.9]
    assert figures.notes == ("Trials of other without a figure: ValueError 1×.",)


@pytest.mark.parametrize(
    ("goal", "needed"),
    [
        (0.80, Needed(100.0 * math.sqrt(4.0))),  # half way between 100 and 400 over the logarithm
        (0.70, Needed(100, "<")),
        (0.95, Needed(1_600, ">")),
        (0.90, Needed(400.0)),  # the dip at 800 does not count
    ],
)
def test__labels_needed__by_hand(goal: float, needed: Needed) -> None:
    curve = [(100, 0.70), (400, 0.90), (800, 0.85), (1_600, 0.90)]
    found = labels_needed(curve, goal)

    assert found.labels == pytest.approx(needed.labels)
    assert found.side == needed.side


def test__label_efficiency__median_of_the_better_rival__with_censored_tables() -> None:
    curves = {
        "a": {"lightgbm": {50: 0.6, 100: 0.8, 200: 0.9}, "catboost": {50: 0.5, 100: 0.6, 200: 0.7}},
        "b": {"lightgbm": {50: 0.6, 200: 0.7}, "catboost": {50: 0.6, 200: 0.8}},
        "c": {"lightgbm": {50: 0.6, 200: 0.7}, "catboost": {50: 0.6, 200: 0.7}},
    }
    records = [record("rootstock-auto", table, 0, 0.8) for table in curves] + [
        record(system, table, 0, score, labels=labels)
        for table, systems in curves.items()
        for system, curve in systems.items()
        for labels, score in curve.items()
    ]
    report = REPORTS["label-efficiency"](selected(records), published())

    assert report.body["tables"]["a.y"]["needed"]["lightgbm"] == [100.0, ""]
    assert report.body["tables"]["c.y"]["needed"] == {"lightgbm": [200.0, ">"], "catboost": [200.0, ">"]}
    assert report.body["median_ratio"] == 4.0  # of 2, 4 and more than 4
    assert "> 200" in "\n".join(report.lines)


def test__break_even__by_hand() -> None:
    assert break_even(60.0, 1.0, 7.0) == 10.0
    assert break_even(60.0, 7.0, 1.0) is None


def test__published__means__are_those_of_the_research_notes() -> None:
    few = published().few_labels
    means = [sum(cells[labels] for cells in few.values()) / len(few) for labels in (50, 200, 500)]
    eight = [sum(few[name][labels] for name in EIGHT) / len(EIGHT) for labels in (50, 200, 500)]

    assert [round(mean, 1) for mean in means] == [78.8, 81.6, 82.7]
    assert [round(mean, 1) for mean in eight] == [78.9, 81.9, 82.7]
    assert set(published().all_labels) == set(few)
    assert published().all_labels["bank_marketing"]["TabTransformer"] == 93.4


def test__calibration_and_robustness__reports__are_json_without_nan() -> None:
    extra = {"ece": 0.08, "ece_of_perfect": 0.05, "coverage": 0.91, "set_size": 1.2, "auc_damaged_0": 0.8}
    damage = {f"auc_{way}_{share}": 0.7 for way in ("missing", "replaced") for share in (10, 20, 30, 40, 50)}
    records = [
        record("rootstock-auto", "a", split, 0.8, metrics={"auc": 0.8, **extra, **damage})
        for split in range(2)
    ]
    figures = selected(records)
    calibrated = REPORTS["calibration"](figures, published())
    robust = REPORTS["robustness"](figures, published())

    errors = calibrated.body["errors"][0]["systems"]["rootstock-auto"]
    assert errors["mean_excess"]["mean"] == pytest.approx(0.03)
    assert calibrated.body["coverage"][0]["systems"]["rootstock-auto"]["sets"]["mean"] == pytest.approx(0.91)
    assert robust.body["curves"][0]["systems"]["rootstock-auto"]["50"]["mean"] == pytest.approx(70.0)
    json.dumps([calibrated.body, robust.body], allow_nan=False)


def test__insert__between_markers__replaces_only_that(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- few-labels: begin -->\nold\n<!-- few-labels: end -->\nafter\n")

    insert(document, "few-labels", ["| new |"])
    insert(document, "few-labels", ["| newer |"])

    assert (
        document.read_text()
        == "before\n<!-- few-labels: begin -->\n\n| newer |\n\n<!-- few-labels: end -->\nafter\n"
    )
    with pytest.raises(MarkersError):
        insert(document, "all-labels", [])


def test__document__has_a_place_for_every_part(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks.md"
    copy.write_text(DOCUMENT.read_text())

    for part in REPORTS:
        insert(copy, part, ["x"])

    assert set(REPORTS) == set(PARTS)


def test__constraints__of_compared_systems__agree_with_the_projects_own() -> None:
    own, more = (
        dict(line.lower().split("==") for line in (ROOT / name).read_text().splitlines() if "==" in line)
        for name in ("constraints.txt", "constraints-bench.txt")
    )

    assert {name: version for name, version in more.items() if own.get(name, version) != version} == {}
    assert "-c constraints.txt" in (ROOT / "constraints-bench.txt").read_text()
