"""Values that a format can hold and a table cannot, and files of things that cannot be read: refused, never a fault."""

from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from models.errors import TableFormatError
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff
from models.features.reading.typed_columns import canonical_column

FAR = (-(2**63), -(2**63) + 1, -(2**62), 2**62, 2**63 - 1)


def read(tmp_path: Path, data: bytes, name: str) -> RawTable:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read_table(path, name, ReadOptions(), ReadLimits())


def written(frame: pl.DataFrame, form: str) -> bytes:
    buffer = io.BytesIO()
    if form == "parquet":
        frame.write_parquet(buffer)
    elif form == "stream":
        frame.write_ipc_stream(buffer)
    else:
        frame.write_ipc(buffer)
    return buffer.getvalue()


def refused(tmp_path: Path, data: bytes, name: str) -> TableFormatError:
    with pytest.raises(TableFormatError) as caught:
        read(tmp_path, data, name)
    return caught.value


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *((pl.Datetime(unit, zone), far) for unit in ("ms", "us") for zone in (None, "Asia/Kolkata") for far in FAR),
        (pl.Datetime("us"), -62_135_596_800_000_001),
        (pl.Datetime("us"), 253_402_300_800_000_000),
        (pl.Date(), 2**31 - 1),
        (pl.Date(), -(2**31)),
        (pl.Date(), -719_163),
        (pl.Date(), 2_932_897),
    ],
)  # fmt: skip
def test__moment__beyond_the_years_1_to_9999__is_refused_with_its_row_and_column(
    tmp_path: Path, dtype: pl.DataType, value: int, form: str
) -> None:
    physical = pl.Int32 if dtype == pl.Date else pl.Int64
    moments = pl.Series("when", [None, *range(57), value, value], dtype=physical).cast(dtype)
    error = refused(tmp_path, written(pl.DataFrame([moments]), form), "t." + form)
    assert (error.code, error.details) == ("value_out_of_range", {"row": 58, "column": "when"})
    assert "Row 59 of column 'when'" in error.message
    assert str(value) not in error.message


@pytest.mark.parametrize(
    ("dtype", "values", "micros"),
    [
        (pl.Datetime("ns"), [-(2**63) + 1, 2**63 - 1, None], [-9_223_372_036_854_776, 9_223_372_036_854_775, None]),
        (pl.Datetime("ns", "Asia/Kolkata"), [-1, 1_000, None], [-1, 1, None]),
        (pl.Datetime("us"), [-62_135_596_800_000_000, None], [-62_135_596_800_000_000, None]),
        (pl.Datetime("ms", "Asia/Kolkata"), [253_402_300_799_999], [253_402_300_799_999_000]),
    ],
)  # fmt: skip
def test__moment__at_the_bounds__is_the_same_moment_in_microseconds(
    dtype: pl.DataType, values: list[int | None], micros: list[int | None]
) -> None:
    typed = canonical_column(pl.Series("when", values, dtype=pl.Int64).cast(dtype))
    assert typed.series.dtype == pl.Datetime("us")
    assert typed.series.to_physical().to_list() == micros
    assert typed.series.min() is not None  # Python knows it


def test__duration__of_any_size__becomes_seconds() -> None:
    units: tuple[tuple[Literal["ms", "us", "ns"], float], ...] = (("ms", 1e3), ("us", 1e6), ("ns", 1e9))
    for unit, per_second in units:
        typed = canonical_column(pl.Series("a", [*FAR, None], dtype=pl.Int64).cast(pl.Duration(unit)))
        assert typed.series.to_list() == [*(far / per_second for far in FAR), None]


@pytest.mark.parametrize("cell", ["0000-01-01", "0000-12-31T23:59:59"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test__text__of_the_year_0__stays_text(tmp_path: Path, cell: str, form: str) -> None:
    other = cell.replace("0000", "0001")
    csv = f"a,b\n1,{cell}\n2,{other}\n"
    lines = f'{{"a":1,"b":"{cell}"}}\n{{"a":2,"b":"{other}"}}\n'
    table = read(tmp_path, (csv if form == "csv" else lines).encode(), "t." + form)
    assert table.frame["b"].to_list() == [cell, other]
    table = read(tmp_path, csv.replace(cell, other).encode(), "t.csv")
    assert table.frame["b"].dtype.is_temporal()


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (r'{"a":1,"b":"\ud800"}', "b"),
        (r'{"a":1,"b":"x\uDFFFy"}', "b"),
        (r'{"a":1,"b":"\udc00\ud800"}', "b"),
        (r'{"a":1,"\ud800":2}', None),
        (r'{"a":1,"\ud800":[2]}', None),
    ],
)
@pytest.mark.parametrize("num_before", [1, 30_000])
def test__json_lines__half_of_a_surrogate_pair__is_refused_with_line_and_column(
    tmp_path: Path, line: str, column: str | None, num_before: int
) -> None:
    data = (r'{"a":1,"b":"\ud83d\ude00"}' + "\n").encode() * num_before + line.encode()
    error = refused(tmp_path, data, "t.jsonl")
    assert (error.code, error.details["line"], error.details.get("column")) == (
        "invalid_json",
        num_before + 1,
        column,
    )
    assert error.message.encode()
    if num_before == 1:
        with pytest.raises(TableFormatError, match="surrogate"):
            sniff(data, "t.jsonl", ReadOptions(), ReadLimits(), is_whole_file=True)


WRITTEN = {  # by Arrow's own library: d decimal256(50, 3); x of an extension type with metadata ff fe
    "decimal256.parquet": (
        "eNq1U0FLAlEQnveyxSLEpHnswh68uFRsloEV0WXWDKOkFKJLF1GxktLWymP9nn5DdOrYT+g39AM6Ne9t6sEMOjQs8779ZuZ93w7s"
        "MVVzGMMkLhyiREgBxF0BUSBgCpXPfBIttFw7PqiMkILFH9j5eU4zaclZCiGBFZYxNVBAgD0Bsen3MQGE8Zh+n0Cz9J/6x005O3mw"
        "rV79vHlVwxgTGWmLNmCC3TJqZGbZVsM/01l/q3Rcx/fA5ck8WEmHm1EqqZ6FehXelhf/24ocn/cCKPWik3zsLFmOB9qf1kgMNBpG"
        "40WqJ+l9Cu9N/P+eJjtTn1NKenH1MQWOa89RtXp0uh1t0H6Uqzo2W8RRoSgOiPoUtGiPqEUFU6IgICprUCDaN8TopAgGleF7+ZIv"
        "3WJQLBUN2de5SMPQMGgTdTQqap1do8ujRq8ctVVM8UTX2U9J+zJsMLyn8Mv94bffspnvR35NnIw6wU53a+HNXfN2pd7trtTCsNNP"
        "3zfD3kXnOr2+kV3L5hzfBeAHHnidx/z3fQHB8H8X"
    ),
    "decimal256.arrow": (
        "eNp9UDEOAiEQHDjuIJctKC7GwsLS2hf4BB9gaecHfYKP8C/rsFmjIXqTLDADOwyoqt4BVDTMEEwYUbgiQiIHWeGYfAQi6+zrB/t5"
        "MLf+nWvWyrrSpVqfmN+RNfhmxUJ9QrYbqt8f4i+fm2UQVrYMTT75vnr+xblg4y8Qc8aQsOV0wBszuViqlunibw/4IOE/Sjf3+v5L"
        "i50vVvhzxCrU/hl4ATjVFu4="
    ),
    "extension.parquet": (
        "eNq9U01P20AQHS/IChKHgLqWLfmQS61WDRAjggDBYRzikBaUOEA+uBkTOZAEQiAk4hf0J3Hg2CP/hguHHjrrTWwq9VKp6sjaGb+Z"
        "efNmZVexZvN5nuYfDjnjsAyQMhWQxoEvcy1LeJqrXDX11CyTRBp8+gO6tETHQobRyRSFwf+YYOzmQVfvgk677/N5Aj4yXelO/QQ0"
        "ZphG1gKTKvOgpg1KcqYx7VnRfijWlpX6u+lGlpYCzsQOaXK7n1XDAqHntxmTdzN+KtaL8q+maG9EbKW073NgmPoi1mqVxo7cXn+a"
        "WxOWQwcRPZT2DXGMToguYoiFMMIcKjgSQQGxHAGJRxnut0RUmpIUQ2yJfuI5EHwRv+MJXJpXPhWuF72E+G6+6BbMG3Gq6M1AfKyS"
        "3klcJPPVtS90RvO9+tfjEzvYPGt2cmeN/KPf2B5V+nbvouR2W81aB6dN+1F/KPZBoWvG5wi+kp0/7Nc3Lih0o4x7fNrdblYEVqqP"
        "gvXew/nVYNRq2FL+0QmJ2kqYnKivLCQ5Y3lvxWQ/B6WKILk/jEN/HOsri5JCnHaTStzbAz0z8Ie3o/b9SjAYrPjD4c0489Ae3l3e"
        "XGfWN1dzq7aRNQHogVf6DKr0+/4CoMSqJA=="
    ),
    "extension.arrow": (
        "eNp9UDEKwkAQnMSoh6QIEiSFb/ABVhHshTQ2NgFTiCQWptB/+BgfYOkDfI3n7GWDIaALu3u7dzM3u9Zam3pABLEJQowwhOGJ5gWs"
        "wcowBhoBn/6iJw4zZTZEjd3bCDE7DuzHjDeHb/nZpV+UY618T2qIOtz23XCvsmyzXRaXuqjOh1O1LIs63+d1DscZOkXCHSt2RC+v"
        "CwKaXh9f5WUh2Af/Eymp6u2qj1S75LnytrqP+q/ha6PtVO9Jae+qRSzETDcZOmYMAjdTuwfZdaIzyK53eufhawF+m+nlf32/x4s/"
        "tdeZR/IH1UQwhQ=="
    ),
}


def unpacked(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(WRITTEN[name]))


def zoned(form: str) -> bytes:
    moments = pl.Series("when", [0], dtype=pl.Int64).cast(pl.Datetime("us", "Asia/Tokyo"))
    data = written(pl.DataFrame([moments]), form)
    if form != "parquet":
        return data.replace(b"Asia/Tokyo", b"Mars/Tokyo")
    start = data.index(b"ARROW:schema")
    start = data.index(b"/////", start)  # base64 of a message's continuation mark
    end = start
    while data[end : end + 1].isalnum() or data[end : end + 1] in (b"+", b"/", b"="):
        end += 1
    end -= (end - start) % 4
    schema = base64.b64decode(data[start:end]).replace(b"Asia/Tokyo", b"Mars/Tokyo")
    return data[:start] + base64.b64encode(schema) + data[end:]


UNSUPPORTED: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "decimal256 in parquet": ("parquet", unpacked("decimal256.parquet"), {"column": "d"}),
    "decimal256 in arrow": ("arrow", unpacked("decimal256.arrow"), {}),
    "zone in parquet": ("parquet", zoned("parquet"), {}),
    "zone in arrow": ("arrow", zoned("arrow"), {}),
    "zone in a stream": ("arrow", zoned("stream"), {}),
    "metadata in parquet": ("parquet", unpacked("extension.parquet"), {}),
    "metadata in arrow": ("arrow", unpacked("extension.arrow"), {}),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test__file__whole_with_what_cannot_be_read__is_not_called_damaged(tmp_path: Path, case: str) -> None:
    form, data, details = UNSUPPORTED[case]
    error = refused(tmp_path, data, "t." + form)
    assert (error.code, error.details) == ("unsupported_column_type", details)
    assert "Tokyo" not in error.message
