"""Which stored values can be read as which kind; the others are refused with what speaks against it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from models.errors import SchemaError
from models.features.kinds import infer_schema
from models.features.schema import ColumnKind, ColumnOverride


def _kind(values: list[Any], kind: str) -> ColumnKind:
    frame = pl.DataFrame({"a": values, "other": list(range(len(values)))})
    return infer_schema(frame, {"a": ColumnOverride(kind=ColumnKind(kind))})["a"].kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-02-29 ", "x", "2024-03-01"], "datetime"),
        ([20240229, 20240301, 20240401], "datetime"),
        ([1_700_000_000, 1_700_000_001], "datetime"),
        ([1999, 2004], "datetime"),
        (["10.0.0.1", "nowhere", "::1"], "ip_address"),
        (["01234", "K1A 0B1"], "postal_code"),
        ([1234, 94110], "postal_code"),
        (["a", "b"], "text"),
        ([None, None, "a"], "text"),
        ([1.5, 2.5], "categorical"),
        (["a", "b"], "identifier"),
    ],
)
def test__kind__values_fit__is_taken(values: list[Any], kind: str) -> None:
    assert _kind(values, kind) == kind


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (["12 kg", "13 kg"], "continuous", "not every cell is a number"),
        (["soon", "later", "2024-02-29"], "datetime", "33% of its distinct values"),
        ([1, 2, 3], "datetime", "neither seconds"),
        ([1.5, 2.5], "datetime", "holds no time"),
        (["a", "b", "::1"], "ip_address", "33% of its distinct values"),
        ([1, 2], "ip_address", "not as text"),
        ([1, 2], "text", "not as text"),
        ([1.5, 2.5], "postal_code", "not as text or integer"),
        ([-1, 94110], "postal_code", "negative"),
        (["a", "b", "c"], "boolean", "3 distinct values"),
    ],
)
def test__kind__values_do_not_fit__is_refused_with_the_reason(
    values: list[Any], kind: str, reason: str
) -> None:
    with pytest.raises(SchemaError, match=reason) as caught:
        _kind(values, kind)
    assert caught.value.code == "incompatible_kind"
