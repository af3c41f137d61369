from __future__ import annotations

import datetime as dt
import struct
from hashlib import blake2b

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.features.kinds import infer_schema
from models.features.schema import ColumnOverride, Role, SplitBy, TableSchema
from models.features.splits import assign_splits
from models.features.time_split import chosen_cutoff


def _schema(frame: pl.DataFrame, **roles: Role) -> TableSchema:
    return infer_schema(frame, {name: ColumnOverride(role=role) for name, role in roles.items()})


def _sides(frame: pl.DataFrame, schema: TableSchema, fraction: float = 0.3, by: str = "auto") -> list[str]:
    return assign_splits(frame, schema, SplitBy.model_validate({"by": by}), fraction).to_list()


def test__assign_splits__known_rows__never_change_sides() -> None:
    """The function of version 1, fixed: a change of it needs a new SPLIT_VERSION. (Golden, by hand of blake2b.)"""
    frame = pl.DataFrame(
        {
            "a": [1, 2, 3, 4, 5, 6],
            "b": [0.5, -0.0, None, 2.0, 1e300, 7.0],
            "c": ["x", "y", "z", None, "", "ü"],
        }
    )

    def side(text: str) -> str:
        digest = blake2b(text.encode(), digest_size=8, person=b"rootstock-split1").digest()
        return "evaluation" if int.from_bytes(digest, "big") < 0.3 * 2**64 else "train"

    def bits(value: float | None) -> str:
        return "\0" if value is None else str(struct.unpack("<q", struct.pack("<d", value or 0.0))[0])

    expected = [
        side("\x1f".join([str(a), bits(b), "\0" if c is None else c])) for a, b, c in frame.iter_rows()
    ]  # fmt: skip
    assert _sides(frame, _schema(frame)) == expected


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.5, None]), st.sampled_from("ab")),
        min_size=2,
        max_size=30,
    ),
    st.randoms(),
)
def test__assign_splits__exact_duplicates__share_a_side_in_any_order(
    rows: list[tuple[object, ...]], random: object
) -> None:
    frame = pl.DataFrame(rows, schema={"i": pl.Int64, "f": pl.Float64, "t": pl.String}, orient="row")
    sides = _sides(frame, _schema(frame))
    by_row: dict[tuple[object, ...], str] = {}
    for row, side in zip(frame.iter_rows(), sides, strict=True):
        assert by_row.setdefault(row, side) == side
    order = list(range(frame.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert _sides(frame[order], _schema(frame)) == [sides[i] for i in order]


def test__assign_splits__group__stays_together_and_rows_without_one_spread() -> None:
    frame = pl.DataFrame({"g": [f"g{i % 40}" if i % 3 else None for i in range(600)], "x": list(range(600))})
    schema = _schema(frame, g=Role.GROUP)
    table = frame.with_columns(pl.Series("side", _sides(frame, schema)))
    assert (
        table.filter(pl.col("g").is_not_null()).group_by("g").agg(pl.col("side").n_unique())["side"].max()
        == 1
    )
    assert table.filter(pl.col("g").is_null())["side"].n_unique() == 2


def test__assign_splits__fraction__is_met_and_nested() -> None:
    frame = pl.DataFrame({"x": list(range(5_000))})
    schema = _schema(frame)
    small, large = _sides(frame, schema, 0.1), _sides(frame, schema, 0.4)
    assert abs(small.count("evaluation") / 5_000 - 0.1) < 0.02
    assert all(b == "evaluation" for a, b in zip(small, large, strict=True) if a == "evaluation")
    assert set(_sides(frame, schema, 0.0)) == {"train"}


def test__assign_splits__key__does_not_depend_on_other_columns() -> None:
    frame = pl.DataFrame({"id": list(range(100)), "x": [1] * 100, "_key": [str(i) for i in range(100)]})
    schema = _schema(frame, id=Role.KEY)
    changed = frame.with_columns(x=pl.Series(range(100)))
    assert _sides(frame, schema) == _sides(changed, schema)


@pytest.mark.parametrize("dtype", ["date", "text", "integer"])
def test__assign_splits__by_time__latest_rows_evaluate_with_ties_together(dtype: str) -> None:
    days = [dt.date(2024, 1, 10) + dt.timedelta(days=i // 10) for i in range(100)]
    values = {
        "date": days,
        "text": [day.strftime("%d/%m/%Y") for day in days],
        "integer": [day.toordinal() for day in days],
    }
    frame = pl.DataFrame({"when": values[dtype], "x": list(range(100))})
    sides = _sides(frame, _schema(frame, when=Role.TIME), 0.25, by="time")
    assert sides in ([*["train"] * 70, *["evaluation"] * 30], [*["train"] * 80, *["evaluation"] * 20])


def test__assign_splits__by_time_with_a_group__group_stays_together() -> None:
    frame = pl.DataFrame({"when": list(range(100)), "g": [i % 10 if i < 90 else 10 for i in range(100)]})
    frame = frame.with_columns(x=pl.lit(1.5))
    schema = _schema(frame, when=Role.TIME, g=Role.GROUP)
    table = frame.with_columns(side=pl.Series(_sides(frame, schema, 0.1, by="time")))
    assert table.group_by("g").agg(pl.col("side").n_unique())["side"].max() == 1
    assert table.filter(pl.col("side") == "evaluation")["g"].unique().to_list() == [10]


def test__assign_splits__rows_without_time__train() -> None:
    frame = pl.DataFrame({"when": [None, 1, 2, 3], "x": [1, 2, 3, 4]})
    assert _sides(frame, _schema(frame, when=Role.TIME), 0.34, by="time")[0] == "train"


def test__assign_splits__one_moment_throughout__trains() -> None:
    frame = pl.DataFrame({"when": [1, 1, 1, 1], "x": [1, 2, 3, 4]})
    assert set(_sides(frame, _schema(frame, when=Role.TIME), 0.25, by="time")) == {"train"}


@pytest.mark.parametrize(
    ("values", "role", "code"),
    [
        (["a", "b"], Role.FEATURE, "no_time_column"),
        (["a", "b"], Role.TIME, "invalid_time_column"),
        (["01/02/2024", "03/04/2024"], Role.TIME, "invalid_time_column"),  # day and month could be either
        ([True, False], Role.TIME, "invalid_time_column"),
    ],
)
def test__assign_splits__time_that_is_none__is_refused(values: list[object], role: Role, code: str) -> None:
    frame = pl.DataFrame({"when": values, "x": [1, 2]})
    with pytest.raises(SchemaError) as refused:
        _sides(frame, _schema(frame, when=role), by="time")
    assert refused.value.code == code


def test__time_split__most_rows_at_the_last_moment_there_is__has_a_cutoff() -> None:
    instants = pl.Series([dt.datetime(2024, 1, 1), dt.datetime.max, dt.datetime.max, dt.datetime.max])
    assert chosen_cutoff(instants, 0.1) is not None
