"""Files that are no table are refused with a code, a place and a remedy; never read wrongly, never with contents."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TableFormatError
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff


def _read(
    tmp_path: Path, data: bytes, name: str = "t.csv", limits: ReadLimits | None = None, **options: object
) -> RawTable:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read_table(path, name, ReadOptions.model_validate(options), limits or ReadLimits())


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


_LONG = "x" * 201
_EARLY = [  # what the first MiB shows: refused by `sniff` and by `read_table` alike
    ("t.csv", b"", "empty_file", None),
    ("t.csv", b"\n\n  \n", "empty_file", None),
    ("t.csv", b"\xef\xbb\xbf", "empty_file", None),
    ("t.csv", b"a,b\n", "header_only", 1),
    ("t.csv", b"a,b", "header_only", 1),
    ("t.csv", b"a,b\n\n\n", "header_only", 1),
    ("t.csv", b"%PDF-1.7\n1 0 obj\n", "not_a_table", None),
    ("t.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not_a_table", None),
    ("t.csv", b"\x80\x04\x95" + bytes(40), "not_a_table", None),
    ("t.csv", b"a,b\n" + bytes(range(1, 32)) * 10, "not_a_table", None),
    ("t.csv", b"<!DOCTYPE html><html><body>Sign in</body></html>", "not_a_table", None),
    ("t.csv", b'[{"a": 1}]', "not_a_table", None),
    ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "unsupported_encoding", None),
    ("t.csv", "a,b\n1,2\n".encode("utf-32"), "unsupported_encoding", None),
    ("t.csv", b"a,b,a\n1,2,3\n", "duplicate_column", 1),
    ("t.csv", b"a, a\n1,2\n", "duplicate_column", 1),
    ("t.csv", b"a,_key\n1,2\n", "invalid_column_name", 1),
    ("t.csv", b"a,,c\n1,2,3\n", "invalid_column_name", 1),
    ("t.csv", f"a,{_LONG}\n1,2\n".encode(), "invalid_column_name", 1),
    ("t.csv", b'a,"b\nc"\n1,2\n', "invalid_column_name", 2),
    ("t.csv", b"5.1,3.5,1.4\n4.9,3.0,1.4\n4.7,3.2,1.3\n4.6,3.1,1.5\n5.0,3.6,1.4\n5.1,3.5,1.4\n", "missing_header", 1),
    ("t.csv", b"X1,X2\nage,size\n" + b"1,2.5\n" * 6, "second_header", 2),
    ("t.csv", b",".join(b"c%d" % i for i in range(10_000)) + b"\n" + b"1," * 9_999 + b"1\n", "too_many_columns", 1),
    ("t.parquet", b"a,b\n1,2\n", "damaged_parquet", None),
    ("t.parquet", b"PAR1" + bytes(100) + b"PAR1", "damaged_parquet", None),
    ("t.parquet", _parquet(pl.DataFrame({"a": [[1, 2]]})), "unsupported_column_type", None),
    ("t.parquet", _parquet(pl.DataFrame({"a": [{"x": 1}]})), "unsupported_column_type", None),
    ("t.parquet", _parquet(pl.DataFrame({"a": [b"\x00"]})), "unsupported_column_type", None),
    ("t.parquet", _parquet(pl.DataFrame({"_row": [1]})), "invalid_column_name", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "code", "line"), _EARLY, ids=lambda value: value if isinstance(value, str) else ""
)
def test__sniff_and_read_table__file_that_is_no_table__is_refused_alike(
    tmp_path: Path, name: str, data: bytes, code: str, line: int | None
) -> None:
    with pytest.raises(TableFormatError) as early:
        sniff(data, name, ReadOptions(), ReadLimits(), is_whole_file=True)
    with pytest.raises(TableFormatError) as late:
        _read(tmp_path, data, name)

    assert (early.value.code, early.value.details.get("line")) == (code, line)
    assert (late.value.code, late.value.details.get("line")) == (code, line)
    assert early.value.message == late.value.message
    assert early.value.message.endswith((".", ")"))


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"a,b\n" + b"1,2\n" * 7_998 + b"1\n" + b"1,2\n", "ragged_row", 8_000),
        (b"a,b\n" + b"1,2\n" * 7_998 + b"1,2,3\n" + b"1,2\n", "ragged_row", 8_000),
        (b"a,b\n" + b'"x\ny",2\n' * 100 + b"1\n", "ragged_row", 202),
        (b"a,b\r\n" + b'"x\r\n\r\ny",2\r\n' * 10 + b"\r\n\r\n1\r\n", "ragged_row", 34),
        (b"a,b\n1,2\n" * 1 + b'3,"never closed\n4,5\n', "unclosed_quote", 3),
        (b'a,b\n1,2\n"x" y,2\n', "stray_quote", 3),
        (b"a,b\n1,2\n3,x\0y\n", "nul_byte", 3),
        (b"a,b\n1,2\n3," + b"x" * 100_001 + b"\n", "cell_too_long", 3),
        ("a,b\n1,é à ü\n".encode() + b"3,\xff\xfe\n", "invalid_encoding", 3),
        (b"a,b\n,\n\n,\n", "header_only", 1),
        (b"a,b,,\n1,2,,\n1,2,,oops\n", "invalid_column_name", 1),
    ],
)
def test__read_table__fault_inside_the_file__is_refused_with_its_line(
    tmp_path: Path, data: bytes, code: str, line: int | None
) -> None:
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, data)
    assert (refused.value.code, refused.value.details.get("line")) == (code, line)


def test__read_table__ragged_line_beyond_the_first_chunk__has_its_physical_line(tmp_path: Path) -> None:
    rows = b'12345,"first\nsecond",some text to fill the chunks quickly\n' * 180_000  # 10 MB, two lines each
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, b"a,b,c\n" + rows + b"1,2\n" + rows[:60])
    assert refused.value.details["line"] == 1 + 2 * 180_000 + 1


def test__read_table__invalid_utf8_after_valid_utf8__names_the_line(tmp_path: Path) -> None:
    data = "a,b\n1,é\n".encode() + b"2,plain\n" * 200_000 + b"3,\xff\n"
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, data)
    assert refused.value.code == "invalid_encoding"
    assert refused.value.details["line"] == 200_003


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (ReadLimits(max_bytes=10), "too_many_bytes"),
        (ReadLimits(max_rows=2), "too_many_rows"),
        (ReadLimits(max_columns=1), "too_many_columns"),
        (ReadLimits(max_cell_chars=2), "cell_too_long"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test__read_table__beyond_a_limit__is_refused(
    tmp_path: Path, limits: ReadLimits, code: str, kind: str
) -> None:
    frame = pl.DataFrame({"a": ["x", "y", "long"], "b": ["u", "v", "w"]})
    data = frame.write_csv().encode() if kind == "csv" else _parquet(frame)
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, data, f"t.{kind}", limits)
    assert refused.value.code == code


@pytest.mark.parametrize("cut", [5, 60, 200, -1, -4, -9])
def test__read_table__truncated_parquet__is_refused(tmp_path: Path, cut: int) -> None:
    data = _parquet(pl.DataFrame({"a": range(1_000), "b": ["x"] * 1_000}))
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, data[:cut], "t.parquet")
    assert refused.value.code == "damaged_parquet"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test__read_table__parquet_with_a_changed_byte__reads_or_is_refused(
    tmp_path: Path, position: int, byte: int
) -> None:
    data = bytearray(_parquet(pl.DataFrame({"a": list(range(50)), "b": ["text"] * 50})))
    data[position % len(data)] = byte
    with suppress(TableFormatError):
        _read(tmp_path, bytes(data), "t.parquet")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"1", b";", b"\xe9", b" ", b"\t", b"'"]),
        max_size=40,
    )
)
def test__read_table__any_bytes__are_read_or_refused(tmp_path: Path, pieces: list[bytes]) -> None:
    with suppress(TableFormatError):  # any other exception fails
        table = _read(tmp_path, b"x,y\n" + b"".join(pieces))
        assert table.frame.height > 0
        assert table.line_of_row(table.frame.height - 1) is not None


def test__read_table__refusals__hold_no_cell_contents(tmp_path: Path) -> None:
    for data in (
        b"a,b\n1,2\nsecret\n",
        b'a,b\n1,2\n"secret" x,2\n',
        b"a,b\n1,2\nsecret,\0\n",
        b'a,b\n1,2\n"secret,2\n',
    ):
        with pytest.raises(TableFormatError) as refused:
            _read(tmp_path, data)
        assert "secret" not in refused.value.message
        assert "secret" not in str(refused.value.details)
