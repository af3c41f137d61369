"""Codes: rows of a table as positions in the encoder's packed embedding table.

Every column owns a contiguous segment of the packed table: four special rows, then one row per category or knot.
`B` rows, `C` columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch


class SpecialCode(IntEnum):
    """Rows at the start of each column's segment; order matters: what can be observed comes last."""

    MASKED = 0  # hidden by an objective: "guess this"
    ABSENT = 1  # for architectures of fixed width, which cannot remove a column's token
    MISSING = 2  # null or omitted: an observation like any other, not the same as absent
    UNKNOWN = 3  # a category outside the vocabulary, or text where a number belongs


NUM_SPECIAL_CODES = len(SpecialCode)


@dataclass(frozen=True, eq=False)
class Codes:
    """Encoded rows.

    Shape: `index` int32 [B, C], rows of the packed table; `fraction` float32 [B, C] in [0, 1), how far a number is
    on its way from knot `index` to knot `index + 1` (0 for categories and special codes); `offsets` int64 [C]; `sources`
    [C], the table's column each one stands for.

    Example:
        >>> index, offsets = torch.tensor([[2, 9]], dtype=torch.int32), torch.tensor([0, 5])
        >>> codes = Codes(index, torch.zeros(1, 2), ("a", "b"), offsets, ("a", "b"))
        >>> len(codes), codes.missing_counts()
        (1, {'a': 1, 'b': 0})
    """

    index: torch.Tensor
    fraction: torch.Tensor
    names: tuple[str, ...]
    offsets: torch.Tensor
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return self.index.shape[0]

    @classmethod
    def concatenated(cls, parts: Sequence[Codes]) -> Codes:
        """The rows of at least one part, of the same columns, one after the other."""
        first = parts[0]
        if len(parts) == 1:
            return first
        return cls(
            torch.cat([part.index for part in parts]),
            torch.cat([part.fraction for part in parts]),
            first.names,
            first.offsets,
            first.sources,
        )

    def select_rows(self, rows: torch.Tensor | Sequence[int] | slice) -> Codes:
        """The rows at `rows` (int64 [n], or a slice), in that order."""
        if isinstance(rows, slice):
            return Codes(self.index[rows], self.fraction[rows], self.names, self.offsets, self.sources)
        positions = torch.as_tensor(rows, dtype=torch.int64)
        return Codes(
            self.index.index_select(0, positions),
            self.fraction.index_select(0, positions),
            self.names,
            self.offsets,
            self.sources,
        )

    def to(self, device: torch.device) -> Codes:
        """The same on a device; itself where it is there already."""
        if self.index.device == device:
            return self
        return Codes(
            self.index.to(device), self.fraction.to(device), self.names, self.offsets.to(device), self.sources
        )

    def local(self) -> torch.Tensor:
        """Codes counted from the start of each column's segment, int64 [B, C]."""
        return self.index.to(torch.int64) - self.offsets

    def missing_counts(self) -> dict[str, int]:
        """Per column of the table, the rows where it was null or omitted."""
        return self._counts(SpecialCode.MISSING)

    def unseen_counts(self) -> dict[str, int]:
        """Per column of the table, the rows whose value the codec never saw in some part (or could not read)."""
        return self._counts(SpecialCode.UNKNOWN)

    def _counts(self, code: SpecialCode) -> dict[str, int]:
        found = self.index == (self.offsets + code).to(self.index.dtype)
        if self.sources == self.names:
            return dict(zip(self.names, found.sum(dim=0).tolist(), strict=True))
        columns: dict[str, list[int]] = {}
        for position, source in enumerate(self.sources):
            columns.setdefault(source, []).append(position)
        return {source: int(found[:, positions].any(dim=1).sum()) for source, positions in columns.items()}
