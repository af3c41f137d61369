"""`python -m benchmarks.quality`: run what is missing, then write what the figures come to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.quality.arguments import SPEED, Arguments, parse
from benchmarks.quality.manifest import DataError, ManifestTable, read_manifest
from benchmarks.quality.parts import PARTS, trials_of
from benchmarks.quality.records import Store
from benchmarks.quality.reports import REPORTS
from benchmarks.quality.reports.figures import Figures, select
from benchmarks.quality.reports.headline import command_of, headline, machines_of
from benchmarks.quality.reports.markdown import MarkersError, insert
from benchmarks.quality.reports.published import published
from benchmarks.quality.runs import Systems, requests_of, run_missing
from benchmarks.quality.specification import UnknownSystem
from benchmarks.quality.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
SUMMARIES = Path(__file__).parent / "summaries"


def main(words: list[str] | None = None) -> None:
    arguments = parse(words)
    try:
        manifest = read_manifest(arguments.setting.data)
        if arguments.is_list:
            show(manifest)
            return
        for part in arguments.parts:
            if part == SPEED:
                measure_speed(arguments)
            else:
                run_part(part, arguments, manifest, sys.argv[1:] if words is None else words)
    except (DataError, UnknownSystem, MarkersError, RuntimeError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on where it was") from None


def run_part(
    name: str, arguments: Arguments, manifest: Mapping[str, ManifestTable], words: Sequence[str]
) -> None:
    """Raises: DataError, UnknownSystem, MarkersError, and RuntimeError where no process could be started."""
    specs = list(trials_of(PARTS[name], arguments.choice, manifest))
    store = Store(arguments.out)
    if not arguments.report_only:
        systems = Systems(arguments.setting)
        outcome = run_missing(
            requests_of(specs, arguments.setting, manifest, systems),
            store,
            systems,
            jobs=arguments.jobs,
            limit_s=arguments.limit_s,
            logs=arguments.out / "logs",
            retry_failed=arguments.retry_failed,
        )
        print(
            f"{name}: {outcome.done} trials run, {outcome.failed} of them failed; {outcome.found} were there",
            file=sys.stderr,
        )
    figures = select(store.all(), specs, arguments.setting.pretraining.setting, arguments.choice.systems)
    if not figures.good:
        print(f"{name}: no figures yet")
        return
    write_report(name, arguments, figures, words)


def write_report(name: str, arguments: Arguments, figures: Figures, words: Sequence[str]) -> None:
    """Prints the tables; keeps them with the results and, to be published, in the documents.

    Raises: MarkersError.
    """
    report = REPORTS[name](figures, published())
    lines = [*headline(name, words, figures), "", *report.lines]
    body = {
        "part": name,
        "command": f"python -m benchmarks.quality {command_of(name, words)}",
        "machines": machines_of(figures),
        **report.body,
    }
    print("\n".join(lines))
    arguments.out.mkdir(parents=True, exist_ok=True)
    _write_json(arguments.out / f"{name}.json", body)
    (arguments.out / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if arguments.publish:
        insert(DOCUMENT, name, lines)
        SUMMARIES.mkdir(exist_ok=True)
        _write_json(SUMMARIES / f"{name}.json", body)
    print(f"written to {arguments.out / name}.json and .md", file=sys.stderr)


def measure_speed(arguments: Arguments) -> None:
    """In a process of its own: it measures, so nothing of ours may be in its memory or on its cores."""
    command = [sys.executable, "-m", "benchmarks.quality.speed"]
    if (arguments.setting.data / "tables").is_dir():
        command += ["--data", str(arguments.setting.data / "tables")]
    subprocess.run([*command, *(["--quick"] if arguments.quick else [])], cwd=ROOT, check=False)


def show(manifest: Mapping[str, ManifestTable]) -> None:
    print("parts:")
    for part in PARTS.values():
        print(f"  {part.name:18} {part.title}: {', '.join(part.tables)}")
    print(f"  {SPEED:18} Speed of pretraining\n\nsystems:")
    for name, factory in SYSTEMS.items():
        try:
            print(f"  {name:18} {factory().about}")
        except ImportError as error:
            print(f"  {name:18} needs package {error.name or error}, which is not installed here")
    print("\ntables:")
    for entry in manifest.values():
        targets = ", ".join(f"{target.column} ({target.task.value})" for target in entry.targets)
        print(f"  {entry.name:22} {targets}")


def _write_json(path: Path, body: dict[str, object]) -> None:
    path.write_text(json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
