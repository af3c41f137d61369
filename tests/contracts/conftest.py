"""The databases, for all tests of this folder."""

from __future__ import annotations

from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres,
    sqlite_template,
)

__all__ = ["database", "database_url", "empty_url", "postgres", "sqlite_template"]
