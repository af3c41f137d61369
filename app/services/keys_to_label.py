"""Which rows to label next: rows of the train part without a label, each kind of row once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from app.errors import InvalidRequest, ResourceConflict
from app.schemas.labels import KeysToLabel
from app.schemas.predict import PredictRequest
from app.schemas.principal import Principal
from app.services.label_publishing import LabelPublisher
from app.services.lookup import current_schema, ready_table
from app.services.target_labels import label_column
from app.services.views import absent_columns
from app.serving.predictions import PredictionService
from models.features.row_selection import farthest_first, first_of_kind
from models.features.schema import KEY_COLUMN, ROW_COLUMN, Role, TableSchema, Task
from models.features.snapshot import Snapshot
from storage.engine import Database
from storage.orm import LabelSet, Target

MAX_CONSIDERED = 20_000
MAX_DIVERSE = 4_000
MAX_COVERED = 500  # labelled rows that diverse ones are far from
PREDICTED_AT_ONCE = 2_000  # other requests get their turn in between
CHAMPION = "champion"

Strategy = Literal["random", "uncertain", "diverse"]


@dataclass(frozen=True)
class _Ground:
    target: Target
    schema: TableSchema
    snapshot: Snapshot
    label_set: LabelSet | None
    has_champion: bool


class KeysToLabelService:
    def __init__(self, database: Database, publisher: LabelPublisher, predictions: PredictionService) -> None:
        self._database = database
        self._publisher = publisher
        self._predictions = predictions

    def propose(
        self, principal: Principal, table: str, target: str, count: int, strategy: Strategy, seed: int
    ) -> KeysToLabel:
        """`random`; `uncertain`: where the champion's two most probable classes are closest; `diverse`: far from each
        other and from labelled rows. At most one row of a group, and one of exact duplicates.

        Raises: ResourceConflict `no_champion` (uncertain), `label_column_lost`; InvalidRequest `no_uncertainty` for a
            regression; as predictions raise.
        """
        ground = self._ground(principal, table, target)
        if strategy == "uncertain":
            _check_uncertain(ground)
        is_labelled = self._labelled_rows(principal, ground)
        unlabelled = np.flatnonzero(~is_labelled & ~ground.snapshot.is_evaluation)
        generator = np.random.default_rng([seed, 5])
        considered = generator.permutation(unlabelled)[:MAX_CONSIDERED]
        rows = _rows_of(ground, considered)
        version: int | None = None
        if strategy == "diverse":
            covered = generator.permutation(np.flatnonzero(is_labelled))[:MAX_COVERED]
            keys = _diverse(ground, rows.head(MAX_DIVERSE), _rows_of(ground, covered), count, generator)
            rows = rows.head(MAX_DIVERSE)
        elif strategy == "uncertain":
            order, version = self._by_uncertainty(principal, table, target, rows[KEY_COLUMN].to_list())
            keys = rows[KEY_COLUMN].gather(order[:count]).to_list()
        else:
            keys = rows[KEY_COLUMN].head(count).to_list()
        return KeysToLabel(
            keys=keys,
            strategy=strategy,
            num_unlabelled=len(unlabelled),
            num_considered=len(rows),
            head=version,
        )

    def _ground(self, principal: Principal, table: str, target: str) -> _Ground:
        with self._database.reading() as uow:
            found, snapshot = ready_table(uow, principal, table)
            row = uow.targets.by_name(found.id, target)
            return _Ground(
                target=row,
                schema=current_schema(uow, found),
                snapshot=self._publisher.snapshot(principal.workspace_id, snapshot),
                label_set=uow.label_sets.latest(row.id),
                has_champion=uow.aliases.get(row.id, CHAMPION) is not None,
            )

    def _labelled_rows(self, principal: Principal, ground: _Ground) -> npt.NDArray[np.bool_]:
        """bool [N]."""
        snapshot = ground.snapshot
        if ground.target.column_name is not None:
            column = label_column(ground.target, ground.schema)
            values = snapshot.read([column.name], with_row_ids=False)[column.name]
            return values.is_not_null().to_numpy()
        found = np.zeros(snapshot.num_rows, dtype=bool)
        labels = self._publisher.labels_of(principal.workspace_id, ground.label_set)
        rows = snapshot.key_index.rows_of(labels["key"].to_list())
        found[rows[rows >= 0]] = True
        return found

    def _by_uncertainty(
        self, principal: Principal, table: str, target: str, keys: list[str]
    ) -> tuple[npt.NDArray[np.int64], int | None]:
        """Positions of the keys, least decided first, and the head that says so."""
        margins: list[npt.NDArray[np.float64]] = []
        version: int | None = None
        for start in range(0, len(keys), PREDICTED_AT_ONCE):
            request = PredictRequest(targets=(target,), keys=list(keys[start : start + PREDICTED_AT_ONCE]))
            answer: dict[str, Any] = self._predictions.predict(principal, table, request)["predictions"][
                target
            ]
            version = answer["head"]
            top = np.sort(answer["probabilities"], axis=1)[:, -2:]
            margins.append(top[:, 1] - top[:, 0])
        order = np.argsort(np.concatenate(margins) if margins else np.empty(0), kind="stable")
        return order, version


def _check_uncertain(ground: _Ground) -> None:
    if ground.target.task == Task.REGRESSION:
        raise InvalidRequest(
            "A regression head is about as sure of every row; use the strategy diverse or random.",
            code="no_uncertainty",
        )
    if not ground.has_champion:
        raise ResourceConflict(
            f"The target {ground.target.name!r} has no champion whose probabilities could tell; label some rows of the "
            "strategy random or diverse first, and fine-tune.",
            code="no_champion",
        )


def _rows_of(ground: _Ground, positions: npt.NDArray[np.int64]) -> pl.DataFrame:
    """`_key` and the inputs of the target's heads for the rows at `positions`, in their order; one row of each kind."""
    groups = [column.name for column in ground.schema.with_role(Role.GROUP)]
    inputs = _inputs(ground)
    names = list(dict.fromkeys([ROW_COLUMN, KEY_COLUMN, *groups, *inputs]))
    wanted = pl.DataFrame({ROW_COLUMN: positions}, schema={ROW_COLUMN: pl.Int64})
    scan = pl.scan_parquet(ground.snapshot.path, glob=False).select(names)
    scan = scan.with_columns(pl.col(ROW_COLUMN).cast(pl.Int64))
    found = wanted.lazy().join(scan, on=ROW_COLUMN, how="left", maintain_order="left").collect()
    return found.filter(pl.Series(first_of_kind(found, groups, inputs), dtype=pl.Boolean))


def _inputs(ground: _Ground) -> list[str]:
    absent = absent_columns(ground.schema, ground.target.column_name, ground.target.forbidden_columns)
    return [column.name for column in ground.schema.encoded if column.name not in absent]


def _diverse(
    ground: _Ground,
    rows: pl.DataFrame,
    covered: pl.DataFrame,
    count: int,
    generator: np.random.Generator,
) -> list[str]:
    inputs = _inputs(ground)
    both = pl.concat([covered, rows]).select(inputs) if inputs else pl.DataFrame()
    if not inputs:
        return rows[KEY_COLUMN].head(count).to_list()
    chosen = farthest_first(both, count, num_covered=len(covered), generator=generator)
    return rows[KEY_COLUMN].gather(chosen - len(covered)).to_list()
