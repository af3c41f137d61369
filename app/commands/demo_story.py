"""What a demo is told to do: the generated table, or a file of the user's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rootstock_client.errors import InvalidArgumentError

if TYPE_CHECKING:
    import polars as pl

NUM_PREDICTED_ROWS = 5


@dataclass(frozen=True)
class DemoTarget:
    """A target from a column of the table, or (without one) from labels by key that arrive later."""

    name: str
    column: str | None = None
    task: str | None = None
    positive: str | None = None
    labels: pl.DataFrame | None = None


@dataclass(frozen=True)
class Story:
    """One table, what to predict about it, and the rows to predict at the end (read when they are needed)."""

    title: str
    table: str  # wanted name; taken ones get a number
    source: pl.DataFrame | Path
    key: Sequence[str]
    outcomes: Sequence[str]  # columns with the role target
    drop: Sequence[str]
    targets: tuple[DemoTarget, ...]
    max_labels: int | None
    rows_to_predict: Callable[[], dict[str, Any]]
    notes: tuple[str, ...] = field(default=())


def generated_story(num_rows: int, max_labels: int) -> Story:
    """Customers, made up."""
    from app.commands.demo_table import KEY, OUTCOMES, make_table

    made = make_table(num_rows)
    some = made.spend.sample(min(max_labels, num_rows), seed=1, shuffle=True)
    keys = (
        made.frame[KEY]
        .gather_every(max(1, num_rows // NUM_PREDICTED_ROWS))
        .head(NUM_PREDICTED_ROWS)
        .to_list()
    )
    return Story(
        title=f"a generated table of {num_rows:,} made-up customers with {made.frame.width} columns",
        table="demo-customers",
        source=made.frame,
        key=[KEY],
        outcomes=OUTCOMES,
        drop=(),
        targets=(
            DemoTarget("churn", column="churned", task="binary", positive="yes"),
            DemoTarget("plan", column="next_plan", task="multiclass"),
            DemoTarget("spend", task="regression", labels=some),
        ),
        max_labels=max_labels,
        rows_to_predict=lambda: {"keys": keys},
        notes=(
            "cancel_reason is filled in only after a customer has left: as an input it would give `churned` away.",
            "With the role `target` it is kept for fitting and never seen by the encoder or another head.",
        ),
    )


def own_story(
    file: Path, targets: Sequence[str], key: Sequence[str], drop: Sequence[str], max_labels: int | None
) -> Story:
    """A file of the user's; tasks follow from the target columns.

    Raises:
        InvalidArgumentError: no such file, or no target column is named.
    """
    if not file.is_file():
        raise InvalidArgumentError(f"there is no file {str(file)!r}", code="no_such_file")
    if not targets:
        raise InvalidArgumentError(
            "name the columns to predict: --targets a,b (make demo TARGETS=a,b)", code="no_targets"
        )

    def first_rows() -> dict[str, Any]:
        return {"rows": _first_rows(file, hidden={*targets, *key, *drop})}

    return Story(
        title=f"your table {file.name}",
        table=name_from(file.stem),
        source=file,
        key=key,
        outcomes=targets,
        drop=drop,
        targets=tuple(DemoTarget(name_from(column), column=column) for column in targets),
        max_labels=max_labels,
        rows_to_predict=first_rows,
    )


def _first_rows(file: Path, hidden: set[str]) -> pl.DataFrame:
    """The first rows with the types the service has found in them."""
    from models.features.reading import ReadLimits, ReadOptions, read_table

    frame = read_table(file, file.name, ReadOptions(), ReadLimits()).frame
    return frame.head(NUM_PREDICTED_ROWS).drop([name for name in frame.columns if name in hidden])


def name_from(text: str) -> str:
    """A name the service takes, as close to `text` as can be."""
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:50]
    return name or "table"


def free_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with the first free number behind it."""
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
