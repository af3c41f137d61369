"""Every Python block of README.md runs, top to bottom, in one namespace, against a service started for it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.documents import ROOT, python_blocks, run_blocks

DEADLINE_S = 60


@pytest.fixture
def running_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("ROOTSTOCK_PORT", str(port))
    monkeypatch.setenv("ROOTSTOCK_URL", f"http://127.0.0.1:{port}")
    with (tmp_path / "serve.log").open("w") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_until_ready(port, service, tmp_path / "serve.log")
            yield
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=DEADLINE_S)


def wait_until_ready(port: int, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert service.poll() is None, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the service was not ready within {DEADLINE_S} s:\n{log.read_text()}")


@pytest.mark.slow
@pytest.mark.usefixtures("running_service")
def test__readme__python_blocks__run_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(python_blocks(ROOT / "README.md")) >= 5
    run_blocks(ROOT / "README.md")
    printed = capsys.readouterr().out
    assert "'on': 'out_of_fold'" in printed
    assert {"churn", "plan", "spend", "loyal"} <= set(re.findall(r"[a-z]+", printed))
    assert os.environ["ROOTSTOCK_HOME"] not in printed
