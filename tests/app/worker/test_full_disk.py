"""A disk that runs full under a running job, on a real file system that is too small."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.executors.running import report_unexpected
from tests.app.worker.workplace import Workplace

SIZE_BYTES = 8 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system")
def test__job__whose_disk_runs_full__fails_at_once_and_leaves_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    workplace = Workplace(
        small_disk / "home", database_url=f"sqlite:///{tmp_path}/rootstock.db", min_free_disk_bytes=0
    )
    job_id = workplace.queue("fill", store_bytes=1 << 20, num_bytes=2 * SIZE_BYTES)
    later = workplace.queue("count", steps=1)
    try:
        with workplace.worker():
            job = workplace.ended(job_id)
            assert workplace.ended(later).status == "succeeded"
        assert (job.status, job.attempt) == ("failed", 1)
        assert job.error is not None
        assert job.error["code"] == "disk_full"
        assert workplace.objects() == []
        assert not workplace.scratch(job_id).exists()
    finally:
        workplace.container.close()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("I/O error: No space left on device (os error 28)"),  # as polars and safetensors say it
        OSError(28, "No space left on device"),
    ],
)
def test__error__of_any_library_about_a_full_disk__is_told_as_one(error: Exception) -> None:
    assert report_unexpected(error, "job_x")["code"] == "disk_full"
