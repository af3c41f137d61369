"""A folder of other tables is one that the benchmark reads; a collection that changed is told, not half taken."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks.quality.manifest import MANIFEST_FILE, DataError, read_manifest
from benchmarks.quality.other_tables import TABLES, OtherTable, write_folder
from benchmarks.quality.tables import load_study
from models.features.schema import Task

PLANTS = OtherTable("garden/plants", {"edible": Task.BINARY, "height": Task.REGRESSION}, ("number",))


def _collection(folder: Path, columns: str = "rownames,number,edible,height,colour") -> Path:
    (folder / "csv" / "garden").mkdir(parents=True)
    lines = [
        f"{row},{row},{'yes' if row % 2 else 'no'},{row / 7},{'red' if row % 3 else 'NA'}"
        for row in range(80)
    ]
    (folder / "csv" / "garden" / "plants.csv").write_text("\n".join([columns, *lines]))
    return folder


def test__write_folder__csv_of_a_package__is_read_as_a_table_with_its_targets(tmp_path: Path) -> None:
    write_folder(_collection(tmp_path / "collection"), tmp_path / "tables", [PLANTS])
    frame = pl.read_parquet(tmp_path / "tables" / "tables" / "plants.parquet")
    assert frame.columns == ["edible", "height", "colour"]
    assert frame["colour"].null_count() == 27
    (entry,) = read_manifest(tmp_path / "tables").values()
    study = load_study(tmp_path / "tables", entry, "edible")
    assert (study.task, study.classes) == (Task.BINARY, ("no", "yes"))
    assert load_study(tmp_path / "tables", entry, "height").task is Task.REGRESSION


def test__write_folder__file_or_column_gone__is_told_and_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="copy of the Rdatasets"):
        write_folder(tmp_path / "nothing", tmp_path / "a", [PLANTS])
    renamed = _collection(tmp_path / "collection", "rownames,number,eatable,height,colour")
    with pytest.raises(DataError, match="'edible'"):
        write_folder(renamed, tmp_path / "b", [PLANTS])
    assert not any((tmp_path / folder / MANIFEST_FILE).exists() for folder in "ab")


def test__tables__names__are_distinct() -> None:
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names)
