"""Writes what the golden encoder of format 2 says in row feature layout 2: `python -m tests.models.golden.regenerate_row_features_v2`.

The encoder itself was stored with layout 1. Only a new layout version is a reason to write this anew (into a folder of
its own).
"""

from __future__ import annotations

import json
from pathlib import Path

from models.bundle import MANIFEST_FILE, EncoderBundle
from tests.models.golden import regenerate_encoder_v2 as stored

EXPECTED = Path(__file__).parent / "row_features_v2" / "expected.json"
LAYOUT = 2


def in_layout_2(files: dict[str, bytes]) -> EncoderBundle:
    """The stored bundle, as if it had been written with layout 2."""
    manifest = json.loads(files[MANIFEST_FILE]) | {"layout": LAYOUT}
    return EncoderBundle.from_files(files | {MANIFEST_FILE: json.dumps(manifest).encode()})


def main() -> None:
    files = {
        path.name: path.read_bytes() for path in stored.FOLDER.iterdir() if path.name != stored.EXPECTED_FILE
    }
    bundle = in_layout_2(files)
    codes = bundle.codec.transform(stored.golden_rows())
    EXPECTED.parent.mkdir(exist_ok=True)
    expected = {
        "/".join(view): stored.rounded(bundle.row_features.compute(codes, view)) for view in stored.VIEWS
    }
    EXPECTED.write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
