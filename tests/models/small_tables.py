"""Tiny tables with structure, for encoder tests: `colour` decides `warmth` and most of `price`; `noise` is alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from models.encoders import ColumnTransformerConfig, Encoder, EncoderConfig
from models.encoders.row_features import RowFeatures
from models.features.codec import Codec, Codes
from models.features.schema import ColumnKind, ColumnSchema, StorageType, TableSchema

TINY = ColumnTransformerConfig(d_model=8, num_layers=1, num_heads=2, num_latents=4, max_full_columns=16)

COLOURS = ("red", "orange", "blue", "green")


def column(name: str, kind: ColumnKind, storage_type: StorageType) -> ColumnSchema:
    return ColumnSchema(name=name, kind=kind, storage_type=storage_type)


MIXED_SCHEMA = TableSchema(
    columns=(
        column("colour", ColumnKind.CATEGORICAL, "string"),
        column("price", ColumnKind.CONTINUOUS, "float"),
        column("warmth", ColumnKind.BOOLEAN, "boolean"),
        column("noise", ColumnKind.CONTINUOUS, "integer"),
    )
)


def mixed_frame(num_rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of `MIXED_SCHEMA`; a tenth of the prices is missing."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, len(COLOURS), num_rows)
    prices = colours * 10.0 + rng.normal(size=num_rows)
    return pl.DataFrame(
        {
            "colour": [COLOURS[i] for i in colours],
            "price": [
                None if missing else price
                for price, missing in zip(prices, rng.random(num_rows) < 0.1, strict=True)
            ],
            "warmth": [bool(i < 2) for i in colours],
            "noise": rng.integers(0, 1000, num_rows),
        },
        schema={"colour": pl.String, "price": pl.Float64, "warmth": pl.Boolean, "noise": pl.Int64},
    )


def plain_table(num_categorical: int, num_continuous: int, num_rows: int) -> tuple[pl.DataFrame, TableSchema]:
    """A table of unrelated columns `c0 …` and `x0 …`."""
    rng = np.random.default_rng(1)
    data: dict[str, object] = {
        f"c{i}": rng.integers(0, 3, num_rows).astype(str).tolist() for i in range(num_categorical)
    }
    data |= {f"x{i}": rng.normal(size=num_rows) for i in range(num_continuous)}
    schema = TableSchema(
        columns=tuple(
            column(name, ColumnKind.CATEGORICAL, "string")
            if name.startswith("c")
            else column(name, ColumnKind.CONTINUOUS, "float")
            for name in data
        )
    )
    return pl.DataFrame(data), schema


@dataclass(frozen=True)
class Untrained:
    """A frozen, untrained encoder over a table: enough for every property that does not need good weights."""

    frame: pl.DataFrame
    codec: Codec
    codes: Codes
    encoder: Encoder
    row_features: RowFeatures


def untrained(
    frame: pl.DataFrame, schema: TableSchema, config: EncoderConfig = TINY, seed: int = 0
) -> Untrained:
    codec = Codec.fit(frame, schema)
    encoder = config.build(codec, generator=torch.Generator().manual_seed(seed)).freeze()
    return Untrained(frame, codec, codec.transform(frame), encoder, RowFeatures(codec, encoder))
