"""The folder of real tables: its manifest, checked, and which columns a target must not see.

The manifest says in words why a column is to beware of. Those words are read by the rules of `absent_columns`, which the
tests hold against every entry of the manifest of `shared/data`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.features.schema import Task

MANIFEST_FILE = "manifest.json"

_NEVER_A_FEATURE = re.compile(r"\b(id|ids|identifier|row number|weight|all null)\b")
_GROUPS = re.compile(r"\bgroup by it\b")
_SAME_AS_ABOVE = re.compile(r"same\W*")
_KEPT_BY_THE_PAPER = re.compile(r"\bpaper keeps it\b")


class DataError(Exception):
    """The folder, or what was asked of it, is not as it has to be; the message says what to do."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ManifestTarget(_Entry):
    column: str
    task: Task


class Beware(_Entry):
    column: str
    why: str


class ManifestTable(_Entry):
    name: str
    file: str
    key: str | None = None
    targets: tuple[ManifestTarget, ...]
    beware: tuple[Beware, ...] = ()

    def target(self, column: str) -> ManifestTarget:
        """Raises: DataError."""
        for target in self.targets:
            if target.column == column:
                return target
        raise DataError(f"table {self.name} has no target {column!r} in its manifest")


class _Manifest(_Entry):
    tables: tuple[ManifestTable, ...]


def read_manifest(data: Path) -> dict[str, ManifestTable]:
    """Tables by name, in the order of the file.

    Raises:
        DataError: no manifest there, or not of the form of `shared/data/manifest.json`.
    """
    path = data / MANIFEST_FILE
    if not path.is_file():
        raise DataError("no folder of real tables: set DATA=dir (or --data dir) to one with a manifest.json")
    try:
        manifest = _Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        places = [".".join(map(str, item["loc"])) for item in _faults(error)][:3]
        raise DataError(
            f"{path} is no manifest of tables{': look at ' + ', '.join(places) if places else ''}; its form is that of "
            "the one described in docs/benchmarks.md"
        ) from error
    return {table.name: table for table in manifest.tables}


def _faults(error: Exception) -> Sequence[dict[str, tuple[str | int, ...]]]:
    return [{"loc": item["loc"]} for item in error.errors()] if isinstance(error, ValidationError) else []


def group_columns(entry: ManifestTable) -> tuple[str, ...]:
    """Columns whose equal values keep rows on one side of a split."""
    return tuple(item.column for item in entry.beware if _GROUPS.search(item.why))


def absent_columns(
    entry: ManifestTable, target: str, names: Sequence[str], *, keep_traps: bool
) -> tuple[str, ...]:
    """Columns that no system sees when it learns `target`, in the order of `names`, without the target itself.

    Keys, identifiers, weights and groups never are features. A column that is told together with other columns (`~
    tenure * MonthlyCharges`) is absent for those targets alone, and they are for it. One that is told with no column of
    the table is absent always. What "the paper keeps" stays as long as `keep_traps`.
    """
    absent = {entry.key} if entry.key is not None else set()
    about: tuple[str, ...] = ()
    for item in entry.beware:
        if not _SAME_AS_ABOVE.fullmatch(item.why):
            about = _named(item.why, [name for name in names if name != item.column])
        if _NEVER_A_FEATURE.search(item.why):
            absent.add(item.column)
        elif target == item.column:
            absent.update(about)
        elif (not about or target in about) and not (keep_traps and _KEPT_BY_THE_PAPER.search(item.why)):
            absent.add(item.column)
    return tuple(name for name in names if name in absent and name != target)


def _named(why: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", why))
