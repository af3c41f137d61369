"""`python -m tests.e2e.worker_process HOME`: a worker as a process of its own, stopped by SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from app.settings import Settings
from app.wiring import build_container
from app.worker import Patience, Worker

PATIENCE = Patience(lease_s=3.0, heartbeat_s=0.3, progress_s=0.2, grace_s=30.0)
"""A short lease, so that the tests need not wait long for a dead worker's job."""


def main() -> None:
    container = build_container(Settings(home=Path(sys.argv[1]), worker_threads=1), with_serving=False)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    Worker(container, patience=PATIENCE).run(stop)
    container.close()


if __name__ == "__main__":
    main()
