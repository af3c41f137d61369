"""Which row a row is, in whatever snapshot it stands: a 64-bit hash of its key."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

VERSION_TAG = b"rootstock-row-1"
"""Part of every hash, at most 16 bytes; another way to identify rows takes another tag, so that the two never match."""


def row_identities(keys: pl.Series, key_space: str = "") -> npt.NDArray[np.uint64]:
    """uint64 [N]: equal for equal keys of one `key_space`, else different but for one pair in 2^64.

    Keys of a table name its rows for ever, so its key space is empty. The ordinals that stand for keys in a table
    without any mean the same row only among snapshots that rows were appended to: there it names the first of them.

    Example:
        >>> first, again, other = row_identities(pl.Series(["a", "a", "b"]))
        >>> bool(first == again), bool(first == other)
        (True, False)
    """
    prefix = f"{key_space}\0".encode()

    def digest(key: str) -> int:
        found = hashlib.blake2b(prefix + key.encode(), digest_size=8, person=VERSION_TAG).digest()
        return int.from_bytes(found, "little")

    return np.fromiter(map(digest, keys.to_list()), dtype=np.uint64, count=len(keys))
