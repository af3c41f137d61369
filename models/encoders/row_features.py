"""Row features for heads: contextual tokens, CLS and raw features side by side, bitwise independent of company.

`B` rows, `C'` present columns, `D` width, `F` features.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.encoders.base import Encoder
from models.encoders.padded_pass import chunk_rows, encode_padded
from models.encoders.raw_features import FeatureKind, RawFeatures
from models.errors import BundleError
from models.features.codec import Codec, Codes

LAYOUT_VERSION = 2
READABLE_LAYOUTS = (1, 2)

MAX_CACHED_VIEWS = 64

View = tuple[str, ...]
"""Sorted names of absent columns; names the codec does not know (columns of role target) are allowed."""


@dataclass(frozen=True)
class _ViewLayout:
    raw: RawFeatures
    num_context: int
    width: int


class RowFeatures:
    """Features of rows under a view; absent columns are left out as tokens, as attention keys and as raw features.

    Layout: contextual tokens of the present columns, flattened [C'·D] (or the encoder's summary [M·D]) | CLS [D] | raw
    features; these hold numbers as bins alone in version 1, as values too in version 2.

    Shape: codes of B rows -> float32 [B, F(view)].

    Example:
        >>> import polars as pl
        >>> from models.encoders import DEFAULT
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
        >>> codec = Codec.fit(frame, schema)
        >>> encoder = DEFAULT.build(codec, generator=torch.Generator().manual_seed(0)).freeze()
        >>> row_features = RowFeatures(codec, encoder)
        >>> row_features.compute(codec.transform(frame), ()).shape == (3, row_features.width(()))
        True
    """

    def __init__(self, codec: Codec, encoder: Encoder, layout_version: int = LAYOUT_VERSION) -> None:
        """Serve a frozen encoder.

        Raises:
            BundleError: a layout version this program cannot compute.
        """
        if layout_version not in READABLE_LAYOUTS:
            raise BundleError(
                f"Row feature layout {layout_version} is unknown; this program computes {READABLE_LAYOUTS}. "
                "Use a newer program, or pretrain the encoder again.",
                code="unknown_layout",
            )
        self.codec = codec
        self.encoder = encoder
        self.layout_version = layout_version
        self._layouts: OrderedDict[View, _ViewLayout] = OrderedDict()
        self._lock = threading.Lock()

    def width(self, view: Sequence[str]) -> int:
        """F: number of features under the view."""
        return self._layout(tuple(view)).width

    def names(self, view: Sequence[str]) -> tuple[str, ...]:
        """A name per feature, F of them; no cell contents in them."""
        layout = self._layout(tuple(view))
        d_model = self.encoder.d_model
        present = [slots.column for slots in layout.raw.slots]
        tokens = (
            present if layout.num_context == len(present) else [str(i) for i in range(layout.num_context)]
        )
        context = tuple(f"context:{token}:{d}" for token in tokens for d in range(d_model))
        return context + tuple(f"cls:{d}" for d in range(d_model)) + layout.raw.names

    def kinds(self, view: Sequence[str]) -> torch.Tensor:
        """The `FeatureKind` of each feature, int8 [F]."""
        layout = self._layout(tuple(view))
        learned = (FeatureKind.LEARNED,) * (layout.width - layout.raw.width)
        return torch.tensor((*learned, *layout.raw.kinds), dtype=torch.int8)

    def column_of(self, view: Sequence[str]) -> torch.Tensor:
        """The present column that each raw feature is of, counted from 0; -1 of learned ones; int64 [F]."""
        layout = self._layout(tuple(view))
        learned = torch.full((layout.width - layout.raw.width,), -1, dtype=torch.int64)
        return torch.cat([learned, layout.raw.column_of])

    @torch.no_grad()
    def compute(self, codes: Codes, view: Sequence[str]) -> torch.Tensor:
        """Features float32 [B, F] on the CPU; the same bits for a row alone, in any company and at any B."""
        layout = self._layout(tuple(view))
        features = torch.empty(len(codes), layout.width)
        num_learned = layout.width - layout.raw.width
        columns = layout.raw.columns
        chunk = chunk_rows(self.encoder, columns.numel())
        for start in range(0, len(codes), chunk):
            rows = slice(start, min(start + chunk, len(codes)))
            part = codes.select_rows(rows)
            features[rows, :num_learned] = self._learned(part, columns)
            features[rows, num_learned:] = layout.raw.compute(part)
        return features

    def _learned(self, codes: Codes, columns: torch.Tensor) -> torch.Tensor:
        """Contextual tokens and CLS of one chunk, float32 [B, C'·D + D]."""
        index = codes.index.index_select(1, columns)
        fraction = codes.fraction.index_select(1, columns)
        encoded = encode_padded(self.encoder, index, fraction, columns)
        return torch.cat([encoded.context.flatten(1), encoded.cls], dim=1)

    def _layout(self, view: View) -> _ViewLayout:
        """The view's layout, kept for the most recently used views; safe from several threads."""
        with self._lock:
            cached = self._layouts.get(view)
            if cached is not None:
                self._layouts.move_to_end(view)
                return cached
        absent = frozenset(view)
        present = tuple(i for i, source in enumerate(self.codec.source_of) if source not in absent)
        raw = RawFeatures(self.codec, present, has_values=self.layout_version >= 2)
        num_context = self.encoder.num_context_tokens(present)
        layout = _ViewLayout(raw, num_context, (num_context + 1) * self.encoder.d_model + raw.width)
        with self._lock:
            self._layouts[view] = layout
            while len(self._layouts) > MAX_CACHED_VIEWS:
                self._layouts.popitem(last=False)
        return layout
