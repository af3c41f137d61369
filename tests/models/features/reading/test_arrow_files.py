from __future__ import annotations

import datetime as dt
import io
import random
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from models.errors import TableFormatError
from models.features.reading import (
    RawTable,
    ReadLimits,
    ReadOptions,
    SourceFile,
    read_table,
    read_tables,
    sniff,
)

FRAME = pl.DataFrame(
    {
        "id": [1, 2**60 + 1, None],
        "name": ["x", "", "ü"],
        "level": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
        "at": [dt.datetime(2024, 2, 29, 12, 30), None, dt.datetime(1969, 1, 1)],
        "ok": [True, False, None],
        "share": [0.1, float("nan"), 3.0],
    }
)

FORMS: dict[str, tuple[str, Literal["uncompressed", "lz4", "zstd"]]] = {
    "file": ("file", "uncompressed"),
    "file lz4": ("file", "lz4"),
    "file zstd": ("file", "zstd"),
    "stream": ("stream", "uncompressed"),
    "stream zstd": ("stream", "zstd"),
}


def arrow(frame: pl.DataFrame, form: str) -> bytes:
    out = io.BytesIO()
    kind, compression = FORMS[form]
    if kind == "file":
        frame.write_ipc(out, compression=compression)
    else:
        frame.write_ipc_stream(out, compression=compression)
    return out.getvalue()


def read(tmp_path: Path, content: bytes, **limits: int) -> RawTable:
    path = tmp_path / "in"
    path.write_bytes(content)
    return read_table(path, "any.csv", ReadOptions(), ReadLimits.model_validate(limits))


@pytest.mark.parametrize("form", FORMS)
def test__arrow__any_form__is_read_without_loss(tmp_path: Path, form: str) -> None:
    content = arrow(FRAME, form)
    table = read(tmp_path, content)
    assert table.sniffed.format == "arrow"
    assert table.frame["id"].to_list() == [1, 2**60 + 1, None]
    assert table.frame["name"].to_list() == ["x", None, "ü"]
    assert table.frame["level"].to_list() == ["a", "b", "a"]
    assert table.frame["at"].to_list() == FRAME["at"].to_list()
    assert table.frame["share"].to_list() == [0.1, None, 3.0]
    assert table.place_of_row(1) == "row 2"
    assert sniff(content, "x", ReadOptions(), ReadLimits(), is_whole_file=True).format == "arrow"


@pytest.mark.parametrize("form", FORMS)
def test__arrow__cut_or_changed__is_refused_or_read_never_worse(tmp_path: Path, form: str) -> None:
    content = arrow(FRAME, form)
    draw = random.Random(3)
    damaged = [content[: draw.randrange(9, len(content) - 1)] for _ in range(15)]
    for _ in range(40):
        changed = bytearray(content)
        changed[draw.randrange(8, len(content))] ^= 1 << draw.randrange(8)
        damaged.append(bytes(changed))
    for data in damaged:
        try:
            read(tmp_path, data)
        except TableFormatError as error:
            assert error.code  # noqa: PT017 - whichever rule it breaks


@pytest.mark.parametrize("form", ["file lz4", "file zstd", "stream zstd"])
def test__arrow__that_unpacks_beyond_the_cap__is_refused_before(tmp_path: Path, form: str) -> None:
    content = arrow(pl.DataFrame({"a": [0.0] * 200_000}), form)
    assert len(content) < 100_000
    with pytest.raises(TableFormatError) as refused:
        read(tmp_path, content, max_bytes=1_000_000)
    assert refused.value.code == "decompressed_too_large"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (FRAME.clear(), "header_only"),
        (pl.DataFrame({"a": [[1, 2]]}), "unsupported_column_type"),
        (pl.DataFrame({"_key": [1]}), "invalid_column_name"),
        (pl.DataFrame({"a": [b"x"]}), "unsupported_column_type"),
    ],
)
@pytest.mark.parametrize("form", ["file", "stream"])
def test__arrow__no_table__is_refused(tmp_path: Path, frame: pl.DataFrame, code: str, form: str) -> None:
    with pytest.raises(TableFormatError) as refused:
        read(tmp_path, arrow(frame, form))
    assert refused.value.code == code


def test__arrow__beside_csv_and_json_lines__makes_one_table(tmp_path: Path) -> None:
    contents = [
        arrow(pl.DataFrame({"id": [1], "x": [1.5], "word": ["a"]}), "stream"),
        b"word,x,id\nb,2,2\n",
        b'{"id": 3, "x": 4, "word": "c"}\n',
    ]
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        files.append(SourceFile(path, f"part-{number}"))
    table = read_tables(files, ReadOptions(), ReadLimits())
    assert table.frame.rows() == [(1, 1.5, "a"), (2, 2.0, "b"), (3, 4.0, "c")]
    assert [table.place_of_row(row) for row in range(3)] == [
        "row 1 of file 1 (part-0)", "line 2 of file 2 (part-1)", "line 1 of file 3 (part-2)",
    ]  # fmt: skip
