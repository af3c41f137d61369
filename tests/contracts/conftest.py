"""The databases and the S3 server, for all tests of this folder."""

from __future__ import annotations

from tests.storage.buckets import s3, s3_process_server
from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres,
    sqlite_template,
)

__all__ = ["database", "database_url", "empty_url", "postgres", "s3", "s3_process_server", "sqlite_template"]
