"""The service a demo talks to: the one that runs on this home, or one started for the demo and stopped after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.commands.running_service import RunningService
from rootstock_client.errors import RootstockError

START_S = 120.0
STOP_S = 60.0
_SHOWN_LINES = 15


class DemoServiceFailed(RootstockError):
    default_code = "service_did_not_start"


@contextmanager
def service_on(home: Path) -> Iterator[tuple[str, bool]]:
    """Address of a service on `home`, and whether it was started for this block (then it ends with it).

    Raises:
        DemoServiceFailed: it ended, or did not listen in two minutes; with the last lines of its log.
    """
    running = RunningService.find(home)
    if running is not None:
        yield running.url, False
        return
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "demo-service.log"
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        # In a session of its own, so that Ctrl-C reaches the demo alone, which then stops the service in order.
        service = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _wait_until_ready(home, service, log), True
    finally:
        _stop(service)


def _wait_until_ready(home: Path, service: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = RunningService.find(home)
        if found is not None and found.pid == service.pid:
            return found.url
        if service.poll() is not None:
            raise DemoServiceFailed(f"the service ended with code {service.returncode}:\n{_tail(log)}")
        time.sleep(0.1)
    raise DemoServiceFailed(f"the service did not listen within {START_S:.0f} s:\n{_tail(log)}")


def _stop(service: subprocess.Popen[bytes]) -> None:
    if service.poll() is not None:
        return
    service.send_signal(signal.SIGTERM)
    try:
        service.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
