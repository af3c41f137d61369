"""Row features: the bitwise rule, views as real removal, the empty view, layout and names."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
import torch

from models.encoders import DEFAULT, ColumnTransformerConfig
from models.encoders.padded_pass import CHUNK_TOKENS
from models.encoders.raw_features import MAX_DEVIATIONS, FeatureKind, RawFeatures
from models.encoders.row_features import RowFeatures
from models.errors import BundleError
from models.features.codec import Codec
from models.features.schema import ColumnKind, ColumnSchema, TableSchema
from tests.models.small_tables import MIXED_SCHEMA, TINY, Untrained, mixed_frame, plain_table, untrained

VIEWS: tuple[tuple[str, ...], ...] = (
    (),
    ("colour",),
    ("noise", "price"),
    ("colour", "noise", "price", "warmth"),
)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mixed() -> Untrained:
    return untrained(mixed_frame(700), MIXED_SCHEMA, DEFAULT)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test__row_features__alone_in_any_batch_on_any_threads__same_bits(
    mixed: Untrained, view: tuple[str, ...], num_threads: int, threads: None
) -> None:
    torch.set_num_threads(1)
    whole = mixed.row_features.compute(mixed.codes, view)
    torch.set_num_threads(num_threads)
    for size in (1, 2, 3, 5, 16, 33, 257, 700):
        for start in (0, 443):
            rows = slice(start, start + size)
            part = mixed.row_features.compute(mixed.codes.select_rows(rows), view)
            assert torch.equal(part, whole[rows]), f"{size} rows from {start}"


@pytest.mark.parametrize(
    "config", [TINY, DEFAULT, ColumnTransformerConfig(d_model=64, num_heads=8, num_layers=2)]
)
@pytest.mark.parametrize("shape", [(1, 0), (0, 1), (9, 8), (20, 11)])
def test__row_features__other_shapes__same_bits_alone_and_together(
    config: ColumnTransformerConfig, shape: tuple[int, int]
) -> None:
    frame, schema = plain_table(*shape, num_rows=40)
    table = untrained(frame, schema, config)
    whole = table.row_features.compute(table.codes, ())
    for size in (1, 2, 7):
        for start in (0, 30):
            rows = slice(start, start + size)
            assert torch.equal(table.row_features.compute(table.codes.select_rows(rows), ()), whole[rows])


def test__row_features__more_rows_than_a_chunk__same_bits_as_one_at_a_time() -> None:
    frame, schema = plain_table(1, 0, num_rows=CHUNK_TOKENS // 2 + 3)
    table = untrained(frame, schema, TINY)
    whole = table.row_features.compute(table.codes, ())
    last = len(table.codes) - 1
    for row in (0, CHUNK_TOKENS // 2 - 1, CHUNK_TOKENS // 2, last):
        assert torch.equal(table.row_features.compute(table.codes.select_rows([row]), ())[0], whole[row])


def test__row_features__same_row_among_other_rows__same_bits(mixed: Untrained) -> None:
    alone = mixed.row_features.compute(mixed.codes.select_rows([5]), ())
    company = mixed.row_features.compute(mixed.codes.select_rows([600, 5, 5, 17]), ())
    assert torch.equal(company[1], alone[0])
    assert torch.equal(company[2], alone[0])


@pytest.mark.parametrize("absent", ["colour", "price"])
def test__row_features__absent_column_changes__nothing_changes(mixed: Untrained, absent: str) -> None:
    frame = mixed.frame.head(20)
    value = pl.lit("blue") if absent == "colour" else pl.lit(-1e6)
    changed = mixed.codec.transform(frame.with_columns(value.alias(absent)))
    before = mixed.row_features.compute(mixed.codec.transform(frame), (absent,))
    assert torch.equal(mixed.row_features.compute(changed, (absent,)), before)
    left_out = mixed.codec.transform(frame.drop(absent))
    assert torch.equal(mixed.row_features.compute(left_out, (absent,)), before)
    # With the column present the same change is seen.
    assert not torch.equal(
        mixed.row_features.compute(changed, ()), mixed.row_features.compute(mixed.codec.transform(frame), ())
    )


def test__row_features__one_column_changes__context_of_the_others_changes_but_not_their_raw_features(
    mixed: Untrained,
) -> None:
    frame = mixed.frame.head(8)
    before = mixed.row_features.compute(mixed.codec.transform(frame), ())
    after = mixed.row_features.compute(
        mixed.codec.transform(frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("price"))), ()
    )
    changed = (before != after).any(dim=0).tolist()
    for name, is_changed in zip(mixed.row_features.names(()), changed, strict=True):
        if name.startswith("raw:") and not name.startswith("raw:price:"):
            assert not is_changed, name
        if name.startswith("context:noise:"):
            assert is_changed, name


def test__row_features__every_column_absent__same_features_for_every_row(mixed: Untrained) -> None:
    features = mixed.row_features.compute(mixed.codes, VIEWS[-1])
    assert features.shape == (len(mixed.codes), DEFAULT.d_model)
    assert torch.equal(features, features[:1].expand_as(features))


@pytest.mark.parametrize("view", VIEWS)
def test__row_features__no_rows__empty_with_the_right_width(mixed: Untrained, view: tuple[str, ...]) -> None:
    features = mixed.row_features.compute(mixed.codes.select_rows(slice(0, 0)), view)
    assert features.shape == (0, mixed.row_features.width(view))


def test__row_features__view_names_unknown_columns__they_are_ignored(mixed: Untrained) -> None:
    features = mixed.row_features.compute(mixed.codes, ("churned", "colour"))
    assert torch.equal(features, mixed.row_features.compute(mixed.codes, ("colour",)))


def test__row_features__names__one_per_feature_and_unique(mixed: Untrained) -> None:
    for view in VIEWS:
        names = mixed.row_features.names(view)
        assert len(names) == len(set(names)) == mixed.row_features.width(view)


def test__row_features__raw_values__one_hot_flags_and_bins(mixed: Untrained) -> None:
    frame = pl.DataFrame(
        {"colour": ["mauve", None], "warmth": [True, False], "price": [1e9, None], "noise": [0, -5]}
    )
    features = mixed.row_features.compute(mixed.codec.transform(frame), ())
    by_name = dict(zip(mixed.row_features.names(()), features.T, strict=True))
    assert by_name["raw:colour:other"].tolist() == [1.0, 0.0]
    assert by_name["raw:colour:missing"].tolist() == [0.0, 1.0]
    assert by_name["raw:price:missing"].tolist() == [0.0, 1.0]
    bins = torch.stack([values for name, values in by_name.items() if name.startswith("raw:price:")][:-3])
    assert bins[:, 0].tolist() == [1.0] * len(bins)
    # A missing number stands at the median: about half of the bins are full.
    assert abs(float(bins[:, 1].sum()) / len(bins) - 0.5) < 0.1


def test__row_features__number__is_there_as_itself_too(mixed: Untrained) -> None:
    frame = pl.DataFrame({"noise": [0.0, 250.0, 500.0, 1_000.0, 1e9, None]})
    features = mixed.row_features.compute(mixed.codec.transform(frame), ())
    values = features[:, mixed.row_features.names(()).index("raw:noise:value")]
    observed = torch.tensor(mixed.frame["noise"].cast(pl.Float64).drop_nulls().to_list())
    mean, deviation = observed.mean(), observed.std()
    # The codec knows its rows by intervals only; beyond the outermost knots a number stands on them.
    expected = (
        torch.tensor([0.0, 250.0, 500.0, 1_000.0]).clamp(observed.min(), observed.max()) - mean
    ) / deviation
    torch.testing.assert_close(values[:4], expected, atol=0.15, rtol=0.0)
    assert float(values[4]) == float(values.max())
    torch.testing.assert_close(values[5], (observed.quantile(0.5) - mean) / deviation, atol=0.15, rtol=0.0)


def test__row_features__one_wild_number__stands_a_few_deviations_away() -> None:
    numbers = [float(i % 50) for i in range(1_000)] + [1e12]
    codec = Codec.fit(
        pl.DataFrame({"a": numbers}),
        TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),)),
    )
    raw = RawFeatures(codec, (0,), has_values=True)
    values = raw.compute(codec.transform(pl.DataFrame({"a": [0.0, 1e12, float("inf")]})))[:, -1]
    assert raw.names[-1] == "raw:a:value"
    assert bool(values.isfinite().all())
    assert float(values.abs().max()) <= MAX_DEVIATIONS


def test__row_features__kinds__say_what_each_feature_is(mixed: Untrained) -> None:
    names, kinds = mixed.row_features.names(()), mixed.row_features.kinds(())
    assert kinds.shape == (len(names),)
    for name, kind in zip(names, kinds.tolist(), strict=True):
        parts = name.split(":")
        if parts[0] != "raw":
            assert kind == FeatureKind.LEARNED
        elif parts[2] == "value":
            assert kind == FeatureKind.VALUE
        else:
            is_bin = parts[1] in {"price", "noise"} and parts[2].isdigit()
            assert kind == (FeatureKind.BIN if is_bin else FeatureKind.INDICATOR)


@pytest.mark.parametrize("view", [(), ("price",)])
def test__row_features__column_of__counts_the_columns_that_raw_features_are_named_after(
    mixed: Untrained, view: tuple[str, ...]
) -> None:
    names, column_of = mixed.row_features.names(view), mixed.row_features.column_of(view).tolist()
    present = [name for name in mixed.codec.names if name not in view]
    assert len(column_of) == len(names)
    for name, position in zip(names, column_of, strict=True):
        parts = name.split(":")
        assert (position == -1) if parts[0] != "raw" else (present[position] == parts[1])


def test__row_features__layout_1__has_no_values(mixed: Untrained) -> None:
    before = RowFeatures(mixed.codec, mixed.encoder, layout_version=1)
    assert set(mixed.row_features.names(())) - set(before.names(())) == {"raw:price:value", "raw:noise:value"}
    assert FeatureKind.VALUE not in before.kinds(()).tolist()


def test__row_features__all_finite_for_extreme_rows(mixed: Untrained) -> None:
    frame = pl.DataFrame(
        {"price": [1e308, -1e308, float("inf"), float("-inf"), float("nan")], "colour": ["?"] * 5}
    )
    assert bool(mixed.row_features.compute(mixed.codec.transform(frame), ()).isfinite().all())


def test__row_features__layout_of_the_future__is_refused(mixed: Untrained) -> None:
    with pytest.raises(BundleError, match="layout 3") as caught:
        RowFeatures(mixed.codec, mixed.encoder, layout_version=3)
    assert caught.value.code == "unknown_layout"
