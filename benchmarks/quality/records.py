"""Results on disk: one file of JSON lines per measure, table, target and system; only ever appended to.

A process that is killed leaves at most one cut line, which is passed over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.quality.specification import Request, TrialSpec

Record = dict[str, Any]

RECORDS = "records"


class Store:
    """The records under a results folder."""

    def __init__(self, out: Path) -> None:
        self._folder = out / RECORDS
        self._known: dict[Path, dict[str, Record]] = {}

    def find(self, request: Request) -> Record | None:
        return self._of(self._path(request.spec)).get(request.key)

    def add(self, request: Request, record: Record) -> None:
        path = self._path(request.spec)
        self._of(path)[request.key] = record
        line = json.dumps(
            {"key": request.key, "spec": request.spec.model_dump(mode="json"), **record}, allow_nan=False
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        # Begins with a line break where a killed process left half a line; one write, so that two sittings may add.
        cut = "\n" if _ends_within_line(path) else ""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"{cut}{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def all(self) -> Iterator[Record]:
        """Every record with its `key` and `spec`, older ones of the same spec first."""
        for path in sorted(self._folder.rglob("*.jsonl")):
            yield from _read(path)

    def _of(self, path: Path) -> dict[str, Record]:
        if path not in self._known:
            self._known[path] = {record["key"]: record for record in _read(path)}
        return self._known[path]

    def _path(self, spec: TrialSpec) -> Path:
        return (
            self._folder / spec.measure / _safe(f"{spec.table}.{spec.target}") / f"{_safe(spec.system)}.jsonl"
        )


def _read(path: Path) -> Iterator[Record]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(record, dict)
            and isinstance(record.get("key"), str)
            and isinstance(record.get("spec"), dict)
        ):
            yield record


def _ends_within_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # missing or empty
        return False


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
