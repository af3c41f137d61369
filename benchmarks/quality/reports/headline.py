"""Where a part's figures come from: the command, the rows, the machines and the states of the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.quality.reports.figures import Figures

_OF_THIS_MACHINE = {
    "--data": 1,
    "--out": 1,
    "--jobs": 1,
    "--publish": 0,
    "--report-only": 0,
    "--retry-failed": 0,
}
"""Options that no figure depends on, with how many words follow."""


def command_of(part: str, words: Sequence[str]) -> str:
    """What gives the figures of this part, on any machine."""
    kept: list[str] = []
    skip = 0
    for word in words:
        name, _, value = word.partition("=")
        if skip:
            skip -= 1
        elif name in _OF_THIS_MACHINE:
            skip = 0 if value else _OF_THIS_MACHINE[name]
        elif name == "--part":
            skip = 0 if value else 1
        else:
            kept.append(word)
    return " ".join([f"--part {part}", *kept])


def headline(part: str, words: Sequence[str], figures: Figures) -> list[str]:
    """One paragraph that stands above the tables of a part."""
    specs = [figure.spec for figure in figures.good]
    splits = len({spec.split for spec in specs})
    draws = len({spec.draw for spec in specs})
    protocol = "honest" if specs[0].protocol.value == "honest" else "paper's"
    facts = [
        f"`make bench-quality ARGS=\"{command_of(part, words)}\"`: {len(specs):,} trials, {splits} splits × {draws} draws, the "
        f"{protocol} protocol",
        *(f"{_pretraining(setting)}" for setting in _settings(figures)),
        *([] if specs[0].keep_traps else ["without the columns that only the published numbers use"]),
        "; ".join(machine["machine"] + f" (commits {', '.join(machine['commits'])})" for machine in machines_of(figures)),
    ]  # fmt: skip
    return [". ".join(facts) + "."]


def machines_of(figures: Figures) -> list[dict[str, Any]]:
    """Machines with the commits that trials ran at there, in order of time."""
    found: dict[str, list[str]] = {}
    for facts in sorted(
        (figure.record["machine"] for figure in figures.good), key=lambda facts: str(facts["at"])
    ):
        name = (
            f"{facts['processor']}, {facts['cores']} cores, torch {facts['torch']}, Python {facts['python']}"
        )
        commits = found.setdefault(name, [])
        if facts["commit"] not in commits:
            commits.append(facts["commit"])
    return [{"machine": name, "commits": commits} for name, commits in found.items()]


def _settings(figures: Figures) -> list[dict[str, Any]]:
    """Of pretraining; there is at most one, since others are not selected."""
    for figure in figures.good:
        if setting := figure.record.get("system", {}).get("pretraining"):
            return [setting]
    return []


def _pretraining(setting: dict[str, Any]) -> str:
    if "steps" in setting:
        return f"Pretraining: {setting['steps']:,} steps on one thread"
    return f"Pretraining: at most {setting['seconds']:g} s on one thread per table and split"
