"""An opened database, for all tests of this folder."""

from __future__ import annotations

from tests.storage.databases import database

__all__ = ["database"]
