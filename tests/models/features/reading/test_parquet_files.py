"""Parquet columns of any flat type become canonical ones without loss."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl

from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff


def _read(tmp_path: Path, frame: pl.DataFrame) -> RawTable:
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    return read_table(path, "anything.bin", ReadOptions(), ReadLimits())


def test__read_table__flat_types__become_canonical(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "i8": pl.Series([1, None], dtype=pl.Int8),
            "u64": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
            "u64_small": pl.Series([5, 0], dtype=pl.UInt64),
            "f32": pl.Series([0.5, float("nan")], dtype=pl.Float32),
            "inf": [float("inf"), 1.0],
            "dec": pl.Series([Decimal("1.50"), Decimal("2.25")], dtype=pl.Decimal(10, 2)),
            "cat": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
            "time": [dt.time(1, 2), dt.time(3, 4)],
            "ns": pl.Series([dt.datetime(2024, 1, 1), None], dtype=pl.Datetime("ns")),
            "zoned": pl.Series([dt.datetime(2024, 1, 1, 12)] * 2).dt.replace_time_zone("Europe/Berlin"),
            "span": [dt.timedelta(seconds=90), None],
            "null": pl.Series([None, None], dtype=pl.Null),
            "id": ["01", "02"],
            "code": ["100", "200"],
            "text_number": ["29.85", " "],
            "level": ["", "NA"],
        }
    )
    table = _read(tmp_path, frame)
    read = table.frame

    assert read["i8"].to_list() == [1, None]
    assert read["u64"].to_list() == [str(2**64 - 1), "0"]
    assert read["u64_small"].to_list() == [5, 0]
    assert read["f32"].to_list() == [0.5, None]
    assert read["inf"].to_list() == [None, 1.0]
    assert read["dec"].to_list() == [1.5, 2.25]
    assert read["cat"].to_list() == read["enum"].to_list() == ["a", "b"]
    assert read["time"].dtype == pl.String
    assert read["ns"].to_list() == [dt.datetime(2024, 1, 1), None]
    assert read["zoned"][0] == dt.datetime(2024, 1, 1, 11)
    assert read["span"].to_list() == [90.0, None]
    assert read["null"].dtype == pl.String
    assert read["id"].to_list() == ["01", "02"]
    assert read["code"].to_list() == ["100", "200"]
    assert read["text_number"].to_list() == [29.85, None]
    assert read["level"].to_list() == [None, "NA"]
    assert set(read.dtypes) <= {pl.String, pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.Datetime("us")}
    assert table.line_of_row(0) is None
    assert table.place_of_row(0) == "row 1"


def test__sniff__parquet__knows_its_columns_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [1], "b": ["x"]}).write_parquet(path)
    data = path.read_bytes()
    assert sniff(data, "t.parquet", ReadOptions(), ReadLimits(), is_whole_file=True).columns == ("a", "b")
    assert sniff(data[:40], "t.parquet", ReadOptions(), ReadLimits(), is_whole_file=False).columns == ()
