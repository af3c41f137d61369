"""Sides of rows from snapshot to snapshot: groups, times, copies, and what the report says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.errors import SchemaError
from tests.models.features.snapshots.next_tables import Line


def visits(first: int, count: int, num_patients: int = 20) -> pl.DataFrame:
    rows = range(first, first + count)
    return pl.DataFrame(
        {
            "id": [f"v{row}" for row in rows],
            "patient": [f"p{row * 7 % num_patients}" for row in rows],
            "day": list(rows),
            "x": [row * 0.5 + 0.1 for row in rows],
        }
    )


GROUPED = {"id": {"role": "key"}, "patient": {"role": "group"}}
TIMED = {"id": {"role": "key"}, "day": {"role": "time"}}


def sides_by_patient(line: Line) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for patient, side in line.frame.select("patient", "_split").iter_rows():
        found.setdefault(patient, set()).add(side)
    return found


@pytest.mark.parametrize("split", ["auto", "group"])
def test__group__new_rows_of_a_known_group__take_its_side(tmp_path: Path, split: str) -> None:
    line = Line(tmp_path, visits(0, 60), columns=GROUPED, split={"by": split}, evaluation_fraction=0.4)
    known = sides_by_patient(line)
    report = line.next(visits(60, 60, num_patients=40), "append", evaluation_fraction=0.0)
    after = sides_by_patient(line)
    assert all(len(sides) == 1 for sides in after.values())
    assert {patient: after[patient] for patient in known} == known
    assert {side for patient, sides in after.items() if patient not in known for side in sides} == {"train"}
    split_report = report.profile["split"]
    assert (split_report["by"], split_report["straddling_groups"], split_report["groups"]) == ("group", 0, 40)


def test__group__of_a_row_that_moves__does_not_move_the_row_and_is_reported(tmp_path: Path) -> None:
    line = Line(tmp_path, visits(0, 60), columns=GROUPED, evaluation_fraction=0.4)
    known = sides_by_patient(line)
    moving = line.frame.filter(pl.col("patient") == next(p for p, s in known.items() if s == {"train"})).head(
        1
    )
    other = next(patient for patient, sides in known.items() if sides == {"evaluation"})
    before = line.sides
    report = line.next(moving.select("id", pl.lit(other).alias("patient")), "upsert")
    assert line.sides == before
    assert report.profile["split"]["straddling_groups"] == 1
    assert any("groups have rows on both sides" in warning for warning in report.warnings)


def test__row__split__ignores_groups_and_says_that_they_straddle(tmp_path: Path) -> None:
    line = Line(tmp_path, visits(0, 200), columns=GROUPED, split={"by": "row"}, evaluation_fraction=0.3)
    assert line.report.profile["split"]["straddling_groups"] > 10


@pytest.mark.parametrize(("by", "columns"), [("group", TIMED), ("key", {"day": {"role": "time"}})])
def test__split__by_a_role_that_no_column_has__is_refused(
    tmp_path: Path, by: str, columns: dict[str, Any]
) -> None:
    with pytest.raises(SchemaError) as refused:
        Line(tmp_path, visits(0, 30), columns=columns, split={"by": by})
    assert refused.value.code == f"no_{by}_column"


def test__time__chosen_cutoff__is_kept_for_later_rows(tmp_path: Path) -> None:
    line = Line(tmp_path, visits(0, 400), columns=TIMED, split={"by": "time"}, evaluation_fraction=0.25)
    assert line.report.rule.cutoff == 300
    assert line.report.warnings == ()
    report = line.next(visits(400, 400).with_columns(day=pl.col("day") - 250), "append")
    frame = line.frame.with_columns(is_late=pl.col("day") >= 300)
    assert frame.filter(pl.col("is_late") != (pl.col("_split") == "evaluation")).is_empty()
    assert report.rule.cutoff == 300
    assert report.profile["split"]["sides"]["evaluation"]["time"] == [300, 549]
    assert any("at or after the cutoff" in warning for warning in report.warnings)


def test__time__a_later_cutoff__counts_for_new_rows_only(tmp_path: Path) -> None:
    line = Line(
        tmp_path, visits(0, 100), columns=TIMED, split={"by": "time", "cutoff": 80}, evaluation_fraction=0.25
    )
    before = line.sides
    line.next(visits(100, 100), "append", split={"by": "time", "cutoff": 150})
    sides = line.sides
    assert all(sides[key] == side for key, side in before.items())
    assert [sides[f"v{row}"] for row in (99, 100, 149, 150)] == ["evaluation", "train", "train", "evaluation"]


@pytest.mark.parametrize(
    ("values", "cutoff", "code"),
    [
        ([1, 2, 3], "2024-01-01", "invalid_cutoff"),
        (["2024-01-01", "2024-01-02", "2024-01-03"], 3, "invalid_cutoff"),
        (["2024-01-01", "2024-01-02", "2024-01-03"], "soon", "invalid_cutoff"),
        (["01/02/2024", "02/03/2024", "03/04/2024"], "2024-01-01", "invalid_time_column"),
    ],
)
def test__cutoff__that_does_not_fit_the_column__is_refused(
    tmp_path: Path, values: list[Any], cutoff: Any, code: str
) -> None:
    frame = pl.DataFrame({"id": ["a", "b", "c"], "day": values, "x": [1.5, 2.5, 3.5]})
    with pytest.raises(SchemaError) as refused:
        Line(tmp_path, frame, columns=TIMED, split={"by": "time", "cutoff": cutoff})
    assert refused.value.code == code
    assert "soon" not in refused.value.message


@pytest.mark.parametrize("cutoff", ["2024-02-01", "2024-02-01T00:00:00", "2024-02-01T01:00:00+01:00"])
@pytest.mark.parametrize("template", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d 00:00:00"])
def test__cutoff__of_dates_in_any_spelling__is_one_moment(tmp_path: Path, template: str, cutoff: str) -> None:
    days = pl.Series([f"2024-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 29)]).str.to_date()
    frame = pl.DataFrame({"id": range(len(days)), "day": days.dt.strftime(template), "x": [0.5] * len(days)})
    line = Line(tmp_path, frame, columns=TIMED, split={"by": "time", "cutoff": cutoff})
    assert line.frame["_split"].to_list() == ["train"] * 28 + ["evaluation"] * 28


def test__key__copies_of_one_row__share_a_side_now_and_later(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": [f"k{row}" for row in range(400)],
            "x": [row if row < 300 else row - 100 for row in range(400)],
        }
    )
    line = Line(tmp_path, frame, evaluation_fraction=0.4)
    assert line.report.rule.copies_together
    line.next(pl.DataFrame({"id": [f"late{row}" for row in range(300)], "x": range(300)}), "append")
    assert line.frame.group_by("x").agg(pl.col("_split").n_unique())["_split"].to_list() == [1] * 300


def test__key__few_distinct_rows__are_split_by_key(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [f"k{row}" for row in range(400)], "c": ["a", "b"] * 200})
    line = Line(tmp_path, frame, evaluation_fraction=0.4)
    assert not line.report.rule.copies_together
    assert 100 < line.report.profile["splits"]["evaluation"] < 220
