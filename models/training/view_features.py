"""Row features of all labelled rows of a view, from one encoder pass shared by all targets of that view.

Shape letters: `u` rows of the union, `F` row features of the view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from models.bundle import EncoderBundle
from models.encoders.raw_features import FeatureKind
from models.features.codec import Codes
from models.heads.prediction import IndexArray
from models.heads.scaling import FeatureScaling

MAX_FEATURE_BYTES = 2 << 30
CHUNK_ROWS = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class ViewSample:
    """What is known of a view before any label: the scaling of its features, and what a row costs.

    Shape: `is_raw` bool [F], true for features that do not come from the encoder.
    """

    view: tuple[str, ...]
    width: int
    scaling: FeatureScaling
    is_raw: npt.NDArray[np.bool_]
    seconds_per_row: float

    @classmethod
    def of(cls, bundle: EncoderBundle, view: tuple[str, ...]) -> ViewSample:
        """From the bundle's fixed unlabelled rows."""
        started = time.monotonic()
        reference = bundle.row_features.compute(bundle.reference_codes, view)
        seconds = (time.monotonic() - started) / max(len(reference), 1)
        kinds = bundle.row_features.kinds(view)
        scaling = FeatureScaling.fit(reference, kinds)
        is_raw = (kinds != FeatureKind.LEARNED).numpy()
        return cls(view, bundle.row_features.width(view), scaling, is_raw, seconds)

    @property
    def max_rows(self) -> int:
        """Rows whose features fit into memory."""
        return max(1, MAX_FEATURE_BYTES // (4 * max(self.width, 1)))


@dataclass(frozen=True, slots=True, eq=False)
class ViewFeatures:
    """Shape: `rows` [u], sorted positions in the snapshot; `features` [u, F]; `codes` of the same rows."""

    rows: IndexArray
    features: torch.Tensor
    codes: Codes

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, rows: IndexArray) -> ViewFeatures:
        """Those of `rows` [n], all of them in the union; without a copy where they are all of it."""
        index = np.searchsorted(self.rows, rows)
        if len(rows) == len(self.rows) and np.array_equal(index, np.arange(len(rows))):
            return self
        positions = torch.from_numpy(index)
        return ViewFeatures(rows, self.features.index_select(0, positions), self.codes.select_rows(positions))


def compute_features(
    bundle: EncoderBundle,
    frame: pl.DataFrame,
    sample: ViewSample,
    rows: IndexArray,
    advance: Callable[[int], None],
) -> ViewFeatures:
    """Features of `rows` [u] (sorted, distinct), chunk by chunk; `advance` hears how many rows are done.

    Raises:
        Interrupted: whatever `advance` raises.
    """
    names = [name for name in bundle.codec.sources if name in frame.columns]
    features = torch.empty(len(rows), sample.width)
    parts: list[Codes] = []
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS]
        advance(start)
        codes = bundle.codec.transform(frame.select(names)[part])
        features[start : start + len(part)] = bundle.row_features.compute(codes, sample.view)
        parts.append(codes)
    return ViewFeatures(
        rows, features, Codes.concatenated(parts or [bundle.reference_codes.select_rows(slice(0, 0))])
    )
