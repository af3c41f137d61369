"""The real service in this process: a server thread on a free port, jobs in threads, a home of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import uvicorn

from app.main import create_app
from app.settings import Settings
from app.wiring import build_container
from rootstock_client import Client

START_S = 60
NUM_ROWS = 320


@dataclass(frozen=True)
class LiveService:
    url: str
    key: str
    home: Path

    def client(self) -> Client:
        return Client(self.url, self.key)


@contextmanager
def live_service(home: Path) -> Iterator[LiveService]:
    settings = Settings(home=home, port=0, executor="inline", inference_threads=1, worker_threads=1)
    container = build_container(settings)
    server = uvicorn.Server(
        uvicorn.Config(create_app(container), log_config=None, timeout_graceful_shutdown=2)
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],), name="live-service")
        thread.start()
        try:
            deadline = time.monotonic() + START_S
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert server.started
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield LiveService(url=url, key=settings.admin_key_file.read_text().strip(), home=home)
        finally:
            container.events.stop()
            server.should_exit = True
            thread.join()
            container.close()


def small_table() -> pl.DataFrame:
    """Customers with an outcome that two columns explain, a key with a leading zero, and gaps."""
    rows = range(NUM_ROWS)
    return pl.DataFrame(
        {
            "id": [f"0{row:04d}" for row in rows],
            "age": [20 + (row * 7) % 60 for row in rows],
            "region": [("north", "south", "east")[row % 3] for row in rows],
            "visits": [None if row % 11 == 0 else (row * 13) % 29 for row in rows],
            "churned": ["yes" if (row * 7) % 60 + 12 * (row % 3) > 45 else "no" for row in rows],
            "plan": [("basic", "plus", "gold")[((row * 7) % 60 // 20 + row % 3) % 3] for row in rows],
        }
    )


def prepare_table(client: Client, name: str) -> None:
    """Register, pretrain for a moment, and make the target `churn` with a head."""
    client.wait(client.register(name, small_table(), key="id", targets=["churned", "plan"]))
    client.wait(client.pretrain(name, max_seconds=1))
    client.create_target(name, "churn", column="churned", positive="yes")
    client.wait(client.finetune(name, "churn", max_labels=120, max_seconds=5))
