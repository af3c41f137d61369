"""A folder of other public tables, to choose by: what is chosen here is not chosen on the tables that are reported.

    git clone --depth 1 https://github.com/vincentarelbundock/Rdatasets
    python -m benchmarks.quality.other_tables Rdatasets build/other-tables
    make bench-quality DATA=build/other-tables ARGS="--part few-labels --tables attrition,flchain --splits 2 --draws 1"

The tables are CSV files that come with R packages, collected by V. Arel-Bundock (Rdatasets).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from benchmarks.quality.manifest import MANIFEST_FILE, DataError
from models.features.schema import Task

BINARY, MULTICLASS, REGRESSION = Task.BINARY, Task.MULTICLASS, Task.REGRESSION
ROW_NUMBER = "rownames"


class OtherTable(NamedTuple):
    """`path` is `package/item`; `left_out` are keys, and columns that give a target away."""

    path: str
    targets: dict[str, Task]
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.partition("/")[2]


TABLES = (
    OtherTable(
        "modeldata/attrition",
        {"Attrition": BINARY, "JobRole": MULTICLASS, "MonthlyIncome": REGRESSION},
    ),
    OtherTable("modeldata/cells", {"class": BINARY}, ("case",)),
    OtherTable("modeldata/credit_data", {"Status": BINARY, "Job": MULTICLASS}),
    OtherTable("modeldata/mlc_churn", {"churn": BINARY}),
    OtherTable("modeldata/lending_club", {"Class": BINARY, "int_rate": REGRESSION}),
    OtherTable("modeldata/stackoverflow", {"Remote": BINARY, "Salary": REGRESSION}),
    OtherTable("modeldata/hpc_data", {"class": MULTICLASS}),
    OtherTable("modeldata/leaf_id_flavia", {"species": MULTICLASS}),
    OtherTable("openintro/email", {"spam": BINARY}),
    OtherTable(
        "openintro/loans_full_schema",
        {"homeownership": MULTICLASS, "interest_rate": REGRESSION},
        ("grade", "sub_grade"),
    ),
    OtherTable("survival/flchain", {"death": BINARY}, ("futime", "chapter")),
    OtherTable("survival/nwtco", {"rel": BINARY}, ("seqno", "edrel")),
    OtherTable("AER/HMDA", {"deny": BINARY}),
    OtherTable("carData/Arrests", {"released": BINARY}),
    OtherTable("wooldridge/loanapp", {"approve": BINARY}, ("action", "reject")),
    OtherTable("ggplot2/diamonds", {"cut": MULTICLASS, "price": REGRESSION}),
    OtherTable("openintro/ames", {"price": REGRESSION}, ("Order", "PID")),
    OtherTable(
        "medicaldata/covid_testing",
        {"result": MULTICLASS},
        ("subject_id", "fake_first_name", "fake_last_name"),
    ),
    OtherTable("openintro/yrbss", {"gender": BINARY, "physically_active_7d": REGRESSION}),
)


def write_folder(collection: Path, folder: Path, tables: Sequence[OtherTable] = TABLES) -> None:
    """Parquet files and a manifest in `folder`, from the CSV files of a copy of Rdatasets.

    Raises:
        DataError: a file is missing, or has not the columns that it had.
    """
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    entries = [_write_table(collection, folder, table) for table in tables]
    (folder / MANIFEST_FILE).write_text(json.dumps({"tables": entries}, indent=1))


def _write_table(collection: Path, folder: Path, table: OtherTable) -> dict[str, Any]:
    source = collection / "csv" / f"{table.path}.csv"
    if not source.is_file():
        raise DataError(f"{source} is not there; the first argument is a copy of the Rdatasets repository")
    frame = pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None)
    missing = [name for name in (*table.targets, *table.left_out) if name not in frame.columns]
    if missing:
        raise DataError(
            f"{source} has no column {missing[0]!r} any more; take it out of TABLES, or rename it"
        )
    frame = frame.drop(ROW_NUMBER, *table.left_out, strict=False)
    file = f"tables/{table.name}.parquet"
    frame.write_parquet(folder / file)
    targets = [{"column": column, "task": task.value} for column, task in table.targets.items()]
    return {"name": table.name, "file": file, "targets": targets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("collection", type=Path, help="a copy of the Rdatasets repository")
    parser.add_argument("folder", type=Path, help="where Parquet files and the manifest are written")
    arguments = parser.parse_args()
    try:
        write_folder(arguments.collection, arguments.folder)
    except DataError as error:
        parser.exit(2, f"{error}\n")
    print(f"{len(TABLES)} tables in {arguments.folder}")


if __name__ == "__main__":
    main()
