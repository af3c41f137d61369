"""Stopped, killed or damaged: a resumed run ends with the bits of an uninterrupted one."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.bundle import WEIGHTS_FILE
from models.errors import Interrupted
from models.progress import ShouldStop
from tests.models.training.pretraining.interrupted_run import NUM_STEPS, run

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def uninterrupted() -> bytes:
    assert torch.get_num_threads() == 1, "tests/conftest.py gives each test process one thread"
    return run(None).to_files()[WEIGHTS_FILE]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _stop_after(calls: int) -> ShouldStop:
    counter = itertools.count(1)
    return lambda: next(counter) > calls


# 100 rows are 84 for training in batches of 16: an epoch ends every 5 steps, a look at held-out rows at every step.
@pytest.mark.parametrize("stops", [(1,), (5,), (7, 3), (NUM_STEPS - 1,), (0, 0, 4)])
def test__resume__stopped_at_any_step__same_bits(
    tmp_path: Path, uninterrupted: bytes, stops: tuple[int, ...]
) -> None:
    for steps in stops:
        with pytest.raises(Interrupted):
            run(tmp_path, _stop_after(steps), checkpoint_every_s=3600.0)
    bundle = run(tmp_path)
    assert bundle.to_files()[WEIGHTS_FILE] == uninterrupted
    assert bundle.report["num_resumes"] == len(stops)
    assert bundle.report["num_steps"] == NUM_STEPS


def test__resume__finished_run_asked_again__same_bits_without_training(
    tmp_path: Path, uninterrupted: bytes
) -> None:
    run(tmp_path)
    assert run(tmp_path, _stop_after(0)).to_files()[WEIGHTS_FILE] == uninterrupted


def test__resume__newest_checkpoint_damaged__previous_is_used_and_it_is_said(
    tmp_path: Path, uninterrupted: bytes
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, _stop_after(9))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    bundle = run(tmp_path)
    assert bundle.to_files()[WEIGHTS_FILE] == uninterrupted
    assert any("damaged" in warning for warning in bundle.report["warnings"])


def test__resume__every_checkpoint_damaged__starts_again_and_it_is_said(
    tmp_path: Path, uninterrupted: bytes
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, _stop_after(9))
    for path in tmp_path.iterdir():
        path.write_bytes(b"\0" * 100)
    bundle = run(tmp_path)
    assert bundle.to_files()[WEIGHTS_FILE] == uninterrupted
    assert bundle.report["num_resumes"] == 0
    assert len(bundle.report["warnings"]) == 2


def test__resume__more_threads_than_it_began_with__same_bits(
    tmp_path: Path, uninterrupted: bytes, one_thread: None
) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, _stop_after(3))
    torch.set_num_threads(2)
    bundle = run(tmp_path)
    assert bundle.to_files()[WEIGHTS_FILE] == uninterrupted
    assert bundle.report["num_threads"] == 1
    assert torch.get_num_threads() == 2


def test__resume__fewer_threads_than_it_began_with__goes_on_and_says_so(
    tmp_path: Path, one_thread: None
) -> None:
    torch.set_num_threads(2)
    with pytest.raises(Interrupted):
        run(tmp_path, _stop_after(3))
    torch.set_num_threads(1)
    report = run(tmp_path).report
    assert report["num_resumes"] == 1
    assert any("num_threads" in warning for warning in report["warnings"])


def test__resume__killed_by_the_system__same_bits(
    tmp_path: Path, uninterrupted: bytes, one_thread: None
) -> None:
    command = [sys.executable, "-m", "tests.models.training.pretraining.interrupted_run", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(9)]
        process.kill()
    assert said == ["step\n"] * 9
    bundle = run(tmp_path)
    assert bundle.to_files()[WEIGHTS_FILE] == uninterrupted
    assert bundle.report["num_resumes"] == 1
