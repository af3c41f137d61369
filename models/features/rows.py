"""JSON rows sent for prediction → a frame of the table's feature columns, in their stored types.

Rules per stored type (null, an omitted column and a blank text are missing everywhere):

- text: text as it is; integers and booleans by their JSON text (`5` is "5", `true` is "true"); fractions refused.
- integer, float: numbers; text that is a number in the sense of `reading.text_types` (`"5"`, `"1.50"`; not `"05"`);
  `true`/`false` only where the column's kind is boolean. A fraction for an integer column of kind continuous
  makes that column Float64 in this frame.
- boolean: booleans, 0 and 1, "true"/"false" in any case.
- date, datetime: ISO 8601 text; a zone is converted to UTC.

Dates, times and addresses in columns stored as text are sent as the table writes them; what the encoder's codec cannot
read is counted as unseen. Whole numbers of kind postal_code may come as text with their leading zeros (`"01234"`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import polars as pl

from models.errors import RowError
from models.features.cells import CONVERTERS, Converter, NotConvertible
from models.features.schema import ColumnKind, ColumnSchema, Role, StorageType, TableSchema

_DTYPES: Mapping[StorageType, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}
_NONE = type(None)
_FAST_TYPES: Mapping[StorageType, frozenset[type]] = {
    "integer": frozenset({int, _NONE}),
    "float": frozenset({float, _NONE}),
    "boolean": frozenset({bool, _NONE}),
}
_FEW_ROWS = 32  # below it one call of polars for the whole frame beats one per column (0.1 against 0.4 ms)
_MAX_PLANS = 256
_INT64 = 2**63


@dataclass(frozen=True)
class RowsFrame:
    """`frame` [B]: one column per feature column of the schema, in its order. `missing`: how many of the rows lack
    a value, for encoded columns where any does."""

    frame: pl.DataFrame
    missing: dict[str, int]


@dataclass(frozen=True)
class _ColumnPlan:
    name: str
    storage: StorageType
    is_encoded: bool
    may_have_fractions: bool
    fast_types: frozenset[type]
    convert: Converter


class _Converted(NamedTuple):
    values: list[Any]
    num_missing: int
    has_fractions: bool = False


class RowsPlan:
    """A schema compiled for `rows_to_frame`; build it once per schema and keep it.

    Example:
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> age = ColumnSchema(name="age", kind=ColumnKind.CONTINUOUS, storage_type="integer")
        >>> RowsPlan(TableSchema(columns=(age,))).frame([{"age": "41"}, {}]).missing
        {'age': 1}
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.known = frozenset(schema.names)
        self._columns = tuple(_plan(column) for column in schema.with_role(Role.FEATURE))
        self._dtypes = {column.name: _DTYPES[column.storage] for column in self._columns}

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self._dtypes)

    def frame(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        extra: Literal["refuse", "ignore"] = "refuse",
        ignored: Collection[str] = (),
    ) -> RowsFrame:
        """Raises: RowError unknown_column, wrong_type, not_finite, out_of_range."""
        if not rows:
            return RowsFrame(self._empty, {})
        self._check_names(rows, extra, ignored)
        columns: list[list[Any]] = []
        dtypes = dict(self._dtypes)
        missing: dict[str, int] = {}
        for column in self._columns:
            name = column.name
            if name in ignored:  # accepted, not read: its values may be of any type
                columns.append([None] * len(rows))
                continue
            converted = _convert([row.get(name) for row in rows], column)
            if converted.has_fractions:
                dtypes[name] = pl.Float64()
            if converted.num_missing and column.is_encoded:
                missing[name] = converted.num_missing
            columns.append(converted.values)
        return RowsFrame(_build(columns, dtypes, len(rows)), missing)

    def _check_names(
        self,
        rows: Sequence[Mapping[str, object]],
        extra: Literal["refuse", "ignore"],
        ignored: Collection[str],
    ) -> None:
        known = self.known if not ignored else self.known.union(ignored)
        for position, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise RowError(
                    f"A row is an object of column names and values; row {position} is {_type_word(row)}.",
                    code="wrong_type", row=position,
                )  # fmt: skip
            if extra == "refuse" and not row.keys() <= known:
                self._refuse_unknown(row.keys() - known, position)

    def _refuse_unknown(self, unknown: set[str], row: int) -> None:
        names = sorted(str(name)[:200] for name in unknown)
        listed = ", ".join(map(repr, names[:10])) + (
            f" and {len(names) - 10} more" if len(names) > 10 else ""
        )
        raise RowError(
            f'Row {row} has columns the table does not have: {listed}. Leave them out, or say {{"extra": "ignore"}}.',
            code="unknown_column", row=row, column=names[0],
        )  # fmt: skip


_plans: OrderedDict[int, RowsPlan] = OrderedDict()


def rows_to_frame(
    rows: Sequence[Mapping[str, object]],
    schema: TableSchema,
    *,
    extra: Literal["refuse", "ignore"] = "refuse",
    ignored: Collection[str] = (),
) -> RowsFrame:
    """`rows` [B] as a frame [B]. Columns of the schema that are no features (targets, keys, …) and those named in
    `ignored` are accepted and dropped; others are refused by name unless `extra` is "ignore".

    Raises: RowError unknown_column, wrong_type, not_finite, out_of_range; with row (0-based), column and the type
    received, never the value.
    """
    return plan_of(schema).frame(rows, extra=extra, ignored=ignored)


def plan_of(schema: TableSchema) -> RowsPlan:
    """The compiled schema, kept for the last 256 schema objects (by identity: hashing one costs as much as a row)."""
    plan = _plans.get(id(schema))
    if plan is None or plan.schema is not schema:
        plan = RowsPlan(schema)
        _plans[id(schema)] = plan  # the plan holds the schema, so its id stays its own
        while len(_plans) > _MAX_PLANS:
            _plans.popitem(last=False)
    return plan


def _plan(column: ColumnSchema) -> _ColumnPlan:
    convert = CONVERTERS[column.storage_type]
    if column.storage_type in ("integer", "float") and column.kind is ColumnKind.BOOLEAN:
        convert = CONVERTERS["boolean_number"]
    if column.storage_type == "integer" and column.kind is ColumnKind.POSTAL_CODE:
        convert = CONVERTERS["postal_number"]
    return _ColumnPlan(
        name=column.name,
        storage=column.storage_type,
        is_encoded=column.is_encoded,
        may_have_fractions=column.storage_type == "integer" and column.kind is ColumnKind.CONTINUOUS,
        fast_types=_FAST_TYPES.get(column.storage_type, frozenset({_NONE})),
        convert=convert,
    )


def _convert(values: list[Any], column: _ColumnPlan) -> _Converted:
    types = set(map(type, values))
    has_null = _NONE in types
    if types <= column.fast_types and _is_plain(values, column.storage, has_null=has_null):
        return _Converted(values, values.count(None) if has_null else 0)
    converted: list[Any] = []
    for position, value in enumerate(values):
        if value is None:
            converted.append(None)
            continue
        try:
            cell = column.convert(value)
        except NotConvertible as fault:
            raise _refused(position, column.name, fault.rule, value, fault.code) from None
        if type(cell) is float and column.storage == "integer" and not column.may_have_fractions:
            raise _refused(position, column.name, "this column takes whole numbers", value, "wrong_type")
        converted.append(cell)
    has_fractions = column.storage == "integer" and any(type(cell) is float for cell in converted)
    if has_fractions:
        converted = [None if cell is None else float(cell) for cell in converted]
    return _Converted(converted, converted.count(None), has_fractions)


def _is_plain(values: list[Any], storage: StorageType, *, has_null: bool) -> bool:
    """Whether values of the fast types need no look at each: floats finite, integers inside 64 bits."""
    if storage not in ("float", "integer"):
        return True
    numbers = [value for value in values if value is not None] if has_null else values
    if storage == "float":
        # One sum tells: an infinity or NaN makes it one (an overflow only sends us the long way).
        return math.isfinite(sum(numbers))
    return not numbers or (min(numbers) >= -_INT64 and max(numbers) < _INT64)


def _refused(row: int, column: str, rule: str, value: object, code: str) -> RowError:
    received = _type_word(value)
    message = f"Row {row}, column {column!r}: {rule}, received {received}."
    return RowError(message, code=code, row=row, column=column, received=received)


def _build(columns: list[list[Any]], dtypes: dict[str, pl.DataType], num_rows: int) -> pl.DataFrame:
    if not columns:
        return pl.DataFrame(height=num_rows)
    if num_rows <= _FEW_ROWS:
        return pl.from_dicts(
            [dict(zip(dtypes, row, strict=True)) for row in zip(*columns, strict=True)], schema=dtypes
        )
    return pl.DataFrame(
        [
            pl.Series(name, values, dtype=dtype)
            for (name, dtype), values in zip(dtypes.items(), columns, strict=True)
        ]
    )


def _type_word(value: object) -> str:
    words = {
        str: "text",
        bool: "boolean",
        int: "integer",
        float: "float",
        type(None): "null",
        dict: "object",
        list: "array",
    }
    if isinstance(value, str):
        return f"text of {len(value):,} characters"
    return words.get(type(value), type(value).__name__)
