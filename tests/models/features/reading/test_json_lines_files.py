from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TableFormatError
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff


def read(tmp_path: Path, content: bytes, limits: ReadLimits | None = None, **options: Any) -> RawTable:
    path = tmp_path / "in"
    path.write_bytes(content)
    return read_table(path, "any.csv", ReadOptions.model_validate(options), limits or ReadLimits())


def test__json_lines__keys_in_any_order__are_columns_in_first_seen_order(tmp_path: Path) -> None:
    table = read(tmp_path, b'{"b": 1, "a": "x"}\r\n\n  {"a": null, "c": true}\n{"c": false, "b": 3}')
    assert table.frame.columns == ["b", "a", "c"]
    assert table.frame.rows() == [(1, "x", None), (None, None, True), (3, None, False)]
    assert [table.line_of_row(row) for row in range(3)] == [1, 3, 4]
    assert table.sniffed.format == "json_lines"


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ([2**53 + 1, 2**62], [2**53 + 1, 2**62]),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
        ([2**64, 1], [str(2**64), "1"]),
        ([1e5, 1.25e-7], [1e5, 1.25e-7]),
        ([1, "x", True, 1.50], ["1", "x", "true", "1.5"]),
        (["01234", "1"], ["01234", "1"]),
        (["1", "2"], ["1", "2"]),
        (["2024-02-29", None], [dt.date(2024, 2, 29), None]),
        (["2024-02-29T12:30:00Z", None], [dt.datetime(2024, 2, 29, 12, 30), None]),
        (["NA", "a\nb"], ["NA", "a\nb"]),
        ([" ", "x"], [None, "x"]),
        ([None, None], [None, None]),
        (["true", "false"], ["true", "false"]),
    ],
)
def test__json_lines__values__keep_their_meaning(tmp_path: Path, values: list[Any], kept: list[Any]) -> None:
    content = "".join(json.dumps({"v": value}) + "\n" for value in values)
    read_back = read(tmp_path, content.encode()).frame["v"].to_list()
    assert [(type(value), value) for value in read_back] == [(type(value), value) for value in kept]


def test__json_lines__mixed_column__is_text_with_a_warning(tmp_path: Path) -> None:
    table = read(tmp_path, b'{"v": 1.50}\n{"v": "x"}\n')
    assert table.frame["v"].to_list() == ["1.50", "x"]
    assert any("mixes numbers, text" in note for note in table.warnings)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a": {"b": 1}}', "nested_value"),
        (b'{"a": [1]}', "nested_value"),
        (b'{"a": []}', "nested_value"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": -Infinity}', "invalid_json"),
        (b'{"a": 1e999}', "invalid_json"),
        (b'{"a": 1} {"a": 2}', "invalid_json"),
        (b'{"a": 1', "invalid_json"),
        (b'[["a", 1]]', "invalid_json"),
        (b"7", "invalid_json"),
        (b'{"a": "\xff"}', "invalid_encoding"),
        (b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "invalid_json"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "invalid_json"),
        (b'{"a": "' + b"x" * 100_001 + b'"}', "cell_too_long"),
        (b'{"_key": 1}', "invalid_column_name"),
        (b'{"": 1}', "invalid_column_name"),
    ],
)
def test__json_lines__fault_in_a_line__is_refused_with_it(tmp_path: Path, line: bytes, code: str) -> None:
    content = b'{"a": 1}\n\n' + line + b"\n"
    with pytest.raises(TableFormatError) as refused:
        read(tmp_path, content)
    assert refused.value.code == code
    if code not in ("cell_too_long", "invalid_column_name"):
        assert refused.value.details["line"] == 3
        with pytest.raises(TableFormatError) as early:
            sniff(content, "x", ReadOptions(), ReadLimits(), is_whole_file=True)
        assert early.value.code == code


def test__json_lines__limits__hold(tmp_path: Path) -> None:
    content = b"".join(b'{"k%d": 1}\n' % row for row in range(20))
    for limits, code in (
        (ReadLimits(max_columns=5), "too_many_columns"),
        (ReadLimits(max_rows=5), "too_many_rows"),
    ):
        with pytest.raises(TableFormatError) as refused:
            read(tmp_path, content, limits)
        assert refused.value.code == code


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from("abcd"), SCALARS, min_size=1), min_size=1, max_size=8))
def test__json_lines__random_rows__come_back_without_loss(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    frame = read(tmp_path_factory.mktemp("rows"), content, text_columns=[]).frame
    assert frame.columns == list(dict.fromkeys(key for row in rows for key in row))
    for number, row in enumerate(rows):
        for key in frame.columns:
            sent, kept = row.get(key), frame[key][number]
            if sent is None or (isinstance(sent, str) and not sent.strip()):
                assert kept is None
            elif isinstance(kept, str) and not isinstance(sent, str):
                assert json.loads(kept) == sent
            elif isinstance(sent, str) and not isinstance(kept, str):  # text of decimals, dates
                assert str(kept) == sent or float(sent) == kept
            else:
                assert kept == sent
