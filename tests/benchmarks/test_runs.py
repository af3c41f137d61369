"""Runs: what is there is not run again, and what fails, crashes or hangs does not take the run with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.parts import PARTS, Choice, trials_of
from benchmarks.quality.records import Store
from benchmarks.quality.runs import Outcome, Systems, requests_of, run_missing
from benchmarks.quality.specification import (
    Setting,
    TrialSpec,
    UnknownSystem,
    key_of,
    make_system,
    system_facts,
)
from benchmarks.quality.systems import SYSTEMS
from benchmarks.quality.versions import code_digest
from tests.benchmarks.data_folder import write_folder

TINY = "tests.benchmarks.tiny_systems"
LINE, REFUSING, UNFINISHED, ENDING = (
    f"{TINY}:{name}" for name in ("LineSystem", "RefusingSystem", "UnfinishedSystem", "EndingSystem")
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"))


def run(
    data: Path, out: Path, systems: Sequence[str], part: str = "few-labels", jobs: int = 0, limit_s: float = 60.0, **choice: Any
) -> tuple[Outcome, list[dict[str, Any]]]:  # fmt: skip
    setting = Setting(data=data, pretrain_seconds=1.0, pretrain_steps=None, encoders=out / "encoders")
    wanted = replace(Choice(systems=tuple(systems), labels=(20,), splits=2, draws=1), **choice)
    manifest, made = read_manifest(data), Systems(setting)
    requests = requests_of(trials_of(PARTS[part], wanted, manifest), setting, manifest, made)
    store = Store(out)
    outcome = run_missing(
        requests, store, made, jobs=jobs, limit_s=limit_s, logs=out / "logs", retry_failed=False
    )
    return outcome, list(Store(out).all())


def test__run__again__runs_nothing_and_more_draws_only_those(data: Path, tmp_path: Path) -> None:
    first, records = run(data, tmp_path, [LINE])
    again, same = run(data, tmp_path, [LINE])
    more, _ = run(data, tmp_path, [LINE], draws=2)

    assert (first.found, first.done) == (0, 2)
    assert (again.found, again.done) == (2, 0)
    assert (more.found, more.done) == (2, 2)
    assert same == records
    assert records[0]["metrics"]["auc"] > 0.8
    assert {"fit", "predict"} == records[0]["seconds"].keys()
    assert {"commit", "processor"} <= records[0]["machine"].keys()
    assert (records[0]["num_labels"], records[0]["task"]) == (20, "binary")


def test__run__line_cut_by_a_kill__is_run_again_and_the_file_stays_readable(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path, [LINE])
    (file,) = (tmp_path / "records").rglob("*.jsonl")
    file.write_text(file.read_text()[:-40])

    outcome, records = run(data, tmp_path, [LINE])

    assert (outcome.found, outcome.done) == (1, 1)
    assert len(records) == 2
    assert run(data, tmp_path, [LINE])[0].found == 2


def test__run__failing_trials__are_recorded_without_what_they_said(data: Path, tmp_path: Path) -> None:
    outcome, records = run(data, tmp_path, [REFUSING, UNFINISHED])
    errors = {
        (record["spec"]["system"], record["spec"]["split"]): record.get("error", {}).get("type")
        for record in records
    }

    assert (outcome.done, outcome.failed) == (4, 3)
    assert errors[REFUSING, 0] == "ValueError"
    assert errors[REFUSING, 1] is None
    assert errors[UNFINISHED, 0] == "OutputsError"
    assert "nobody should read" not in json.dumps(records)


def test__run__absent_package__leaves_the_system_out_with_a_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome, records = run(data, tmp_path, [f"{TINY}:lacking", LINE])

    assert (outcome.done, len(records)) == (2, 2)
    assert outcome.left_out == {f"{TINY}:lacking": "some_package"}
    assert "make bench-quality" in capsys.readouterr().err


def test__run__crash_and_hang_in_a_process__cost_one_trial_each(data: Path, tmp_path: Path) -> None:
    outcome, records = run(data, tmp_path, [ENDING], jobs=1, limit_s=6.0, splits=3)
    errors = {record["spec"]["split"]: record.get("error", {}).get("type") for record in records}

    assert errors == {0: "crashed", 1: None, 2: "took_too_long"}
    assert outcome.failed == 2


def test__run__all_tasks_and_damage__are_measured(data: Path, tmp_path: Path) -> None:
    _, records = run(data, tmp_path, [LINE], part="tasks", splits=1)
    _, damaged = run(data, tmp_path, [LINE], part="robustness", splits=1)
    by_target = {record["spec"]["target"]: record["metrics"] for record in records}

    assert by_target["z"]["r2"] > 0.5
    assert by_target["kind"]["macro_auc"] > 0.7
    (robust,) = (record["metrics"] for record in damaged if record["spec"]["measure"] == "robustness")
    assert robust["auc_damaged_0"] == robust["auc"]
    assert robust["auc_missing_50"] < robust["auc"]


def test__run__many_targets__hides_all_of_them_and_scores_each(data: Path, tmp_path: Path) -> None:
    _, (record,) = run(data, tmp_path, [LINE], part="many-targets", splits=1, labels=(60,))

    assert set(record["scores"]) == {"y", "z", "kind"}
    assert record["spec"]["together"] == ["z", "kind"]


def test__key__of_a_figure__changes_with_everything_it_depends_on(data: Path, tmp_path: Path) -> None:
    setting = Setting(data=data, pretrain_seconds=1.0, pretrain_steps=None, encoders=None)
    spec = TrialSpec(table="tiny", target="y", system="rootstock-linear", split=0, draw=0, labels=50)
    facts = system_facts(make_system(spec.system, setting), setting)
    longer = setting.model_copy(update={"pretrain_seconds": 2.0})
    keys = [
        key_of(spec, setting, facts, "digest"),
        key_of(spec.model_copy(update={"draw": 1}), setting, facts, "digest"),
        key_of(spec.model_copy(update={"labels": None}), setting, facts, "digest"),
        key_of(spec, setting, facts, "another"),
        key_of(spec, setting, {**facts, "version": "2"}, "digest"),
        key_of(spec, longer, system_facts(make_system(spec.system, longer), longer), "digest"),
    ]

    assert len(set(keys)) == len(keys)
    assert key_of(spec, setting, facts, "digest") == keys[0]


def test__system__unknown__is_refused_with_the_names_there_are() -> None:
    setting = Setting(data=Path(), pretrain_seconds=1.0, pretrain_steps=None, encoders=None)

    with pytest.raises(UnknownSystem, match="rootstock-linear"):
        make_system("no-such", setting)
    with pytest.raises(UnknownSystem):
        make_system(f"{TINY}:no_such", setting)


def test__code_digest__follows_imports_of_ours_alone() -> None:
    with_imports = code_digest(["benchmarks.quality.reports.scores"], within=["benchmarks.quality.reports"])

    assert with_imports != code_digest(
        ["benchmarks.quality.reports.scores"], within=["benchmarks.quality.reports.scores"]
    )
    assert with_imports == code_digest(
        ["benchmarks.quality.reports.scores"], within=["benchmarks.quality.reports"]
    )


def test__parts__name_systems_that_there_are() -> None:
    named = {name for part in PARTS.values() for name in part.systems}

    assert named <= set(SYSTEMS)
    assert {name for name in SYSTEMS if name.startswith("rootstock-")} <= set(PARTS["few-labels"].systems)
