"""Columns derived from one source: named, counted, hidden and reported by it; values too rare or too many."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from models.features.codec import NUM_SPECIAL_CODES, Codec, CodecConfig, SpecialCode
from models.features.codec_columns import SMALL_BATCH_ROWS, hash_bucket
from models.features.schema import ColumnKind, TableSchema
from tests.models.kinds_table import DERIVED, KINDS_SCHEMA, kinds_frame
from tests.models.small_tables import MIXED_SCHEMA, column, mixed_frame

TEXT = TableSchema(columns=(column("a", ColumnKind.CATEGORICAL, "string"),))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.fit(kinds_frame(300), KINDS_SCHEMA)


def test__codec__all_kinds__each_column_names_its_source(codec: Codec) -> None:
    assert set(codec.sources) == set(KINDS_SCHEMA.names)
    assert len(set(codec.names)) == len(codec.names)
    assert {"joined·month", "note·topic_1", "zip·prefix_2", "address·network_3"} <= set(codec.names)
    assert [codec.sources[i] for i in codec.source_index.tolist()] == list(codec.source_of)
    for shown in codec.columns:
        assert (shown.source == shown.name) == (shown.source not in DERIVED)


def test__codec__all_kinds__json_round_trip_gives_the_same_codes(codec: Codec) -> None:
    again = Codec.model_validate_json(codec.model_dump_json())
    assert again == codec
    frame = kinds_frame(60, seed=3)
    first, second = codec.transform(frame), again.transform(frame)
    assert torch.equal(first.index, second.index)
    assert torch.equal(first.fraction, second.fraction)


def test__codec__all_kinds__row_alone_has_the_codes_it_has_in_company(codec: Codec) -> None:
    frame = kinds_frame(SMALL_BATCH_ROWS + 50, seed=4)
    whole = codec.transform(frame)
    for row in range(0, frame.height, 29):
        alone = codec.transform(frame[row : row + 1])
        assert torch.equal(alone.index[0], whole.index[row])
        assert torch.equal(alone.fraction[0], whole.fraction[row])


def test__codec__null_and_unreadable__are_missing_and_unknown_by_source(codec: Codec) -> None:
    frame = kinds_frame(3).with_columns(
        pl.Series("seen", ["yesterday", None, "01/02/2021 10:00"]),
        pl.Series("address", ["nowhere", None, "10.1.1.1"]),
    )
    codes = codec.transform(frame)
    assert (codes.missing_counts()["seen"], codes.unseen_counts()["seen"]) == (1, 1)
    assert (codes.missing_counts()["address"], codes.unseen_counts()["address"]) == (1, 1)
    assert list(codes.missing_counts()) == list(codec.sources)
    local = codes.local()
    positions = [i for i, source in enumerate(codec.source_of) if source == "seen"]
    assert set(local[0, positions].tolist()) == {int(SpecialCode.UNKNOWN)}
    assert set(local[1, positions].tolist()) == {int(SpecialCode.MISSING)}
    assert int(local[2, positions].min()) >= NUM_SPECIAL_CODES


def test__codec__source_left_out__all_its_columns_are_missing(codec: Codec) -> None:
    codes = codec.transform(kinds_frame(5).drop("note", "zip"))
    assert codes.missing_counts()["note"] == codes.missing_counts()["zip"] == 5


def test__codec__shares__add_up_over_missing_unknown_and_values(codec: Codec) -> None:
    codes = codec.transform(kinds_frame(300)).local()
    for position, fitted in enumerate(codec.columns):
        if fitted.source == "note":
            continue  # whose knots come from a sample of larger tables
        missing = float((codes[:, position] == SpecialCode.MISSING).double().mean())
        known = float((codes[:, position] >= NUM_SPECIAL_CODES).double().mean())
        assert fitted.missing_fraction == pytest.approx(missing)
        assert sum(fitted.frequencies) * (1 - missing) == pytest.approx(known)


def test__codec__plain_table__is_spelled_as_in_format_1() -> None:
    text = Codec.fit(mixed_frame(60), MIXED_SCHEMA).model_dump_json()
    assert not any(word in text for word in ("origin", "derivations", "num_buckets"))


def test__codec__column_of_a_derived_name__keeps_its_name() -> None:
    schema = TableSchema(
        columns=(
            column("zip", ColumnKind.POSTAL_CODE, "string"),
            column("zip·code", ColumnKind.CATEGORICAL, "string"),
        )
    )
    frame = pl.DataFrame({"zip": ["01234"] * 4, "zip·code": ["a", "b"] * 2})
    fitted = Codec.fit(frame, schema)
    assert len(set(fitted.names)) == len(fitted.names)
    assert fitted.transform(frame).unseen_counts() == {"zip": 0, "zip·code": 0}


def test__expand__derived_columns__are_plain_and_name_their_source(codec: Codec) -> None:
    frame = kinds_frame(40)
    plain = codec.expand(frame, KINDS_SCHEMA.columns)
    assert plain.frame.columns == [shown.name for shown in plain.columns]
    assert plain.frame.height == 40
    assert plain.source_of["joined·month"] == "joined"
    assert plain.frame["price"].equals(frame["price"])
    nulls = plain.frame["note·length"].null_count()
    assert nulls == frame["note"].null_count()


def _many(num_values: int) -> pl.DataFrame:
    return pl.DataFrame({"a": [f"v{i}" for i in range(num_values) for _ in range(2)] + ["rare"]})


def test__hash_buckets__beyond_the_vocabulary__values_share_a_bounded_number() -> None:
    frame = _many(400)
    fitted = Codec.fit(frame, TEXT, CodecConfig(max_categories=10, hash_buckets=16))
    found = fitted.categorical[0]
    assert (len(found.categories), found.num_buckets, found.num_values) == (10, 16, 26)
    assert sum(found.frequencies) == pytest.approx(1.0)
    codes = fitted.transform(frame).local()[:, 0]
    assert int(codes.max()) < NUM_SPECIAL_CODES + 26
    assert len(set(codes.tolist())) > 20
    alone = [int(fitted.transform(frame[row : row + 1]).local()[0, 0]) for row in range(0, frame.height, 50)]
    assert alone == codes[::50].tolist()
    assert fitted.transform(pl.DataFrame({"a": ["never seen", None]})).unseen_counts() == {"a": 0}
    assert "v399" not in fitted.model_dump_json()


def test__hash_buckets__few_values__there_are_none_and_new_values_are_unknown() -> None:
    fitted = Codec.fit(_many(5), TEXT)
    assert fitted.categorical[0].num_buckets == 0
    assert fitted.transform(pl.DataFrame({"a": ["never seen", "rare"]})).unseen_counts() == {"a": 2}


def test__hash_bucket__committed_texts__stay_where_they_are() -> None:
    assert [hash_bucket(text, 64) for text in ("", "a", "Größe", "10.0.0.0/8")] == EXPECTED_BUCKETS


EXPECTED_BUCKETS = [37, 1, 31, 40]
