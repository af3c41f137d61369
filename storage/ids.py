"""Opaque, prefixed, sortable identifiers: `tbl_01M7Y0G54XF2217GKXXKN1JCW8`.

The part after the prefix is a ULID, so ids of one kind sort by creation time (to the millisecond, strictly
within one process). They name rows; nothing is ever decided by the time inside them.
"""

from __future__ import annotations

import re
from typing import Literal

from ulid import ULID

IdPrefix = Literal[
    "ws", "key", "tbl", "col", "snp", "enc", "tgt", "lbl", "head", "als", "job", "art", "aud", "evt"
]

_ID = re.compile(r"([a-z]{2,4})_([0-7][0-9A-HJKMNP-TV-Z]{25})")


def new_id(prefix: IdPrefix) -> str:
    """A fresh id such as `job_<ULID>`; at most 31 characters."""
    return f"{prefix}_{ULID()}"


def is_id(text: str, prefix: IdPrefix) -> bool:
    """Whether `text` has exactly the form that `new_id(prefix)` makes."""
    match = _ID.fullmatch(text)
    return match is not None and match.group(1) == prefix
