"""Label files keep the JSON type of every label, and equal labels give equal bytes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from app.services.label_files import LABEL_FILE_SCHEMA, decode_values, encode_value, read_labels, write_labels

scalars = (
    st.text(max_size=20)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.lists(scalars, max_size=20))
def test__value__any_scalar__comes_back_with_its_type(values: list[str | bool | int | float]) -> None:
    found = decode_values([encode_value(value) for value in values])
    assert [(type(value), value) for value in found] == [(type(value), value) for value in values]


def test__values__that_look_alike__stay_apart() -> None:
    assert len({encode_value(value) for value in ("1", 1, 1.0, True)}) == 4


def test__file__any_order__has_the_same_bytes(tmp_path: Path) -> None:
    rows = [("b", '"x"', 1.0, None), ("a", "1", None, 2.0), ("c", "true", None, None)]
    for name, order in (("one", rows), ("two", rows[::-1])):
        write_labels(pl.DataFrame(order, schema=LABEL_FILE_SCHEMA, orient="row"), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_labels(tmp_path / "one").rows() == sorted(rows)
