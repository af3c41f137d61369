"""Runs the trials that no results are there for yet, with a bar that shows how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.machine import machine
from benchmarks.quality.manifest import ManifestTable
from benchmarks.quality.pool import run_all
from benchmarks.quality.records import Store
from benchmarks.quality.specification import Request, Setting, TrialSpec, key_of, make_system, system_facts
from benchmarks.quality.tables import file_digest
from benchmarks.quality.trial import System
from models.features.schema import Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went: trials found on disk, run now, failed now, and systems left out with the reason."""

    found: int = 0
    done: int = 0
    failed: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)


class Systems:
    """Facts of each system, asked for once; those whose packages are missing are left out with a line."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._facts: dict[str, tuple[System, dict[str, Any]] | None] = {}
        self.left_out: dict[str, str] = {}

    def facts(self, name: str) -> tuple[System, dict[str, Any]] | None:
        """Raises: UnknownSystem."""
        if name not in self._facts:
            try:
                system = make_system(name, self._setting)
                self._facts[name] = system, system_facts(system, self._setting)
            except ImportError as error:
                self._facts[name] = None
                self.leave_out(name, error.name or str(error))
        return self._facts[name]

    def leave_out(self, name: str, package: str) -> None:
        if name not in self.left_out:
            self.left_out[name] = package
            sys.stderr.write(
                f"{name} is left out: package {package!r} is not installed. `make bench-quality` installs the compared "
                "systems into .venv-bench from constraints-bench.txt.\n"
            )


def requests_of(
    specs: Iterable[TrialSpec], setting: Setting, manifest: Mapping[str, ManifestTable], systems: Systems
) -> list[Request]:
    """Trials with what their figures are known by; without those that a system is not for.

    Raises:
        DataError: a table's file cannot be read.
        UnknownSystem: no such system.
    """
    digests: dict[str, str] = {}
    found = []
    for spec in specs:
        made = systems.facts(spec.system)
        entry = manifest[spec.table]
        if made is None or not _tasks(spec, entry) <= made[0].tasks:
            continue
        if spec.table not in digests:
            digests[spec.table] = file_digest(setting.data / entry.file)
        key = key_of(spec, setting, made[1], digests[spec.table])
        found.append(Request(spec=spec, setting=setting, key=key))
    return found


def run_missing(
    requests: Iterable[Request],
    store: Store,
    systems: Systems,
    *,
    jobs: int,
    limit_s: float,
    logs: Path,
    retry_failed: bool,
) -> Outcome:
    """Raises: RuntimeError where no process could be started."""
    every = {request.key: request for request in requests}
    missing = []
    for request in every.values():
        record = store.find(request)
        if record is None or (retry_failed and "error" in record):
            missing.append(request)
    facts = machine()
    done = failed = 0
    with _bar() as bar:
        task = bar.add_task("trials", total=len(missing), visible=bool(missing))
        for request, record in run_all(_splits_first(missing), jobs=jobs, limit_s=limit_s, logs=logs):
            error = record.get("error")
            if error is not None and "package" in error:
                systems.leave_out(request.spec.system, error["package"])
            else:
                made = systems.facts(request.spec.system)
                store.add(request, {**record, "system": {} if made is None else made[1], "machine": facts})
                done, failed = done + 1, failed + (error is not None)
            if error is not None and "package" not in error:
                bar.console.print(
                    f"{request.spec.words}: {error['type']} {error['at']}", highlight=False, soft_wrap=True
                )
            bar.update(task, advance=1, description=request.spec.words)
    return Outcome(len(every) - len(missing), done, failed, systems.left_out)


def _splits_first(requests: list[Request]) -> list[Request]:
    """Of each table, one trial of every split and preparing system first, so that none waits for another's encoder."""
    seen: set[tuple[object, ...]] = set()
    order: dict[str, int] = {}
    ranked = []
    for position, request in enumerate(requests):
        spec = request.spec
        table = order.setdefault(f"{spec.table}.{spec.measure}", len(order))
        place = (spec.table, spec.target, spec.together, spec.split, spec.system.startswith("rootstock-"))
        ranked.append(((table, place in seen, position), request))
        seen.add(place)
    return [request for _, request in sorted(ranked, key=lambda pair: pair[0])]


def _tasks(spec: TrialSpec, entry: ManifestTable) -> frozenset[Task]:
    return frozenset(entry.target(name).task for name in (spec.target, *spec.together))


def _bar() -> Progress:
    return Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )
