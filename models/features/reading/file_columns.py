"""What reading one file gives, before the types of its columns are told over all files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from models.errors import TableFormatError
from models.features.reading.options import RowLines, Sniffed
from models.features.reading.text_types import DecimalMarks, type_text_column


@dataclass(frozen=True)
class FileColumns:
    """Columns of one file. With `marks` they are text cells whose type is still to be told; without, canonical.

    `quoted_mark` ends text cells that were a quoted spelling of "no value".
    """

    frame: pl.DataFrame
    sniffed: Sniffed
    warnings: tuple[str, ...] = ()
    lines: RowLines | None = field(default=None, repr=False)
    marks: DecimalMarks | None = None
    quoted_mark: str | None = None


@dataclass(frozen=True)
class CombinedColumn:
    series: pl.Series
    warnings: tuple[str, ...] = ()


def combined_column(
    name: str, files: Sequence[FileColumns], *, keeps_text: bool, null_numbers: Sequence[float] = ()
) -> CombinedColumn:
    """Takes column `name` out of every file and gives the rows of all, typed over all of them.

    Text is told as one column; columns that came with types are brought to the type that holds both, else text.
    """
    parts = [file.frame.drop_in_place(name) for file in files]
    marks = [file.marks for file in files if file.marks is not None]
    if len(marks) == len(files):
        text = parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=False)
        quoted_mark = next((file.quoted_mark for file in files if file.quoted_mark is not None), None)
        typed = type_text_column(
            text,
            _shared_marks(marks),
            quoted_mark=quoted_mark,
            keeps_text=keeps_text,
            null_numbers=null_numbers,
        )
        return CombinedColumn(typed.series, typed.warnings)
    warnings: list[str] = []
    for position, (part, file) in enumerate(zip(parts, files, strict=True)):
        if file.marks is not None:
            typed = type_text_column(
                part,
                file.marks,
                quoted_mark=file.quoted_mark,
                keeps_text=keeps_text,
                null_numbers=null_numbers,
            )
            parts[position] = typed.series
            warnings.extend(typed.warnings)
    united = _united(name, parts)
    return CombinedColumn(united.series, (*dict.fromkeys(warnings), *united.warnings))


def _shared_marks(marks: Sequence[DecimalMarks]) -> DecimalMarks:
    """A decimal comma, where any file shows one: a point is also what a file without decimals is taken for."""
    return next((found for found in marks if found.mark == ","), marks[0])


def _united(name: str, parts: list[pl.Series]) -> CombinedColumn:
    if len(parts) == 1:
        return CombinedColumn(parts[0])
    dtypes = {part.dtype for part in parts if part.null_count() < len(part)}
    target = _holding(dtypes, parts)
    if target is not None:
        return CombinedColumn(pl.concat([part.cast(target) for part in parts], rechunk=False))
    words = ", ".join(sorted(str(dtype.base_type()).lower() for dtype in dtypes))
    note = f"Column {name!r} has different types in the files ({words}) and was kept as text."
    return CombinedColumn(pl.concat([part.cast(pl.String) for part in parts], rechunk=False), (note,))


def _holding(dtypes: set[pl.DataType], parts: Sequence[pl.Series]) -> pl.DataType | None:
    """The type that holds the cells of all `dtypes` without loss."""
    if not dtypes:
        return parts[0].dtype
    if len(dtypes) == 1:
        return next(iter(dtypes))
    if dtypes == {pl.Int64(), pl.Float64()}:
        is_exact = all((part.abs() <= 2**53).all() for part in parts if part.dtype == pl.Int64)
        return pl.Float64() if is_exact else None
    if dtypes == {pl.Date(), pl.Datetime("us")}:
        return pl.Datetime("us")
    return None


def check_same_columns(
    first: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]], position: int
) -> None:
    """Two files of a table, each with its name and columns, whose order may differ; `position`: of the other.

    Raises: TableFormatError files_differ, with the position of the file and the column.
    """
    (first_name, wanted), (name, columns) = first, other
    if set(wanted) == set(columns):
        return
    lacking = next((column for column in wanted if column not in set(columns)), None)
    extra = next((column for column in columns if column not in set(wanted)), None)
    faults = [f"lacks the column {lacking!r}"] if lacking is not None else []
    faults += [f"has a column {extra!r}"] if extra is not None else []
    raise TableFormatError(
        f"The files of a table have the same columns, in any order; file {position} ({name}) {' and '.join(faults)}, "
        f"unlike file 1 ({first_name}). Make them alike, or send them as tables of their own.",
        code="files_differ", file=position, column=lacking if lacking is not None else extra,
    )  # fmt: skip
