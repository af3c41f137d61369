"""The command line: what to run, on what, and where results are kept."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.machine import RESULTS
from benchmarks.quality.parts import PARTS, Choice
from benchmarks.quality.protocol import Protocol
from benchmarks.quality.specification import Setting
from benchmarks.quality.systems.rootstock_encoders import DEFAULT_SECONDS

SPEED = "speed"
ENCODERS = "encoders"
QUICK_PARTS = ("few-labels", "all-labels")
QUICK_TABLES = ("qsar_bio", "blastchar")
QUICK_SYSTEMS = ("rootstock-auto", "logistic", "lightgbm", "catboost")
QUICK_SECONDS = 20.0
QUICK_SPLITS = 2


@dataclass(frozen=True, slots=True)
class Arguments:
    parts: tuple[str, ...]
    choice: Choice
    setting: Setting
    out: Path
    jobs: int
    limit_s: float
    is_list: bool
    report_only: bool
    retry_failed: bool
    publish: bool
    quick: bool


def parse(words: list[str] | None = None) -> Arguments:
    """Raises: SystemExit (of argparse) with one line that says what was wrong."""
    parsed = _parser().parse_args(words)
    out: Path = parsed.out.resolve()
    choice = Choice(
        systems=parsed.systems,
        tables=parsed.tables,
        targets=parsed.targets,
        labels=parsed.labels,
        splits=parsed.splits,
        draws=parsed.draws,
        protocol=Protocol(parsed.protocol),
        keep_traps=not parsed.without_traps,
    )
    seconds, parts = parsed.pretrain_seconds, parsed.part
    if parsed.quick:
        choice = replace(
            choice,
            systems=choice.systems or QUICK_SYSTEMS,
            tables=choice.tables or QUICK_TABLES,
            splits=choice.splits or QUICK_SPLITS,
            draws=choice.draws or 1,
        )
        seconds = QUICK_SECONDS if seconds is None else seconds
    setting = Setting(
        data=parsed.data.resolve(),
        pretrain_seconds=DEFAULT_SECONDS if seconds is None else seconds,
        pretrain_steps=parsed.pretrain_steps,
        encoders=out / ENCODERS,
    )
    return Arguments(
        parts=parts or (QUICK_PARTS if parsed.quick else ("few-labels",)),
        choice=choice,
        setting=setting,
        out=out,
        jobs=parsed.jobs,
        limit_s=parsed.trial_seconds,
        is_list=parsed.list,
        report_only=parsed.report_only,
        retry_failed=parsed.retry_failed,
        publish=parsed.publish,
        quick=parsed.quick,
    )


def _parser() -> argparse.ArgumentParser:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description="Heads of Rootstock against other systems, on a folder of real tables. Results are kept: what was "
        "run before is not run again.",
    )
    parser.add_argument("--part", type=_parts, help=f"of {', '.join([*PARTS, SPEED])}; several with commas")
    parser.add_argument("--systems", type=_names, help="with commas; your own as package.module:factory")
    parser.add_argument("--tables", type=_names, help="with commas, names of the manifest")
    parser.add_argument("--targets", type=_names, help="with commas; by default those the part is for")
    parser.add_argument(
        "--labels", type=_labels, help="numbers with commas, `all` among them for all there are"
    )
    parser.add_argument(
        "--splits", type=_positive, help="how many; folds of one shuffle, so that 5 judge every row"
    )
    parser.add_argument("--draws", type=_positive, help="of labels, per split")
    parser.add_argument("--protocol", choices=[protocol.value for protocol in Protocol], default="honest")
    parser.add_argument(
        "--without-traps", action="store_true", help="drop what the published numbers should not use"
    )
    parser.add_argument(
        "--pretrain-seconds", type=_seconds, help=f"per encoder, {DEFAULT_SECONDS:g} by default"
    )
    parser.add_argument("--pretrain-steps", type=_positive, help="a fixed number of steps instead")
    parser.add_argument(
        "--jobs", type=_jobs, default=cores, help="processes of one thread each; 0: in this process"
    )
    parser.add_argument(
        "--trial-seconds", type=_seconds, default=3_600.0, help="after which a trial is given up"
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", "../shared/data")))
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "quality", help="where results are kept and looked for"
    )
    parser.add_argument("--list", action="store_true", help="show parts, systems and tables, and run nothing")
    parser.add_argument(
        "--report-only", action="store_true", help="make the tables of what is there, and run nothing"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="run trials again that ended with an error"
    )
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help="two small tables, two splits, four systems")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("no name is given")
    return names


def _parts(text: str) -> tuple[str, ...]:
    names = _names(text)
    unknown = [name for name in names if name not in PARTS and name != SPEED]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join([*PARTS, SPEED])}")
    return names


def _labels(text: str) -> tuple[int | None, ...]:
    return tuple(None if name == "all" else _positive(name) for name in _names(text))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed; received {text!r}")
    return int(text)


def _jobs(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number of processes is needed; received {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0.0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"seconds above 0 are needed; received {text!r}")
    return seconds
