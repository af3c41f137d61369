"""What every executor promises, whatever it runs tasks in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.executors import EXECUTORS, Executor, Failed, Stopped, Succeeded
from tests.app.executors.registry import SECRET
from tests.app.executors.tasks import REGISTRY, final_report, first_progress, shared_forkserver, task_spec


@pytest.fixture(scope="module", params=sorted(EXECUTORS))
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "forkserver":
        yield shared_forkserver()
        return
    executor = EXECUTORS[request.param](num_threads=1, registry=REGISTRY)
    executor.warm_up()
    yield executor
    executor.close()


def test__executor__finished_task__gives_its_result_once_and_for_all(
    executor: Executor, tmp_path: Path
) -> None:
    execution = executor.start(task_spec(tmp_path, "count", steps=3))
    final = final_report(execution)
    again = execution.receive(0)
    execution.close()
    assert isinstance(final, Succeeded)
    assert final.result == {"steps": 3, "first": 0, "attempt": 1, "nothing": None}
    assert again == final


def test__executor__running_task__reports_progress(executor: Executor, tmp_path: Path) -> None:
    execution = executor.start(task_spec(tmp_path, "count", steps=1_000_000))
    progress = first_progress(execution)
    execution.close()
    assert (progress.step, progress.total, progress.message) == (0, 1_000_000, "counting")


def test__executor__input_error__is_shown_and_not_retried(executor: Executor, tmp_path: Path) -> None:
    execution = executor.start(task_spec(tmp_path, "refuse"))
    final = final_report(execution)
    execution.close()
    assert final == Failed(
        {"code": "one_class", "message": "All labels are of one class.", "details": {"num_classes": 1}},
        retry=False,
    )


def test__executor__unexpected_error__is_retried_under_an_id_without_its_contents(
    executor: Executor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        execution = executor.start(task_spec(tmp_path, "break"))
        final = final_report(execution)
        execution.close()
    assert isinstance(final, Failed)
    assert final.retry
    assert final.error["code"] == "internal_error"
    assert final.error["details"]["error_id"].startswith("err_")
    assert SECRET not in str(final.error)
    assert SECRET not in caplog.text


def test__executor__unknown_kind__fails(executor: Executor, tmp_path: Path) -> None:
    execution = executor.start(task_spec(tmp_path, "of-a-later-version"))
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Failed)


def test__executor__asked_to_stop__stops_and_keeps_its_scratch(executor: Executor, tmp_path: Path) -> None:
    spec = task_spec(tmp_path, "count", steps=1_000_000)
    execution = executor.start(spec)
    first_progress(execution)
    execution.ask_to_stop()
    final = final_report(execution)
    execution.close()
    assert final == Stopped()
    assert (spec.scratch / "step").exists()


def test__executor__killed_task__ends_with_one_failure(executor: Executor, tmp_path: Path) -> None:
    execution = executor.start(task_spec(tmp_path, "hang", seconds=3))
    first_progress(execution)
    execution.kill()
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Failed)
    assert final.retry
    assert final.error["code"] == "killed"


def test__executor__several_tasks__run_side_by_side(executor: Executor, tmp_path: Path) -> None:
    slow = executor.start(task_spec(tmp_path, "count", steps=1_000_000))
    fast = [executor.start(task_spec(tmp_path, "count", steps=number)) for number in (1, 2, 3)]
    finals = [final_report(execution) for execution in fast]
    slow.ask_to_stop()
    last = final_report(slow)
    for execution in (slow, *fast):
        execution.close()
    assert [final.result["steps"] for final in finals if isinstance(final, Succeeded)] == [1, 2, 3]
    assert last == Stopped()


def test__executor__closed_twice__is_fine(executor: Executor, tmp_path: Path) -> None:
    execution = executor.start(task_spec(tmp_path, "count", steps=1))
    final_report(execution)
    execution.close()
    execution.close()
