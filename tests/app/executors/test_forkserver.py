from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from app.executors import Failed, ForkserverExecutor, Succeeded
from tests.app.executors.registry import SECRET
from tests.app.executors.tasks import (
    REGISTRY,
    eventually,
    eventually_gone,
    final_report,
    first_progress,
    shared_forkserver,
    task_spec,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def executor() -> ForkserverExecutor:
    return shared_forkserver()


def server_of(executor: ForkserverExecutor) -> psutil.Process:
    assert executor.server_pid is not None
    return psutil.Process(executor.server_pid)


@pytest.mark.parametrize(
    ("payload", "code", "details"),
    [
        ({"signal": signal.SIGKILL}, "process_killed", {"signal": "SIGKILL"}),
        ({"signal": signal.SIGSEGV}, "process_crashed", {"signal": "SIGSEGV"}),
        ({"exit_code": 3}, "process_exited", {"exit_code": 3}),
        ({"exit_code": 0}, "process_exited", {"exit_code": 0}),
    ],
)
def test__child__that_ends_by_itself__is_reported_as_what_it_was(
    executor: ForkserverExecutor,
    tmp_path: Path,
    payload: dict[str, int],
    code: str,
    details: dict[str, object],
) -> None:
    execution = executor.start(task_spec(tmp_path, "die", **payload))
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Failed)
    assert final.retry
    assert (final.error["code"], final.error["details"]) == (code, details)


def test__child__fault_that_is_no_exception__is_an_internal_error_with_an_id(
    executor: ForkserverExecutor, tmp_path: Path
) -> None:
    execution = executor.start(task_spec(tmp_path, "panic"))
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Failed)
    assert final.error["code"] == "internal_error"
    assert final.error["details"]["error_id"].startswith("err_")
    assert SECRET not in str(final)


def test__child__process__is_limited_and_niced_and_its_output_logged(
    executor: ForkserverExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        execution = executor.start(task_spec(tmp_path, "look", niceness=7, num_threads=2))
        final = final_report(execution)
        execution.close()
        eventually(lambda: "printed by the task" in caplog.text, "the line in the log")
    assert isinstance(final, Succeeded)
    assert final.result["pid"] != os.getpid()
    assert final.result["niceness"] == os.nice(0) + 7
    assert final.result["torch_threads"] == 2
    assert final.result["polars_threads"] == 2
    assert final.result["groups"] == 7


def test__server__before_it_forks__has_started_no_pool_of_threads(
    executor: ForkserverExecutor, tmp_path: Path
) -> None:
    execution = executor.start(task_spec(tmp_path, "look"))
    final_report(execution)
    execution.close()
    if not Path("/proc/self/task").exists():
        pytest.skip("no /proc to read the names of threads from")
    server = server_of(executor)
    names = [
        Path(f"/proc/{server.pid}/task/{thread.id}/comm").read_text().strip() for thread in server.threads()
    ]
    # jemalloc's and polars' housekeeping threads hold no lock while they sleep; a pool would be missed by a child.
    assert not [name for name in names if name.startswith(("polars-0", "tokio", "async-", "OMP"))]
    assert names.count("python") <= 1 + 2 * (2 - 1), (
        names
    )  # OpenBLAS (numpy's, scipy's) joins its pool at a fork


def test__server__signals_to_everybody__do_not_end_tasks(
    executor: ForkserverExecutor, tmp_path: Path
) -> None:
    spec = task_spec(tmp_path, "count", steps=30)
    execution = executor.start(spec)
    first_progress(execution)
    child = int((spec.scratch / "pid").read_text())
    for number in (signal.SIGINT, signal.SIGTERM):
        server_of(executor).send_signal(number)
        os.kill(child, number)
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Succeeded)


def test__executor__used_from_another_thread__works(executor: ForkserverExecutor, tmp_path: Path) -> None:
    finals = []

    def use() -> None:
        execution = executor.start(task_spec(tmp_path, "count", steps=2))
        finals.append(final_report(execution))
        execution.close()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(60)
    assert isinstance(finals[0], Succeeded)


def test__executor__closed_while_its_server_imports__does_not_wait_for_it() -> None:
    executor = ForkserverExecutor(registry=REGISTRY)
    executor.warm_up()
    pid = executor.server_pid
    executor.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test__server__killed__fails_its_tasks_and_is_replaced_until_the_executor_closes(
    executor: ForkserverExecutor, tmp_path: Path
) -> None:
    spec = task_spec(tmp_path, "hang")
    execution = executor.start(spec)
    first_progress(execution)
    child = int((spec.scratch / "pid").read_text())
    server_of(executor).kill()
    final = final_report(execution)
    execution.close()
    assert isinstance(final, Failed)
    assert final.error["code"] == "executor_lost"
    eventually_gone(child, "the end of the orphan")

    spec = task_spec(tmp_path, "hang")
    execution = executor.start(spec)
    first_progress(execution)
    processes = [server_of(executor).pid, int((spec.scratch / "pid").read_text())]
    executor.close()
    assert isinstance(final_report(execution), Failed)
    execution.close()
    for pid in processes:
        eventually_gone(pid)


PROGRAM = """
import sys
from pathlib import Path
from app.executors import ForkserverExecutor
from tests.app.executors.tasks import REGISTRY, final_report, first_progress, task_spec

folder = Path(sys.argv[1])
with (folder / "mains").open("a") as mains:  # no `if __name__ == "__main__"`: running it again would be seen
    mains.write("x")
executor = ForkserverExecutor(registry=REGISTRY)
execution = executor.start(task_spec(folder, "hang"))
first_progress(execution)
(folder / "children").write_text(f"{executor.server_pid} {next(folder.glob('scratch/*/pid')).read_text()}")
final_report(execution)
"""


def test__main_program__without_a_guard__runs_once_and_takes_its_children_with_it_when_killed(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )
    children = tmp_path / "children"
    try:
        eventually(lambda: children.exists() and len(children.read_text().split()) == 2, "the child")
    finally:
        run.kill()
        run.wait()
    for pid in map(int, children.read_text().split()):
        eventually_gone(pid)
    assert (tmp_path / "mains").read_text() == "x"
