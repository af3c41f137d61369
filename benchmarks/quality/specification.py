"""What one trial is, in words that go to a worker and into the results; and how a system is made by its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.quality.protocol import PROTOCOL_VERSION, Protocol
from benchmarks.quality.systems import SYSTEMS
from benchmarks.quality.systems.rootstock import RootstockSystem
from benchmarks.quality.systems.rootstock_encoders import Pretraining
from benchmarks.quality.tables import TABLES_VERSION
from benchmarks.quality.trial import System
from benchmarks.quality.versions import code_digest, digest_of

Measure = Literal["plain", "robustness", "many_targets"]


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrialSpec(_Words):
    """One fit of one system. `labels` None: all there are. `together`: further targets of a trial of many targets; no
    system sees them or `target` as features."""

    measure: Measure = "plain"
    table: str
    target: str
    together: tuple[str, ...] = ()
    system: str
    protocol: Protocol = Protocol.HONEST
    split: int
    draw: int
    labels: int | None
    keep_traps: bool = True

    @property
    def words(self) -> str:
        labels = "all" if self.labels is None else self.labels
        return (
            f"{self.table}.{self.target} {labels} labels, split {self.split}, draw {self.draw}: {self.system}"
        )


class Setting(_Words):
    """What holds for all trials of a run."""

    data: Path
    pretrain_seconds: float
    pretrain_steps: int | None
    encoders: Path | None
    threads: int = 1

    @property
    def pretraining(self) -> Pretraining:
        return Pretraining(self.pretrain_seconds, self.pretrain_steps, self.encoders)


class Request(_Words):
    spec: TrialSpec
    setting: Setting
    key: str


class UnknownSystem(Exception):
    """There is no such system; the message lists those there are."""


def make_system(name: str, setting: Setting) -> System:
    """A registered system, or one of your own as `package.module:factory`.

    Raises:
        UnknownSystem: no such name, module or factory.
        ImportError: the package it compares with is not installed.
    """
    system = _factory(name)()
    if isinstance(system, RootstockSystem):
        return system.with_pretraining(setting.pretraining)
    return system


def _factory(name: str) -> Callable[[], System]:
    if name in SYSTEMS:
        return SYSTEMS[name]
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            found: Callable[[], System] = getattr(importlib.import_module(module), attribute)
            return found
    except (ImportError, AttributeError) as error:
        raise UnknownSystem(f"no system {name!r}: {type(error).__name__}") from error
    raise UnknownSystem(
        f"no system {name!r}; there are {', '.join(SYSTEMS)}, and your own as package.module:factory"
    )


def system_facts(system: System, setting: Setting) -> dict[str, Any]:
    """Everything of a system that its figures depend on."""
    module = type(system).__module__
    facts: dict[str, Any] = {
        "name": system.name,
        "version": str(getattr(system, "version", "")),
        "code": code_digest(
            [module], within=["benchmarks.quality.systems", module], without=["benchmarks.quality.systems"]
        ),
    }
    if isinstance(system, RootstockSystem):
        facts["pretraining"] = setting.pretraining.setting
    return facts


def code_facts(facts: dict[str, Any]) -> str:
    """Which state of a system's code these facts are of."""
    return digest_of([facts.get("version"), facts.get("code")])


def key_of(spec: TrialSpec, setting: Setting, facts: dict[str, Any], table_digest: str) -> str:
    """What a figure is known by; another key is another figure."""
    return digest_of({
        "spec": spec.model_dump(mode="json"),
        "threads": setting.threads,
        "system": facts,
        "table": table_digest,
        "versions": [PROTOCOL_VERSION, TABLES_VERSION],
    })  # fmt: skip
