"""A service in a process of its own, for as long as a benchmark needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunningService:
    url: str
    key: str


@contextmanager
def service_process(
    home: Path, *, ready_s: float = 60.0, environment: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """A service and its worker on `home`, on a free port, stopped with SIGTERM at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        **os.environ,
        "ROOTSTOCK_HOME": str(home),
        "ROOTSTOCK_PORT": str(port),
        **(environment or {}),
    }
    service = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve"], env=variables, stdout=subprocess.DEVNULL
    )
    try:
        key = home / "admin-key"
        deadline = time.monotonic() + ready_s
        while not key.is_file() or not _is_listening(port):
            if service.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the service did not start")
            time.sleep(0.1)
        yield RunningService(f"http://127.0.0.1:{port}", key.read_text().strip())
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=60)


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
