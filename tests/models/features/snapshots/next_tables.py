"""A small table as a first snapshot, and the next ones made from it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from models.features.ingestion import IngestReport, IngestSpec, ingest
from models.features.next_ingestion import NextReport, NextSpec, Parent, ingest_next
from models.features.reading import SourceFile
from models.features.snapshot import Snapshot

_numbers = itertools.count()
COLUMNS = {"id": {"role": "key"}}


def csv_of(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


class Line:
    """The snapshots of one table, each in a folder of its own."""

    def __init__(self, folder: Path, content: bytes | pl.DataFrame, **said: Any) -> None:
        self._folder = folder / f"line-{next(_numbers)}"
        self.report: IngestReport
        path = self._file(content)
        out = self._folder / "first"
        spec = IngestSpec.model_validate({"columns": COLUMNS, **said})
        self.report = ingest([SourceFile(path, "t.csv")], spec, out)
        self.snapshot = Snapshot(out / "rows.parquet")
        self._dropped: tuple[str, ...] = tuple(
            name for name, column in spec.columns.items() if column.role == "drop"
        )

    @property
    def frame(self) -> pl.DataFrame:
        return self.snapshot.read()

    @property
    def sides(self) -> Mapping[str, str]:
        return dict(self.frame.select("_key", "_split").iter_rows())

    def next(self, content: bytes | pl.DataFrame, mode: str, **said: Any) -> NextReport:
        """The next snapshot, which becomes the parent of the one after it."""
        out = self._folder / f"next-{next(_numbers)}"
        parent = Parent(self.snapshot, self.report.table_schema, self.report.rule)
        spec = NextSpec.model_validate({"mode": mode, "accept_drift": True, "dropped": self._dropped, **said})
        report = ingest_next([SourceFile(self._file(content), "t.csv")], parent, spec, out)
        self.report, self.snapshot, self._dropped = report, Snapshot(out / "rows.parquet"), report.dropped
        return report

    def _file(self, content: bytes | pl.DataFrame) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"upload-{next(_numbers)}"
        path.write_bytes(csv_of(content) if isinstance(content, pl.DataFrame) else content)
        return path
