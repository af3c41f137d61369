"""The figures a report is made of: the newest record of every trial of the part that is on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.measures import PRIMARY
from benchmarks.quality.specification import TrialSpec, code_facts
from models.features.schema import Task

Record = dict[str, Any]
OURS = "rootstock-"
LEADING = "rootstock-auto"


@dataclass(frozen=True, slots=True)
class Figure:
    """One trial that went well. `target` as `table.target`."""

    spec: TrialSpec
    task: Task
    record: Record

    @property
    def place(self) -> str:
        return f"{self.spec.table}.{self.spec.target}"

    @property
    def pair(self) -> tuple[int, int]:
        return self.spec.split, self.spec.draw

    def metric(self, name: str) -> float | None:
        value: float | None = self.record["metrics"].get(name)
        return value

    @property
    def score(self) -> float | None:
        return self.metric(PRIMARY[self.task])


@dataclass(frozen=True, slots=True)
class Figures:
    """What is there for a part, and what is to be said of it: failures, and systems whose code changed in between."""

    good: tuple[Figure, ...]
    failed: tuple[tuple[TrialSpec, str], ...]
    notes: tuple[str, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        return ordered_systems({figure.spec.system for figure in self.good})

    @property
    def labels(self) -> tuple[int | None, ...]:
        return tuple(sorted({figure.spec.labels for figure in self.good}, key=_as_number))

    @property
    def leading(self) -> str | None:
        """The system of ours that others are compared with."""
        ours = [name for name in self.systems if name.startswith(OURS)]
        return LEADING if LEADING in ours else next(iter(ours), None)

    def places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(figure.place for figure in self.good))

    def values(
        self, system: str, place: str, labels: int | None, metric: str | None = None
    ) -> dict[tuple[int, int], float]:
        """By (split, draw); `metric` None is the task's primary one."""
        found = {}
        for figure in self.good:
            if (figure.spec.system, figure.place, figure.spec.labels) == (system, place, labels):
                value = figure.score if metric is None else figure.metric(metric)
                if value is not None:
                    found[figure.pair] = value
        return found

    def restricted(self, tasks: Iterable[Task]) -> Figures:
        kept = frozenset(tasks)
        return Figures(tuple(figure for figure in self.good if figure.task in kept), self.failed, self.notes)


def ordered_systems(names: Iterable[str]) -> tuple[str, ...]:
    """Ours first, `auto` before all."""
    return tuple(sorted(names, key=lambda name: (name != LEADING, not name.startswith(OURS), name)))


def select(
    records: Iterable[Record],
    specs: Sequence[TrialSpec],
    pretraining: dict[str, Any],
    systems: Sequence[str] | None,
) -> Figures:
    """Records that fit one of the specs, whichever their system; of ours, those of this pretraining.

    `systems`: only these. Of several records of one trial the last one stands.
    """
    wanted = {_without_system(spec) for spec in specs}
    newest: dict[str, tuple[TrialSpec, Record]] = {}
    for record in records:
        try:
            spec = TrialSpec.model_validate(record["spec"])
        except ValueError:  # of a version of the benchmark with other words
            continue
        facts = record.get("system", {})
        if _without_system(spec) not in wanted or (systems is not None and spec.system not in systems):
            continue
        if "pretraining" in facts and facts["pretraining"] != pretraining:
            continue
        newest[spec.model_dump_json()] = spec, record
    good = [
        Figure(spec, Task(record["task"]), record)
        for spec, record in newest.values()
        if "error" not in record
    ]
    failed = [(spec, record["error"]["type"]) for spec, record in newest.values() if "error" in record]
    order = {spec: position for position, spec in enumerate(dict.fromkeys(map(_without_system, specs)))}
    good.sort(key=lambda figure: order[_without_system(figure.spec)])
    return Figures(tuple(good), tuple(failed), tuple(_notes(newest.values(), failed)))


def _notes(found: Iterable[tuple[TrialSpec, Record]], failed: Sequence[tuple[TrialSpec, str]]) -> list[str]:
    versions: dict[str, set[str]] = {}
    for spec, record in found:
        versions.setdefault(spec.system, set()).add(code_facts(record.get("system", {})))
    mixed = sorted(name for name, states in versions.items() if len(states) > 1)
    notes = []
    if mixed:
        notes.append(f"Figures of more than one state of the code are mixed for {', '.join(mixed)}.")
    by_system: dict[str, dict[str, int]] = {}
    for spec, error in failed:
        kinds = by_system.setdefault(spec.system, {})
        kinds[error] = kinds.get(error, 0) + 1
    for system in ordered_systems(by_system):
        listed = ", ".join(f"{error} {num}×" for error, num in sorted(by_system[system].items()))
        notes.append(f"Trials of {system} without a figure: {listed}.")
    return notes


def _without_system(spec: TrialSpec) -> TrialSpec:
    return spec.model_copy(update={"system": ""})


def _as_number(labels: int | None) -> float:
    return float("inf") if labels is None else labels
