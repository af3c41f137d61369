"""Writes the golden encoder bundle of format 2: `python -m tests.models.golden.regenerate_encoder_v2`.

Format 2 has columns derived from dates, text, postal codes and addresses, and the outputs of masked columns. It holds
down what stored encoders mean; only a new format version is a reason to write it anew (into a folder of its own).
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import torch

from models.bundle import EncoderBundle
from models.features.codec import Codec, CodecConfig
from models.layers.column_outputs import ColumnOutputs
from tests.models.kinds_table import KINDS_SCHEMA, kinds_frame
from tests.models.small_tables import TINY

FOLDER = Path(__file__).parent / "encoder_v2"
EXPECTED_FILE = "expected.json"
VIEWS: tuple[tuple[str, ...], ...] = ((), ("note", "seen"), tuple(sorted(KINDS_SCHEMA.names)))
GUESSED = "colour"
DIGITS = 6


def golden_rows() -> pl.DataFrame:
    """Rows with every case: readable, missing, unreadable, never seen."""
    return pl.DataFrame(
        {
            "joined": [dt.date(2021, 5, 4), None, dt.date(1999, 12, 31)],
            "seen": ["04/05/2021 06:07", "2021-05-04", None],
            "stamp": [1_620_108_420, None, -5],
            "note": ["great box 7", None, "Ω never seen"],
            "zip": ["00251", None, "K1A 0B1"],
            "plz": [2503, None, 7],
            "address": ["10.1.2.1", "nowhere", None],
            "colour": ["red", "mauve", None],
            "price": [0.5, None, 1e6],
        }
    )


def main() -> None:
    frame = kinds_frame(60, seed=2)
    # Few categories, so that some values stand in hash buckets.
    codec = Codec.fit(frame, KINDS_SCHEMA, CodecConfig(max_categories=6, max_bins=4, hash_buckets=4))
    generator = torch.Generator().manual_seed(2)
    encoder = TINY.build(codec, generator=generator)
    bundle = EncoderBundle(
        codec=codec,
        config=TINY,
        encoder=encoder,
        schema=KINDS_SCHEMA,
        report={"note": "untrained"},
        reference_codes=codec.transform(frame.head(5)),
        column_outputs=ColumnOutputs(codec, TINY.d_model, generator=generator),
    )
    FOLDER.mkdir(exist_ok=True)
    for name, content in bundle.to_files().items():
        (FOLDER / name).write_bytes(content)
    codes = codec.transform(golden_rows())
    assert bundle.column_guesses is not None
    expected = {"/".join(view): rounded(bundle.row_features.compute(codes, view)) for view in VIEWS}
    expected["guess"] = rounded(bundle.column_guesses.compute(codes, (), (GUESSED,))[0])
    expected["codes"] = codes.local().tolist()
    (FOLDER / EXPECTED_FILE).write_text(json.dumps(expected) + "\n")


def rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, DIGITS) for value in row] for row in values.tolist()]


if __name__ == "__main__":
    main()
