"""A stored random forest, and the mean answer of its trees to rows of numbers.

Two libraries answer with the same trees and the same sums, bit for bit. treelite goes through all trees a row at a time:
the faster one for a few rows, and what is read from a file. scikit-learn goes through all rows a tree at a time, whose
nodes then stay in the processor's cache: with 200 trees of 500 labels 12 µs a row instead of 105, after 3 ms a call.

Shape letters: `B` rows, `C` columns, `A` answers (1 of numbers, one per class the forest tells apart).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import BundleError
from models.heads.prediction import FloatArray

MIN_MANY_ROWS = 32  # from here on a tree at a time is faster


class RandomForest:
    """Fitted trees; `content` is treelite's own format, which keeps every threshold and leaf exactly."""

    def __init__(self, content: bytes, by_row: Any) -> None:
        self.content = content
        self._by_row = by_row

    @classmethod
    def of(cls, fitted: Any) -> RandomForest:
        """From scikit-learn's `RandomForestClassifier` or `RandomForestRegressor`."""
        import treelite

        by_row = treelite.sklearn.import_model(fitted)
        return cls(by_row.serialize_bytes(), by_row)

    @classmethod
    def from_bytes(cls, content: bytes) -> RandomForest:
        """Raises: BundleError when the content is no forest."""
        import treelite

        try:
            return cls(content, treelite.Model.deserialize_bytes(content))
        except treelite.TreeliteError as error:
            raise BundleError("the head's forest cannot be read; fit it again") from error

    @property
    def num_columns(self) -> int:
        return int(self._by_row.num_feature)

    @property
    def num_bytes(self) -> int:
        return 3 * len(self.content)  # as bytes, and as read by either library

    def answers(self, values: npt.NDArray[np.float32]) -> FloatArray:
        """Mean answers float64 [B, A] to rows [B, C] without NaN, each row by itself."""
        if len(values) < MIN_MANY_ROWS:
            return self._answers_by_row(values)
        return self._answers_by_tree(values)

    def _answers_by_row(self, values: npt.NDArray[np.float32]) -> FloatArray:
        from treelite import gtil

        found = np.asarray(gtil.predict(self._by_row, values, nthread=1), dtype=np.float64)
        return found.reshape(len(values), -1)

    def _answers_by_tree(self, values: npt.NDArray[np.float32]) -> FloatArray:
        first, *others = self._by_tree
        total = np.array(first.predict(values), dtype=np.float64)
        for tree in others:
            total += tree.predict(values)
        total /= 1 + len(others)
        return total.reshape(len(values), -1)

    @cached_property
    def _by_tree(self) -> list[Any]:
        """scikit-learn's trees; made when first wanted, which takes a millisecond a tree."""
        import treelite

        return [member.tree_ for member in treelite.sklearn.export_model(self._by_row).estimators_]
