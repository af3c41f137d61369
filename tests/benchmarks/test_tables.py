"""Manifests and tables: what becomes a feature, what a label, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.quality.manifest import (
    Beware,
    DataError,
    ManifestTable,
    ManifestTarget,
    absent_columns,
    read_manifest,
)
from benchmarks.quality.tables import load_studies, load_study
from models.features.schema import Task
from tests.benchmarks.data_folder import BEWARE, NUM_ROWS, write_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"))


def entry_of(names: str, key: str | None, *beware: tuple[str, str]) -> tuple[ManifestTable, list[str]]:
    columns = names.split()
    return ManifestTable(
        name="t",
        file="t.parquet",
        key=key,
        targets=tuple(ManifestTarget(column=name, task=Task.BINARY) for name in columns),
        beware=tuple(Beware(column=column, why=why) for column, why in beware),
    ), columns


@pytest.mark.parametrize(
    ("names", "key", "beware", "target", "absent"),
    [
        ("y age duration", None, [("duration", "known only after the call: leaks y (the paper keeps it)")], "y", ""),
        ("fnlwgt income", None, [("fnlwgt", "survey weight, not a feature")], "income", "fnlwgt"),
        ("education education-num sex", None, [("education", "same information as education-num")], "sex", ""),
        ("customerID Churn tenure TotalCharges", "customerID",
         [("customerID", "id"), ("TotalCharges", "~ tenure * MonthlyCharges: only leaky for those two targets")],
         "tenure", "customerID TotalCharges"),
        ("MOSTYPE MOSHOOFD CARAVAN", None,
         [("MOSTYPE", "subtype: determines MOSHOOFD (only leaky when MOSHOOFD is the target)")], "CARAVAN", ""),
        ("MOSTYPE MOSHOOFD CARAVAN", None,
         [("MOSTYPE", "subtype: determines MOSHOOFD (only leaky when MOSHOOFD is the target)")], "MOSHOOFD", "MOSTYPE"),
        ("patient_nbr change insulin diabetesMed", None,
         [("patient_nbr", "patient id: repeated patients, group by it when splitting"),
          ("diabetesMed", "when change or insulin is the target (near deterministic)")],
         "diabetesMed", "patient_nbr change insulin"),
        ("cnt casual registered temp", None,
         [("casual", "casual + registered = cnt"), ("registered", "same")], "cnt", "casual registered"),
        ("cnt casual registered temp", None,
         [("casual", "casual + registered = cnt"), ("registered", "same")], "casual", "cnt registered"),
        ("a b", None, [("b", "written down after the fact")], "a", "b"),
        ("a b", None, [("b", "all null")], "a", "b"),
    ],
)  # fmt: skip
def test__absent_columns__words_of_the_manifest__hide_what_they_mean(
    names: str, key: str | None, beware: list[tuple[str, str]], target: str, absent: str
) -> None:
    entry, columns = entry_of(names, key, *beware)

    assert sorted(absent_columns(entry, target, columns, keep_traps=True)) == sorted(absent.split())


def test__absent_columns__what_the_paper_keeps__can_be_dropped() -> None:
    entry, columns = entry_of("y duration", None, ("duration", "leaks y (the paper keeps it)"))

    assert absent_columns(entry, "y", columns, keep_traps=False) == ("duration",)


def test__load_study__small_integer_types__become_plain_columns(data: Path) -> None:
    study = load_study(data, read_manifest(data)["tiny"], "y")

    assert set(study.frame.columns) == {"x", "colour", "code", "duration", "total", "z", "kind"}
    assert set(study.frame.dtypes) == {pl.Float64, pl.String}
    assert [column.name for column in study.schema.encoded] == study.frame.columns
    assert study.classes == ("no", "yes")
    assert study.frame["colour"].null_count() > 0


def test__load_study__column_that_gives_a_target_away__is_absent_for_it_alone(data: Path) -> None:
    entry = read_manifest(data)["tiny"]

    assert "total" not in load_study(data, entry, "z").frame.columns
    assert "total" in load_study(data, entry, "kind").frame.columns


def test__load_studies__several_targets__share_columns_that_give_none_away(data: Path) -> None:
    studies = load_studies(data, read_manifest(data)["tiny"], ["y", "z", "kind"])

    assert [study.target for study in studies] == ["y", "z", "kind"]
    assert set(studies[0].frame.columns) == {"x", "colour", "code", "duration"}
    assert studies[1].frame is studies[0].frame


def test__load_study__rows_without_label__are_kept_unlabelled(data: Path) -> None:
    study = load_study(data, read_manifest(data)["tiny"], "kind")

    assert len(study.labels) == study.frame.height == NUM_ROWS
    assert int(np.isnan(study.labels).sum()) == NUM_ROWS // 25


def test__load_study__rare_class__has_no_labels(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    frame = pl.read_parquet(folder / "tiny.parquet")
    rare = frame.with_columns(
        pl.when(pl.int_range(NUM_ROWS) < 5).then(pl.lit("rare")).otherwise("kind").alias("kind")
    )
    rare.write_parquet(folder / "tiny.parquet")

    study = load_study(folder, read_manifest(folder)["tiny"], "kind")

    assert study.classes == ("a", "b", "c")
    assert np.isnan(study.labels[:5]).all()


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"tables": [{"name": "t"}]}'])
def test__manifest__missing_or_of_another_form__is_refused_in_one_line(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)

    assert "\n" not in str(caught.value)


def test__load_study__missing_file_or_target__is_refused(data: Path, tmp_path: Path) -> None:
    entry = read_manifest(data)["tiny"]

    with pytest.raises(DataError, match="cannot be read"):
        load_study(tmp_path, entry, "y")
    with pytest.raises(DataError, match="no target"):
        load_study(data, entry, "x")


def test__manifest__of_the_tests__says_what_the_real_one_does() -> None:
    assert {item["column"] for item in BEWARE} == {"id", "weight", "duration", "total", "household"}
