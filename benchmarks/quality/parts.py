"""The parts of the benchmark: which trials each of them is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.quality.manifest import DataError, ManifestTable
from benchmarks.quality.protocol import Protocol
from benchmarks.quality.specification import Measure, TrialSpec
from benchmarks.quality.systems import SYSTEMS
from models.features.schema import Task

EIGHT = (
    "bank_marketing", "1995_income", "blastchar", "insurance_co", "spambase", "jasmine", "qsar_bio", "dota2games",
)  # fmt: skip
TASK_TABLES = (
    "bank_marketing",
    "1995_income",
    "blastchar",
    "insurance_co",
    "bike_sharing_hour",
    "covertype_16pct",
)
MANY_TARGETS_TABLE = "census_income_kdd"
MAX_TARGETS = 10

OURS = tuple(name for name in SYSTEMS if name.startswith("rootstock-"))
RIVALS = ("lightgbm", "catboost", "catboost-tuned")
"""Of whom the better one is asked how many labels it needs."""

LABEL_GRID = (25, 50, 75, 100, 150, 200, 300, 400, 500, 700, 1_000)
ALL = (None,)


@dataclass(frozen=True, slots=True)
class Part:
    """Trials of a kind. `tasks`: of which targets; `first_target`: only the first one of a table that fits."""

    name: str
    title: str
    tables: tuple[str, ...]
    labels: tuple[int | None, ...]
    systems: tuple[str, ...]
    tasks: frozenset[Task] = frozenset({Task.BINARY})
    first_target: bool = True
    splits: int = 5
    draws: int = 2
    measure: Measure = "plain"


FEW_LABELS = (
    "tabtransformer-mlm", "tabtransformer-rtd", "mlp-entropy", "mlp-pseudo", "tabtransformer-entropy",
    "tabtransformer-pseudo", "mlp-dae", "gbdt-pseudo", "lightgbm", "catboost", "logistic", "tabm", "realmlp",
)  # fmt: skip
ALL_LABELS = (
    "logistic", "mlp", "sparse-mlp", "tabnet", "deep-vib", "lightgbm", "catboost", "xgboost", "tabm", "tabtransformer",
)  # fmt: skip


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("few-labels", "Few labels", EIGHT, (50, 200, 500), (*OURS, *FEW_LABELS)),
        Part("all-labels", "All labels", EIGHT, ALL, (*OURS, *ALL_LABELS), draws=1),
        Part(
            "label-efficiency",
            "Label efficiency",
            EIGHT,
            LABEL_GRID,
            ("rootstock-auto", *RIVALS),
        ),
        Part(
            "robustness",
            "Robustness",
            EIGHT,
            ALL,
            ("rootstock-auto", "lightgbm", "catboost", "mlp", "tabtransformer"),
            draws=1,
            measure="robustness",
        ),
        Part(
            "tasks",
            "Regression and multiclass",
            TASK_TABLES,
            (50, 200, 500, None),
            ("rootstock-auto", "rootstock-linear", "ridge", "logistic", "lightgbm", "catboost"),
            tasks=frozenset({Task.REGRESSION, Task.MULTICLASS}),
            first_target=False,
        ),
        Part(
            "calibration",
            "Calibration and coverage",
            tuple(dict.fromkeys((*EIGHT, *TASK_TABLES))),
            (500,),
            ("rootstock-auto", "rootstock-linear", "lightgbm", "catboost", "logistic"),
            tasks=frozenset(Task),
            first_target=False,
            draws=10,
        ),
        Part(
            "many-targets",
            "Many targets",
            (MANY_TARGETS_TABLE,),
            (500,),
            ("rootstock-auto", "rootstock-linear", "lightgbm", "catboost"),
            tasks=frozenset(Task),
            splits=2,
            draws=1,
            measure="many_targets",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says beyond the part; None: as the part has it."""

    systems: tuple[str, ...] | None = None
    tables: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    labels: tuple[int | None, ...] | None = None
    splits: int | None = None
    draws: int | None = None
    protocol: Protocol = Protocol.HONEST
    keep_traps: bool = True

    def of(self, part: Part) -> Part:
        part = replace(
            part,
            systems=self.systems or part.systems,
            tables=self.tables or part.tables,
            labels=self.labels or part.labels,
            splits=self.splits or part.splits,
            draws=self.draws or part.draws,
            first_target=part.first_target and self.targets is None,
        )
        # The paper's rows are the first of the training part: there is one draw of them.
        return replace(part, draws=1) if self.protocol is Protocol.PAPER else part


def trials_of(part: Part, choice: Choice, manifest: Mapping[str, ManifestTable]) -> Iterator[TrialSpec]:
    """Table by table; of each, the first trial of every split first, so that splits are prepared side by side.

    Raises:
        DataError: a table that was asked for by name is not in the manifest.
    """
    part = choice.of(part)
    for entry in _tables(part, choice, manifest):
        targets = _targets(part, choice, entry)
        specs = [
            TrialSpec(
                measure=part.measure,
                table=entry.name,
                target=target,
                together=together,
                system=system,
                protocol=choice.protocol,
                split=split,
                draw=draw,
                labels=labels,
                keep_traps=choice.keep_traps,
            )
            for target, together in targets
            for system, draw, labels, split in itertools.product(
                part.systems, range(part.draws), part.labels, range(part.splits)
            )
        ]
        yield from specs


def _tables(part: Part, choice: Choice, manifest: Mapping[str, ManifestTable]) -> list[ManifestTable]:
    if choice.tables is not None:
        unknown = [name for name in choice.tables if name not in manifest]
        if unknown:
            raise DataError(f"no table {unknown[0]!r}; the manifest has {', '.join(manifest)}")
    known = [manifest[name] for name in part.tables if name in manifest]
    return known or list(manifest.values())  # a folder of other tables


def _targets(part: Part, choice: Choice, entry: ManifestTable) -> Sequence[tuple[str, tuple[str, ...]]]:
    """Targets with those that are learnt together with them."""
    names = [
        target.column
        for target in entry.targets
        if target.task in part.tasks and (choice.targets is None or target.column in choice.targets)
    ]
    if part.measure == "many_targets":
        return [(names[0], tuple(names[1:MAX_TARGETS]))] if names else []
    return [(name, ()) for name in (names[:1] if part.first_target else names)]
