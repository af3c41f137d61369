"""Writes the golden encoder bundle of format 1: `python -m tests.models.golden.regenerate_encoder_v1`.

It holds down what stored encoders mean: file names, JSON fields, order of weights and layout of row features. Only a
new format version is a reason to write it anew (into a folder of its own); a failing test is not.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from models.bundle import EncoderBundle
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame, untrained

FOLDER = Path(__file__).parent / "encoder_v1"
EXPECTED_FILE = "expected.json"
VIEWS: tuple[tuple[str, ...], ...] = ((), ("noise",), ("colour", "noise", "price", "warmth"))
DIGITS = 6


def golden_rows() -> pl.DataFrame:
    """Rows with every case: known, missing, unknown, inside, beside and beyond the knots."""
    return pl.DataFrame(
        {
            "colour": ["red", None, "mauve"],
            "price": [12.5, None, 1e6],
            "warmth": [True, False, None],
            "noise": [500, -7, None],
        }
    )


def main() -> None:
    table = untrained(mixed_frame(40), MIXED_SCHEMA, seed=2)
    bundle = EncoderBundle(
        codec=table.codec,
        config=TINY,
        encoder=table.encoder,
        schema=MIXED_SCHEMA,
        report={"note": "untrained"},
        reference_codes=table.codes.select_rows(slice(0, 5)),
    )
    FOLDER.mkdir(exist_ok=True)
    for name, content in bundle.to_files().items():
        (FOLDER / name).write_bytes(content)
    codes = bundle.codec.transform(golden_rows())
    expected = {
        "/".join(view): [
            [round(value, DIGITS) for value in row]
            for row in bundle.row_features.compute(codes, view).tolist()
        ]
        for view in VIEWS
    }
    (FOLDER / EXPECTED_FILE).write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
