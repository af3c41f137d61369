"""A stored table with one encoder and as many heads as a serving benchmark wants, without hours of training.

The encoder has the default architecture with its first weights, the heads have random ones: what they predict is
noise, what they cost is what trained ones cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from app.settings import Settings
from app.wiring import build_container
from models.bundle import EncoderBundle
from models.encoders import DEFAULT
from models.features.codec import Codec
from models.features.schema import ColumnKind, ColumnSchema, Role, TableSchema, Task
from models.features.snapshot import ROWS_FILE, write_rows
from models.fingerprint import encoder_fingerprint
from models.heads import LinearHead
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import StoredBundle, put_bundle
from storage.orm import Encoder, Snapshot, Table
from storage.unit_of_work import UnitOfWork

TABLE = "customers"
TARGET_COLUMN = "outcome"
NUM_CATEGORICAL = 10
NUM_CONTINUOUS = 10
NUM_ROWS = 20_000
NUM_SHARED = 100  # heads of one view
NUM_VIEWS = 16  # heads with a view each

CATEGORICAL = tuple(f"category_{number}" for number in range(NUM_CATEGORICAL))
CONTINUOUS = tuple(f"number_{number}" for number in range(NUM_CONTINUOUS))
SHARED = tuple(f"shared-{number}" for number in range(NUM_SHARED))
APART = tuple(f"apart-{number}" for number in range(NUM_VIEWS))


@dataclass(frozen=True)
class ServedTable:
    frame: pl.DataFrame

    def json_rows(self, num_rows: int) -> list[dict[str, Any]]:
        return self.frame.select(*CATEGORICAL, *CONTINUOUS).head(num_rows).to_dicts()


def make_frame(seed: int = 0) -> pl.DataFrame:
    """Generated rows: ten categories of 3 to 200 values, ten numbers, a tenth of the cells missing."""
    rng = np.random.default_rng(seed)
    rows = np.arange(NUM_ROWS)
    columns: dict[str, Any] = {
        "_row": rows,
        "_key": rows.astype(str),
        "_split": np.where(rows % 10 == 0, "evaluation", "train"),
    }
    for number, name in enumerate(CATEGORICAL):
        size = int(np.geomspace(3, 200, NUM_CATEGORICAL)[number])
        codes = rng.integers(0, size, NUM_ROWS)
        columns[name] = pl.Series([None if rng.random() < 0.1 else f"value {code}" for code in codes])
    for name in CONTINUOUS:
        values = rng.lognormal(3.0, 1.0, NUM_ROWS).round(3)
        columns[name] = pl.Series([None if rng.random() < 0.1 else float(value) for value in values])
    columns[TARGET_COLUMN] = rng.choice(["no", "yes"], NUM_ROWS)
    return pl.DataFrame(columns)


def make_schema() -> TableSchema:
    categorical = [
        ColumnSchema(name=name, kind=ColumnKind.CATEGORICAL, storage_type="string") for name in CATEGORICAL
    ]
    continuous = [
        ColumnSchema(name=name, kind=ColumnKind.CONTINUOUS, storage_type="float") for name in CONTINUOUS
    ]
    target = ColumnSchema(
        name=TARGET_COLUMN, kind=ColumnKind.CATEGORICAL, role=Role.TARGET, storage_type="string"
    )
    return TableSchema(columns=(*categorical, *continuous, target))


def store_table(settings: Settings) -> ServedTable:
    """Store the table in `settings.home`, the way jobs store what they made; every head is its target's champion."""
    frame, schema = make_frame(), make_schema()
    codec = Codec.fit(frame, schema)
    bundle = EncoderBundle(
        codec=codec,
        config=DEFAULT,
        encoder=DEFAULT.build(codec, generator=torch.Generator().manual_seed(0)),
        schema=schema,
        report={},
        reference_codes=codec.transform(frame.head(100)),
    )
    container = build_container(settings)
    try:
        with container.database.writing() as uow:
            workspace_id = uow.workspaces.get_or_create("default").id
        store = container.store
        rows_path = settings.scratch_dir / ROWS_FILE
        write_rows(frame, rows_path)
        files: dict[str, bytes | Path] = {ROWS_FILE: rows_path}
        snapshot_bundle = put_bundle(store, workspace_id, files, "snapshot")
        encoder_bundle = put_bundle(store, workspace_id, {**bundle.to_files()}, "encoder")
        heads = _store_heads(store, workspace_id, bundle)
        with container.database.writing() as uow:
            table, snapshot = _add_table(uow, workspace_id, schema, snapshot_bundle)
            encoder = uow.encoders.add(table, snapshot.id, 1, {}, [], None)
            uow.encoders.publish(encoder.id, encoder_bundle.digest, encoder_bundle.num_bytes, {})
            for name, (view, stored) in heads.items():
                _add_champion(uow, table, encoder, name, view, stored)
    finally:
        container.close()
    return ServedTable(frame)


def _store_heads(
    store: ArtifactStore, workspace_id: str, bundle: EncoderBundle
) -> dict[str, tuple[tuple[str, ...], StoredBundle]]:
    views: dict[str, tuple[str, ...]] = dict.fromkeys(SHARED, (TARGET_COLUMN,))
    forbidden = (*CATEGORICAL, *CONTINUOUS)
    views |= {name: tuple(sorted((forbidden[n], TARGET_COLUMN))) for n, name in enumerate(APART)}
    generator = torch.Generator().manual_seed(1)
    fingerprint = encoder_fingerprint(bundle)
    stored = {}
    for name, view in views.items():
        width = bundle.row_features.width(view)
        head = LinearHead(
            task=Task.BINARY,
            classes=("no", "yes"),
            view=view,
            encoder_fingerprint=fingerprint,
            weight=torch.randn(1, width, generator=generator) / width**0.5,
            bias=torch.zeros(1),
        )
        stored[name] = (view, put_bundle(store, workspace_id, {**head.to_files()}, "head"))
    return stored


def _add_table(
    uow: UnitOfWork, workspace_id: str, schema: TableSchema, stored: StoredBundle
) -> tuple[Table, Snapshot]:
    table = uow.tables.add(workspace_id, TABLE, {})
    columns = [column.model_dump(mode="json") for column in schema.columns]
    uow.tables.set_columns(table, 1, columns)
    snapshot = uow.tables.add_snapshot(table, stored.digest, NUM_ROWS, stored.num_bytes, uow.now())
    return uow.tables.mark_ready(table, snapshot), snapshot


def _add_champion(
    uow: UnitOfWork, table: Table, encoder: Encoder, name: str, view: tuple[str, ...], stored: StoredBundle
) -> None:
    target = uow.targets.add(table, name, str(Task.BINARY), None, "yes", ["no", "yes"], [])
    labels = uow.label_sets.add(target, "column", encoder.snapshot_id, None, 0, {})
    head = uow.heads.add(target, "linear", {}, encoder.id, labels.id, {}, view, False, None)
    head = uow.heads.publish(head.id, stored.digest, stored.num_bytes, {}, {}, "", {}, "linear")
    uow.aliases.move(target.id, "champion", head, expected_revision=None, actor=None)
