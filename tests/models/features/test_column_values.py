"""Columns as plain numbers: what trees read of a row."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.features.codec import Codec
from models.features.column_values import ColumnValues
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame

CODEC = Codec.fit(mixed_frame(300), MIXED_SCHEMA)


def _values(frame: pl.DataFrame, view: tuple[str, ...] = ()) -> ColumnValues:
    return ColumnValues.of(CODEC.transform(frame), CODEC, view)


def test__column_values__numbers__keep_their_order_and_their_gaps() -> None:
    frame = mixed_frame(200, seed=1)
    prices = frame["price"].to_numpy()
    found = _values(frame).values[:, CODEC.names.index("price")].numpy()
    assert np.array_equal(np.isnan(found), np.isnan(prices))
    known = ~np.isnan(prices)
    low, high = CODEC.continuous[0].knots[0], CODEC.continuous[0].knots[-1]
    inside = known & (prices > low) & (prices < high)
    order = np.argsort(prices[inside], kind="stable")
    assert (np.diff(found[inside][order]) >= 0).all()
    assert len(np.unique(found[inside])) > 0.9 * inside.sum()


def test__column_values__category_missing_or_never_seen__codes_of_their_own() -> None:
    frame = mixed_frame(4).with_columns(pl.Series("colour", ["red", "blue", None, "never seen"]))
    found = _values(frame)
    codes = found.values[:, CODEC.names.index("colour")].tolist()
    assert len(set(codes)) == 4
    assert codes[2:] == [0.0, 1.0]
    assert found.num_categorical == 2


def test__column_values__view__leaves_its_columns_out_whatever_they_hold() -> None:
    frame = mixed_frame(50)
    found = _values(frame, ("colour", "price", "unknown to the codec"))
    other = _values(frame.with_columns(pl.lit(None, pl.Float64).alias("price")), ("colour", "price"))
    assert found.values.shape == (50, 2)
    assert found.num_categorical == 1
    assert bool((found.values == other.values).all())


def test__column_values__row_alone__as_in_company() -> None:
    frame = mixed_frame(40)
    whole = _values(frame).values
    for row in range(0, 40, 7):
        alone = _values(frame[row : row + 1]).values
        assert np.array_equal(alone[0].numpy(), whole[row].numpy(), equal_nan=True)
