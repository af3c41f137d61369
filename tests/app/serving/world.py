"""A small real installation: a snapshot, two encoders and heads of every task, stored the way jobs store them.

The encoders keep their first weights and the heads have random ones: serving must carry any numbers faithfully,
and nothing here asks whether they are good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import torch

from app.schemas.predict import PredictRequest
from app.schemas.principal import Principal
from app.serving.catalog import Catalog
from app.serving.predictions import PredictionService
from models.bundle import EncoderBundle
from models.encoders import ColumnTransformerConfig
from models.features.codec import Codec
from models.features.schema import (
    KEY_COLUMN,
    ROW_COLUMN,
    SPLIT_COLUMN,
    ColumnKind,
    ColumnSchema,
    JsonScalar,
    Role,
    StorageType,
    TableSchema,
    Task,
)
from models.features.snapshot import write_rows
from models.fingerprint import encoder_fingerprint
from models.heads import LinearHead
from models.heads.calibration import Calibration
from models.heads.finishing import Finishing
from models.heads.intervals import ResidualTable
from models.heads.sets import ClassSets, ScoreTable
from storage.artifacts import ArtifactStore, LocalStoreConfig
from storage.artifacts.manifest import StoredBundle, put_bundle
from storage.engine import Database
from storage.orm import Encoder, Head, Snapshot, Table, Target
from tests.app.serving.records import Records

NUM_ROWS = 300
CHURNED = "churned"  # role target: unseen by the encoder
EVERY_VIEW = (CHURNED,)


def _column(
    name: str, kind: ColumnKind, storage_type: StorageType, role: Role = Role.FEATURE
) -> ColumnSchema:
    return ColumnSchema(name=name, kind=kind, role=role, storage_type=storage_type)


SCHEMA = TableSchema(
    columns=(
        _column("id", ColumnKind.IDENTIFIER, "integer", Role.KEY),
        _column("plan", ColumnKind.CATEGORICAL, "string"),
        _column("city", ColumnKind.CATEGORICAL, "string"),
        _column("active", ColumnKind.BOOLEAN, "boolean"),
        _column("age", ColumnKind.CONTINUOUS, "float"),
        _column("balance", ColumnKind.CONTINUOUS, "float"),
        _column("visits", ColumnKind.CONTINUOUS, "integer"),
        _column("note", ColumnKind.TEXT, "string"),
        _column(CHURNED, ColumnKind.CATEGORICAL, "string", Role.TARGET),
    )
)


def customers(num_rows: int = NUM_ROWS, seed: int = 0) -> pl.DataFrame:
    """Rows of every kind, with missing values; keys count from 1,000."""
    rng = np.random.default_rng(seed)
    rows = np.arange(num_rows)
    balance = rng.normal(100.0, 30.0, num_rows)
    return pl.DataFrame(
        {
            ROW_COLUMN: rows,
            KEY_COLUMN: [str(1_000 + row) for row in rows],
            SPLIT_COLUMN: ["evaluation" if row % 10 == 0 else "train" for row in rows],
            "id": rows + 1_000,
            "plan": rng.choice(["basic", "plus", "pro"], num_rows),
            "city": rng.choice([f"city {number}" for number in range(20)], num_rows),
            "active": rng.random(num_rows) < 0.5,
            "age": rng.uniform(18, 90, num_rows).round(1),
            "balance": [None if rng.random() < 0.2 else float(value) for value in balance],
            "visits": rng.poisson(5, num_rows),
            "note": ["some words" for _ in rows],
            CHURNED: rng.choice(["No", "Yes"], num_rows),
        }
    )


def json_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client would send them: feature columns only."""
    names = [column.name for column in SCHEMA.columns if column.role is Role.FEATURE]
    return frame.select(names).to_dicts()


def make_encoder(frame: pl.DataFrame, seed: int, schema: TableSchema = SCHEMA) -> EncoderBundle:
    codec = Codec.fit(frame, schema)
    config = ColumnTransformerConfig(d_model=16, num_layers=2)
    encoder = config.build(codec, generator=torch.Generator().manual_seed(seed))
    return EncoderBundle(
        codec=codec,
        config=config,
        encoder=encoder,
        schema=schema,
        report={},
        reference_codes=codec.transform(frame.head(50)),
    )


def _sets(num_classes: int) -> ClassSets:
    """Of evenly spread probabilities, so that sets hold some classes and not others."""
    table = ScoreTable.fit(np.linspace(0.0, 2.0 / num_classes, 99), np.ones(99))
    return ClassSets((table,), (0,) * num_classes)


def make_head(
    bundle: EncoderBundle,
    task: Task,
    classes: tuple[JsonScalar, ...] | None,
    view: Sequence[str] = EVERY_VIEW,
    seed: int = 0,
) -> LinearHead:
    generator = torch.Generator().manual_seed(seed)
    num_outputs = len(classes) if task is Task.MULTICLASS and classes else 1
    width = bundle.row_features.width(tuple(view))
    residuals = np.random.default_rng(seed).normal(0.0, 2.0, 99)
    is_regression = task is Task.REGRESSION
    return LinearHead(
        task=task,
        classes=classes,
        view=tuple(sorted(view)),
        encoder_fingerprint=encoder_fingerprint(bundle),
        weight=torch.randn(num_outputs, width, generator=generator) / width**0.5,
        bias=torch.randn(num_outputs, generator=generator),
        finishing=Finishing(intervals=ResidualTable.fit(residuals, np.ones(99)))
        if is_regression
        else Finishing(Calibration(1.1, (0.1,) * num_outputs), sets=_sets(max(num_outputs, 2))),
    )


@dataclass
class World:
    """The installation in `folder`: one workspace, the table `customers`, encoders 1 and 2, targets and heads."""

    folder: Path
    records: Records
    store: ArtifactStore
    workspace_id: str
    frame: pl.DataFrame
    table: Table
    snapshot: Snapshot
    snapshot_bundle: StoredBundle
    bundles: dict[str, EncoderBundle] = field(default_factory=dict)  # by encoder id
    targets: dict[str, Target] = field(default_factory=dict)
    stored: dict[str, StoredBundle] = field(default_factory=dict)  # by encoder or head id

    @property
    def database(self) -> Database:
        return self.records.database

    @property
    def principal(self) -> Principal:
        return Principal(self.workspace_id, "default", "key", frozenset({"predict"}))

    def object_path(self, digest: str) -> Path:
        return self.folder / "artifacts" / self.workspace_id / "objects" / digest[:2] / digest

    def encoder(self, seed: int) -> tuple[Encoder, EncoderBundle]:
        bundle = make_encoder(self.frame, seed)
        stored = put_bundle(self.store, self.workspace_id, bundle.to_files(), "encoder")
        row = self.records.encoder(self.table, self.snapshot, digest=stored.digest)
        self.bundles[row.id], self.stored[row.id] = bundle, stored
        return row, bundle

    def head(
        self,
        target: str,
        encoder: Encoder,
        task: Task,
        classes: tuple[JsonScalar, ...] | None = None,
        *,
        view: Sequence[str] = EVERY_VIEW,
        seed: int = 0,
        alias: str | None = None,
    ) -> Head:
        if target not in self.targets:
            self.targets[target] = self.records.target(self.table, target, str(task))
        fitted = make_head(self.bundles[encoder.id], task, classes, view, seed)
        stored = put_bundle(self.store, self.workspace_id, fitted.to_files(), "head")
        row = self.records.head(
            self.targets[target], encoder, digest=stored.digest, view=fitted.view, alias=alias
        )
        self.stored[row.id] = stored
        return row

    def service(self, **options: Any) -> PredictionService:
        """A new service, as after a restart; nothing is shared with another one but what is stored."""
        return PredictionService(Catalog(self.database), self.store, **options)

    def body(self, service: PredictionService, table: str = "customers", /, **request: Any) -> bytes:
        return service.predict_json(self.principal, table, PredictRequest.model_validate(request))

    def answer(self, service: PredictionService, table: str = "customers", /, **request: Any) -> Any:
        return orjson.loads(self.body(service, table, **request))


def build_world(folder: Path, database: Database, store: ArtifactStore | None = None) -> World:
    """Targets: `churn` (two versions, champion and challenger on different encoders), `level` (classes are
    integers), `spend` (regression, `balance` forbidden), `active` (from a feature column, so with a view of its
    own), `bare` (no head)."""
    records = Records(database)
    store = store or LocalStoreConfig(root=folder / "artifacts").build()
    workspace_id = records.workspace()
    frame = customers()
    rows_path = folder / "rows.parquet"
    write_rows(frame, rows_path)
    snapshot_bundle = put_bundle(store, workspace_id, {"rows.parquet": rows_path}, "snapshot")
    columns = [column.model_dump(mode="json", exclude={"evidence"}) for column in SCHEMA.columns]
    table, snapshot = records.table(
        workspace_id, digest=snapshot_bundle.digest, columns=columns, num_rows=len(frame)
    )
    world = World(folder, records, store, workspace_id, frame, table, snapshot, snapshot_bundle)
    first, _ = world.encoder(seed=1)
    second, _ = world.encoder(seed=2)
    world.head("churn", first, Task.BINARY, ("No", "Yes"), seed=1, alias="champion")
    world.head("churn", second, Task.BINARY, ("No", "Yes"), seed=2, alias="challenger")
    world.head("level", first, Task.MULTICLASS, (1, 2, 3), seed=3, alias="champion")
    world.head("spend", first, Task.REGRESSION, view=("balance", CHURNED), seed=4, alias="champion")
    world.head(
        "active", first, Task.BINARY, (False, True), view=("active", CHURNED), seed=5, alias="champion"
    )
    world.targets["bare"] = records.target(table, "bare")
    return world
