"""Files that are on the server already."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerFiles:
    """Files in a folder of the server that its operator named; all whose names match, in the order of their names.

    Example:
        >>> ServerFiles("exports", "2024-*.parquet")
        ServerFiles(folder='exports', pattern='2024-*.parquet')
    """

    folder: str
    pattern: str = "*"
