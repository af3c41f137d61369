"""Every derivation: a row alone as in company, JSON round trip, no value too odd; and what each kind becomes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from models.features.derived import DERIVATIONS, BaseDerivation, Derivation
from models.features.derived.text import TextDerivation
from models.features.schema import ColumnKind, StorageType
from tests.models.kinds_table import DERIVED, KINDS_SCHEMA, kinds_frame

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Derivation)


def _fit(kind: ColumnKind, values: list[Any], storage: StorageType, dtype: Any = None) -> BaseDerivation:
    return DERIVATIONS[kind].fit(pl.Series("c", values, dtype=dtype), storage)


def _parts(derivation: BaseDerivation, values: list[Any], dtype: Any = None) -> dict[str, list[Any]]:
    applied = derivation.apply(pl.Series("c", values, dtype=dtype))
    return {
        part.name: (series.fill_nan(None) if series.dtype.is_float() else series).to_list()
        for part, series in zip(derivation.parts, applied, strict=True)
    }


def test__derivations__registered_kinds__all_have_a_column_here() -> None:
    assert {KINDS_SCHEMA[name].kind for name in DERIVED} == set(DERIVATIONS)


@pytest.mark.parametrize("name", DERIVED)
def test__derivation__row_alone__same_bits_as_in_company(name: str) -> None:
    frame = kinds_frame(300)
    schema = KINDS_SCHEMA[name]
    derivation = DERIVATIONS[schema.kind].fit(frame[name], schema.storage_type)
    together = derivation.apply(frame[name])
    assert [len(series) for series in together] == [300] * len(derivation.parts)
    for row in range(0, 300, 17):
        alone = derivation.apply(frame[name][row : row + 1])
        for series, single in zip(together, alone, strict=True):
            assert series[row : row + 1].equals(single, null_equal=True)
            assert series.dtype == single.dtype


@pytest.mark.parametrize("name", DERIVED)
def test__derivation__json_round_trip__equal(name: str) -> None:
    frame, schema = kinds_frame(50), KINDS_SCHEMA[name]
    derivation = DERIVATIONS[schema.kind].fit(frame[name], schema.storage_type)
    again = _ADAPTER.validate_json(_ADAPTER.dump_json(derivation))
    assert again == derivation
    for first, second in zip(derivation.apply(frame[name]), again.apply(frame[name]), strict=True):
        assert first.equals(second, null_equal=True)


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        ["", " ", "x" * 5_000, "\x00", "Ω≈ç", "-"],
        [10**18, -5, 0],
        [1e300, -0.5, float("nan")],
        [[1], [2]],
        [True, None],
        [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59)],
    ],
)
def test__derivation__odd_values_and_types__never_raise(name: str, values: list[Any]) -> None:
    frame, schema = kinds_frame(50), KINDS_SCHEMA[name]
    derivation = DERIVATIONS[schema.kind].fit(frame[name], schema.storage_type)
    odd = pl.Series("c", values, dtype=pl.String if values in ([], [None, None]) else None)
    assert [len(series) for series in derivation.apply(odd)] == [len(values)] * len(derivation.parts)


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("values", [[], [None, None], ["?", "?"]])
def test__derivation__fitted_on_nothing_readable__has_parts_and_calls_values_unreadable(
    name: str, values: list[Any]
) -> None:
    schema = KINDS_SCHEMA[name]
    derivation = DERIVATIONS[schema.kind].fit(pl.Series(name, values, dtype=pl.String), schema.storage_type)
    assert derivation.parts
    assert all(len(series) == 2 for series in derivation.apply(pl.Series(name, ["a", None])))


def test__datetime__reference__is_the_latest_of_the_rows_it_was_fitted_on() -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 3, 1), None]
    derivation = _fit(ColumnKind.DATETIME, days, "date")
    parts = _parts(derivation, [dt.date(2024, 2, 29), dt.date(2024, 3, 3)])
    assert parts["elapsed_days"] == [-1.0, 2.0]
    assert parts["month"] == [2, 3]
    assert "hour" not in parts
    assert "day" not in parts  # always the first


@pytest.mark.parametrize(
    ("values", "storage", "asked", "expected"),
    [
        (["29/02/2024", "13/01/2024"], "string", "01/02/2024", -28.0),
        (["02/29/2024", "01/13/2024"], "string", "02/01/2024", -28.0),
        (["29-02-2024", "13-01-2024"], "string", "01-02-2024", -28.0),
        (
            ["2024-02-29T12:00:00+02:00", "2024-02-28T12:00:00Z"],
            "string",
            "2024-02-29T05:00:00-0500",
            0.0,
        ),
        ([20240229, 20240113], "integer", 20240201, -28.0),
        ([1709164800, 1700000000], "integer", 1709164800 - 43200, -0.5),
        ([1709164800000, 1700000000000], "integer", 1709164800000 - 43200000, -0.5),
        ([1999, 2004], "integer", 2003, -365.0),
    ],
)
def test__datetime__written_in_one_way__is_read_in_that_way(
    values: list[Any], storage: StorageType, asked: Any, expected: float
) -> None:
    derivation = _fit(ColumnKind.DATETIME, values, storage)
    assert _parts(derivation, [asked])["elapsed_days"] == [expected]


def test__datetime__another_format_at_prediction__is_unreadable() -> None:
    derivation = _fit(ColumnKind.DATETIME, ["29/02/2024", "13/01/2024"], "string")
    parts = _parts(derivation, ["2024-02-29", "31/02/2024", None, " 28/02/2024 "])
    assert parts["elapsed_days"] == [None, None, None, -1.0]
    assert parts["weekday"] == [None, None, None, 3]


def test__text__numbers__say_length_words_and_digits() -> None:
    derivation = _fit(ColumnKind.TEXT, ["red fox 12", "blue dog", "green cat 7 7"], "string")
    parts = _parts(derivation, ["ab 12", None, ""])
    assert parts["length"] == [5.0, None, 0.0]
    assert parts["words"] == [2.0, None, 0.0]
    assert parts["digits"] == [0.4, None, 0.0]


def test__text__topics__bring_texts_of_the_same_words_together_and_keep_no_words() -> None:
    fruit, metal = ["ripe sweet apple pie"] * 20 + ["sweet ripe pear pie"] * 20, ["cold grey iron bar"] * 40
    derivation = _fit(ColumnKind.TEXT, fruit + metal, "string")
    assert isinstance(derivation, TextDerivation)
    topics = pl.DataFrame(
        [
            derivation.apply(pl.Series([text]))[3].alias(text)
            for text in ("sweet ripe apple", "ripe pear pie", "grey iron")
        ]
    ).row(0)
    assert abs(topics[0] - topics[1]) < abs(topics[0] - topics[2])
    assert "apple" not in derivation.model_dump_json()


def test__text__components_of_another_size__are_refused() -> None:
    with pytest.raises(ValidationError, match="components have"):
        TextDerivation(source="a", num_topics=2, components="AAAA")


def test__postal_code__prefixes__keep_leading_zeros() -> None:
    text = _fit(ColumnKind.POSTAL_CODE, ["01234"], "string")
    assert _parts(text, ["01234", "k1a 0b1", "-", None]) == {
        "prefix_1": ["0", "K", None, None],
        "prefix_2": ["01", "K1", None, None],
        "prefix_3": ["012", "K1A", None, None],
        "code": ["01234", "K1A0B1", None, None],
    }
    numbers = _fit(ColumnKind.POSTAL_CODE, [94110, 1234], "integer")
    assert _parts(numbers, [1234, None])["code"] == ["01234", None]


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("8.8.4.4", ["4", "global", "8.0.0.0/8", "8.8.0.0/16", "8.8.4.0/24"]),
        (" 192.168.1.9 ", ["4", "private", "192.0.0.0/8", "192.168.0.0/16", "192.168.1.0/24"]),
        ("::ffff:127.0.0.1", ["4", "loopback", "127.0.0.0/8", "127.0.0.0/16", "127.0.0.0/24"]),
        (
            "2a00:1450:4001::1",
            ["6", "global", "2a00:1450::/32", "2a00:1450:4001::/48", "2a00:1450:4001::/64"],
        ),
        ("fe80::1", ["6", "link_local", "fe80::/32", "fe80::/48", "fe80::/64"]),
        ("240.0.0.1", ["4", "private", "240.0.0.0/8", "240.0.0.0/16", "240.0.0.0/24"]),
        ("999.1.1.1", [None] * 5),
        ("010.1.1.1", [None] * 5),
        (None, [None] * 5),
    ],
)
def test__ip_address__parts__are_version_scope_and_networks(address: str | None, parts: list[Any]) -> None:
    derivation = _fit(ColumnKind.IP_ADDRESS, ["8.8.8.8"], "string")
    assert [found[0] for found in _parts(derivation, [address], pl.String).values()] == parts
