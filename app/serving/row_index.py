"""From keys to row positions without a Python dictionary of a million texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

_CHUNK = 100_000  # texts that are Python objects at one time while an index is built
_FEW = 64  # up to here one text at a time is faster than a polars call (1 against 100 microseconds)


class KeyIndex:
    """Sorted 64-bit hashes of a snapshot's keys, each with the row it stands for; texts stay in Arrow memory.

    12 bytes per row beside the keys themselves. A look-up is a binary search of the hashes, then an exact
    comparison of the texts, so equal hashes of different keys cost a step and never a wrong row. The hash is
    Python's own for texts (salted per process, which is as long as an index lives): 50 ns each, where a call of
    polars' hash costs 100 microseconds before the first key. Measured on one million keys, one core: built in
    0.7 s, one key found in 20 microseconds, 1,000 in 1.5 ms (a polars join: 50 ms for either).
    """

    def __init__(self, keys: pl.Series) -> None:
        hashes = np.empty(len(keys), dtype=np.int64)
        for start in range(0, len(keys), _CHUNK):
            texts = keys.slice(start, _CHUNK).to_list()
            hashes[start : start + len(texts)] = np.fromiter(map(hash, texts), np.int64, len(texts))
        order = np.argsort(hashes, kind="stable")
        self._keys = keys.rechunk()
        self._hashes = hashes[order]
        self._rows = order.astype(np.uint32 if len(keys) < 2**32 else np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def num_bytes(self) -> int:
        return int(self._hashes.nbytes + self._rows.nbytes + self._keys.estimated_size())

    def find(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """Row positions [len(keys)]; -1 where the snapshot has no such key."""
        found = np.full(len(keys), -1, dtype=np.int64)
        if not len(self) or not keys:
            return found
        hashes = np.fromiter(map(hash, keys), np.int64, len(keys))
        slots = np.searchsorted(self._hashes, hashes)
        if len(keys) <= _FEW:
            for position, (key, slot) in enumerate(zip(keys, slots.tolist(), strict=True)):
                found[position] = self._find_from(key, int(hashes[position]), slot)
        else:
            self._find_many(keys, hashes, slots, found)
        return found

    def _find_from(self, key: str, hash_: int, slot: int) -> int:
        while slot < len(self) and self._hashes[slot] == hash_:
            row = int(self._rows[slot])
            if self._keys[row] == key:
                return row
            slot += 1  # a collision: the next slot may hold the same hash
        return -1

    def _find_many(
        self,
        keys: Sequence[str],
        hashes: npt.NDArray[np.int64],
        slots: npt.NDArray[np.int64],
        found: npt.NDArray[np.int64],
    ) -> None:
        open_ = np.flatnonzero(slots < len(self))
        open_ = open_[self._hashes[slots[open_]] == hashes[open_]]
        rows = self._rows[slots[open_]].astype(np.int64)
        wanted = pl.Series(keys, dtype=pl.String)
        equal = (self._keys.gather(rows) == wanted.gather(open_)).to_numpy()
        found[open_[equal]] = rows[equal]
        for position in open_[~equal].tolist():  # collisions: about never
            found[position] = self._find_from(keys[position], int(hashes[position]), int(slots[position]))
