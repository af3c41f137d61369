"""Take rows out of an encoder's reference sample without touching anything that its heads depend on.

Heads fold the statistics of the sample into their weights when they are fitted, and an encoder's fingerprint does not
cover it: what is served stays the same bit for bit. Heads fitted later standardise by the sample as it is then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import polars as pl
import torch
from safetensors.torch import save

from models.bundle import MANIFEST_FILE, REFERENCE_FILE, EncoderBundle
from models.features.codec import Codes

_SAME_FRACTION = 1e-6  # codes computed by another build may differ in the last place


def replace_reference_rows(
    files: Mapping[str, bytes], gone: pl.DataFrame, remaining: pl.DataFrame
) -> tuple[dict[str, bytes], int]:
    """The files of an encoder bundle after the rows of its sample that are among `gone` became others, and how many.

    A row is known by its codes, so of several rows with equal codes one goes for each that is gone. `remaining` [n ≥ 1]
    are training rows to take others from, evenly over the table. The format of the bundle stays what it is.

    Raises: BundleError.
    """
    bundle = EncoderBundle.from_files(files)
    reference = bundle.reference_codes
    places = _places(reference, bundle.codec.transform(_of_codec(bundle, gone)))
    if not places:
        return dict(files), 0
    chosen = np.linspace(0, remaining.height - 1, num=len(places)).astype(np.int64)
    others = bundle.codec.transform(_of_codec(bundle, remaining)[chosen])
    index = reference.index.to(torch.int32).clone()
    fraction = reference.fraction.clone()
    index[places] = others.index.to(torch.int32)
    fraction[places] = others.fraction
    content = save({"index": index.contiguous(), "fraction": fraction.contiguous()})
    manifest = json.loads(files[MANIFEST_FILE])
    manifest["sha256"][REFERENCE_FILE] = hashlib.sha256(content).hexdigest()
    text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return {**files, MANIFEST_FILE: text.encode(), REFERENCE_FILE: content}, len(places)


def _places(reference: Codes, gone: Codes) -> list[int]:
    """Positions in the sample of the rows of `gone`, each at most once."""
    taken: list[int] = []
    for row in range(len(gone)):
        is_same = (reference.index == gone.index[row]).all(dim=1)
        is_same &= ((reference.fraction - gone.fraction[row]).abs() <= _SAME_FRACTION).all(dim=1)
        found = [place for place in is_same.nonzero().flatten().tolist() if place not in taken]
        taken += found[:1]
    return taken


def _of_codec(bundle: EncoderBundle, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select([name for name in dict.fromkeys(bundle.codec.sources) if name in frame.columns])
