"""The codec: what is seen, missing, unknown; how numbers become knots and fractions; JSON round trip."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EncoderError
from models.features.codec import NUM_SPECIAL_CODES, Codec, CodecConfig, ContinuousColumn, SpecialCode
from models.features.codec_columns import SMALL_BATCH_ROWS, quantile_knots
from models.features.schema import ColumnKind, ColumnSchema, Role, TableSchema
from tests.models.small_tables import MIXED_SCHEMA, column, mixed_frame

TEXT = TableSchema(columns=(column("a", ColumnKind.CATEGORICAL, "string"),))
NUMBER = TableSchema(columns=(column("x", ColumnKind.CONTINUOUS, "float"),))


def _positions(codec: Codec, values: list[float | None]) -> list[float]:
    codes = codec.transform(pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}))
    return (codes.local()[:, 0] + codes.fraction[:, 0]).tolist()


def test__codec__mixed_table__categoricals_come_first_and_segments_tile_the_table() -> None:
    codec = Codec.fit(mixed_frame(100), MIXED_SCHEMA)
    assert codec.names == ("colour", "warmth", "price", "noise")
    assert codec.num_categorical == 2
    sizes = [NUM_SPECIAL_CODES + c.num_values for c in codec.columns]
    assert codec.offsets.tolist() == [0, *np.cumsum(sizes)[:-1].tolist()]
    assert codec.num_embeddings == sum(sizes)


def test__codec__json_round_trip__equal_and_same_codes() -> None:
    frame = mixed_frame(200)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    again = Codec.model_validate_json(codec.model_dump_json())
    assert again == codec
    first, second = codec.transform(frame), again.transform(frame)
    assert torch.equal(first.index, second.index)
    assert torch.equal(first.fraction, second.fraction)


def test__codec__column_left_out_null_or_unseen__missing_and_unknown_are_told_apart() -> None:
    codec = Codec.fit(mixed_frame(100), MIXED_SCHEMA)
    codes = codec.transform(
        pl.DataFrame({"colour": ["mauve", None, "red"], "price": [None, float("nan"), 1.0]})
    )
    assert codes.missing_counts() == {"colour": 1, "warmth": 3, "price": 2, "noise": 3}
    assert codes.unseen_counts() == {"colour": 1, "warmth": 0, "price": 0, "noise": 0}


def test__codec__wrong_dtypes__never_raises_and_says_unknown() -> None:
    codec = Codec.fit(mixed_frame(100), MIXED_SCHEMA)
    frame = pl.DataFrame(
        {"price": ["12.5", "cheap"], "noise": [[1], [2]], "warmth": [True, False], "colour": [1, 2]}
    )
    codes = codec.transform(frame)
    assert codes.unseen_counts() == {"colour": 2, "warmth": 0, "price": 1, "noise": 2}


def test__codec__small_and_large_batches__same_codes() -> None:
    frame = mixed_frame(3 * SMALL_BATCH_ROWS)
    codec = Codec.fit(frame.head(50), MIXED_SCHEMA)
    whole = codec.transform(frame)
    parts = [codec.transform(frame[i : i + 100]).index for i in range(0, frame.height, 100)]
    assert torch.equal(whole.index, torch.cat(parts))


def test__codec__integer_column_sent_as_float__same_category() -> None:
    schema = TableSchema(columns=(column("a", ColumnKind.CATEGORICAL, "integer"),))
    codec = Codec.fit(pl.DataFrame({"a": [1, 1, 2, 2]}), schema)
    assert codec.transform(pl.DataFrame({"a": [1.0, 2.0]})).unseen_counts() == {"a": 0}


def test__codec__rare_and_too_many_categories__unknown() -> None:
    frame = pl.DataFrame({"a": ["x"] * 5 + ["y"] * 3 + ["z"] * 2 + ["once"]})
    codec = Codec.fit(frame, TEXT, CodecConfig(max_categories=2, hash_buckets=0))
    assert codec.categorical[0].categories == ("x", "y")
    assert codec.transform(frame).unseen_counts() == {"a": 3}


def test__codec__no_encodable_column__is_refused() -> None:
    schema = TableSchema(
        columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float", role=Role.TARGET),)
    )
    with pytest.raises(EncoderError, match="none of its 1 columns") as caught:
        Codec.fit(pl.DataFrame({"a": [1.0]}), schema)
    assert caught.value.code == "no_encoded_columns"


@pytest.mark.parametrize("values", [[None, None], [3.0, 3.0], [3.0]])
def test__codec__column_without_information__still_encodes(values: list[float | None]) -> None:
    codec = Codec.fit(pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}), NUMBER)
    codes = codec.transform(pl.DataFrame({"x": [None, 3.0, 9.0]}))
    assert codes.local()[0, 0] == SpecialCode.MISSING
    assert int(codes.index.max()) < codec.num_embeddings


def test__continuous__few_distinct_values__each_is_a_knot_of_its_own() -> None:
    codec = Codec.fit(pl.DataFrame({"x": [0.0, 1.0, 5.0] * 10}), NUMBER)
    assert _positions(codec, [0.0, 1.0, 3.0, 5.0]) == [4.0, 5.0, 5.5, 6.0]


def test__continuous__beyond_the_range__takes_the_end_knots() -> None:
    codec = Codec.fit(pl.DataFrame({"x": [0.0, 1.0, 5.0] * 10}), NUMBER)
    assert _positions(codec, [-1e300, float("-inf"), 1e300, float("inf")]) == [4.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize("num_rows", [4, 400])
def test__continuous__ends_of_the_doubles__stay_finite(num_rows: int) -> None:
    values = np.linspace(0.9, 1.7, num_rows) * 1e308
    codec = Codec.fit(pl.DataFrame({"x": values}), NUMBER)
    positions = _positions(codec, [*values.tolist(), -1.7e308, 1.7976931348623157e308])
    assert np.isfinite(positions).all()
    assert positions[:num_rows] == sorted(positions[:num_rows])


def test__continuous__many_zeros__zero_is_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(800), np.random.default_rng(0).exponential(size=1000)])
    codec = Codec.fit(pl.DataFrame({"x": values}), NUMBER)
    fitted = codec.columns[0]
    assert isinstance(fitted, ContinuousColumn)
    assert fitted.knots[0] == 0.0
    assert fitted.knots[1] == np.sort(values[values > 0])[0]
    assert fitted.frequencies[0] == pytest.approx(800 / 1800)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300),
    st.floats(allow_nan=False),
)
def test__continuous__any_floats__codes_and_fractions_stay_inside(values: list[float], asked: float) -> None:
    codec = Codec.fit(pl.DataFrame({"x": values}), NUMBER, CodecConfig(max_bins=8))
    codes = codec.transform(pl.DataFrame({"x": [*values, asked]}))
    local = codes.local()
    assert int(local.min()) >= NUM_SPECIAL_CODES
    assert int(codes.index.max()) < codec.num_embeddings
    assert bool(((codes.fraction >= 0) & (codes.fraction <= 1)).all())
    # Order is kept: larger numbers never stand at smaller positions.
    order = torch.tensor(np.argsort(np.asarray([*values, asked]), kind="stable"))
    positions = (local[:, 0] + codes.fraction[:, 0].double())[order]
    assert bool((positions.diff() >= 0).all())


@given(st.lists(st.integers(-5, 200), min_size=1, max_size=400), st.integers(2, 32))
def test__quantile_knots__any_values__increasing_observed_and_bounded(
    values: list[int], max_bins: int
) -> None:
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    knots = quantile_knots(ordered, max_bins)
    assert (np.diff(knots) > 0).all()
    assert set(knots) <= set(ordered)
    assert len(knots) <= 3 * max_bins + 1
    assert knots[0] == ordered[0]
    assert knots[-1] == ordered[-1]
