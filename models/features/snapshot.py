"""An immutable version of a table's rows on disk, and the way from keys to rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from models.errors import BundleError
from models.features.schema import KEY_COLUMN, RESERVED_COLUMNS, ROW_COLUMN, SPLIT_COLUMN

ROWS_FILE, SCHEMA_FILE, PROFILE_FILE = "rows.parquet", "schema.json", "profile.json"
_ROW_GROUP_ROWS = 131_072
_HASH_ROWS = 100_000
_FEW_KEYS = 256


class KeyIndex:
    """Where the row of a key is, among N keys: an array sorted by 64-bit hash, 16 bytes per row.

    Example:
        >>> index = KeyIndex(pl.Series(["a", "b"]))
        >>> index.rows_of(["b", "x"]).tolist()
        [1, -1]
    """

    def __init__(self, keys: pl.Series) -> None:
        """`keys` String [N], all different."""
        self._keys = keys.rechunk()
        hashes = np.concatenate(
            [_hashes(keys.slice(start, _HASH_ROWS)) for start in range(0, max(1, len(keys)), _HASH_ROWS)]
        )
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def num_bytes(self) -> int:
        """Memory of hashes, order and key texts, for cache budgets."""
        return int(self._hashes.nbytes + self._order.nbytes + self._keys.estimated_size())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and int(self.rows_of([key])[0]) >= 0

    def rows_of(self, keys: Sequence[str]) -> np.ndarray:
        """int64 [len(keys)]: row of each key, -1 where the table has none."""
        rows = np.full(len(keys), -1, dtype=np.int64)
        hashes = _hashes(keys)
        first = np.searchsorted(self._hashes, hashes, side="left")
        last = np.searchsorted(self._hashes, hashes, side="right")
        found = np.flatnonzero(first < last)
        if not len(found):
            return rows
        candidates = self._order[first[found]]
        if len(found) <= _FEW_KEYS:  # a call of polars costs as much as hundreds of look-ups
            stored = [self._keys[int(row)] for row in candidates]
        else:
            stored = self._keys.gather(candidates).to_list()
        for position, text in zip(found.tolist(), stored, strict=True):
            if text == keys[position]:
                rows[position] = self._order[first[position]]
            else:  # another key of the same hash
                rows[position] = self._among(
                    keys[position], self._order[first[position] + 1 : last[position]]
                )
        return rows

    def _among(self, key: str, candidates: np.ndarray) -> int:
        return next((int(row) for row in candidates if self._keys[int(row)] == key), -1)


def _hashes(keys: Sequence[str] | pl.Series) -> np.ndarray:
    """int64 [len(keys)]: Python's hash of text, which is stable within this process, all that an index in memory
    needs."""
    return np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))


class Snapshot:
    """The `rows.parquet` that `ingestion.ingest` wrote: stored columns and `_row`, `_key`, `_split`.

    Raises: BundleError where the file is missing, damaged or not a snapshot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._names = tuple(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
            raise BundleError("A snapshot's rows cannot be read: the file is missing or damaged.") from error
        if not set(RESERVED_COLUMNS) <= set(self._names):
            raise BundleError("A snapshot's rows lack _row, _key or _split.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The stored columns, without `_row`, `_key`, `_split`."""
        return tuple(name for name in self._names if name not in RESERVED_COLUMNS)

    @cached_property
    def num_rows(self) -> int:
        return int(pl.scan_parquet(self.path, glob=False).select(pl.len()).collect().item())

    def read(self, columns: Sequence[str] | None = None, *, with_row_ids: bool = True) -> pl.DataFrame:
        """All rows in order; all stored columns or the named ones; with `_row`, `_key`, `_split` in front.

        Raises: KeyError for a column the snapshot does not have.
        """
        names = self.columns if columns is None else tuple(columns)
        for name in names:
            if name not in self._names:
                raise KeyError(name)
        row_ids = [name for name in RESERVED_COLUMNS if with_row_ids and name not in names]
        return pl.read_parquet(self.path, columns=[*row_ids, *names], glob=False).select(*row_ids, *names)

    @cached_property
    def key_index(self) -> KeyIndex:
        return KeyIndex(self.read([KEY_COLUMN], with_row_ids=False)[KEY_COLUMN])

    @cached_property
    def is_evaluation(self) -> np.ndarray:
        """bool [N]."""
        return (self.read([SPLIT_COLUMN], with_row_ids=False)[SPLIT_COLUMN] == "evaluation").to_numpy()


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """`frame`: `_row`, `_key`, `_split` and the stored columns."""
    assert frame.columns[0] == ROW_COLUMN
    frame.write_parquet(path, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
