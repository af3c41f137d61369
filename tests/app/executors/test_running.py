from __future__ import annotations

import errno
import logging

import polars as pl
import pytest
import torch

from app.executors.running import report_unexpected, throttled
from models.errors import BundleError
from storage.errors import ArtifactDamaged
from tests.app.executors.registry import SECRET


def torch_out_of_memory() -> Exception:
    try:
        torch.empty(1 << 60, dtype=torch.uint8)
    except RuntimeError as error:
        return error
    raise AssertionError("an exabyte was there")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError(SECRET), "internal_error"),
        (pl.exceptions.PanicException(SECRET), "internal_error"),
        (MemoryError(), "out_of_memory"),
        (torch_out_of_memory(), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EIO, "Input/output error"), "internal_error"),
        (BundleError("damaged"), "damaged_bundle"),
        (ArtifactDamaged("damaged"), "artifact_damaged"),
    ],
)
def test__unexpected_error__is_named_by_its_class_and_logged_under_its_id(
    error: BaseException, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        described = report_unexpected(error, "job_1")
    assert described["code"] == code
    assert described["message"]
    assert described["details"]["error_id"] in caplog.text
    assert type(error).__name__ in caplog.text
    assert SECRET not in str(described) + caplog.text


def test__unexpected_error__log__has_positions_of_the_whole_chain_without_messages(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        try:
            int(SECRET)
        except ValueError as cause:
            raise RuntimeError(SECRET) from cause
    except RuntimeError as error:
        report_unexpected(error, "job_1")
    assert "builtins.RuntimeError" in caplog.text
    assert "caused by builtins.ValueError" in caplog.text
    assert "test_running.py" in caplog.text
    assert SECRET not in caplog.text


def test__progress__called_in_a_tight_loop__is_sent_now_and_then() -> None:
    sent: list[object] = []
    progress = throttled(sent.append)
    for step in range(10_000):
        progress(step, 10_000, "")
    assert 1 <= len(sent) < 1_000
