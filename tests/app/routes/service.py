"""A whole service in a thread of the test process: real sockets, database, store, routes; jobs run when told to."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import text

from app.executors import InlineExecutor
from app.main import create_app
from app.services.api_keys import mint_key
from app.settings import Settings
from app.wiring import Container, build_container
from app.worker import Patience, Worker
from storage.orm import Base

FINISHED = {"succeeded", "failed", "cancelled"}
DEADLINE_S = 150.0  # of a busy machine
QUICK = Patience(lease_s=10.0, heartbeat_s=0.05, progress_s=0.05, grace_s=5.0)


class Service:
    def __init__(self, home: Path, **settings: Any) -> None:
        self.settings = Settings(
            home=home, embedded_worker=False, worker_threads=1, inference_threads=1, **settings
        )
        self.container: Container = build_container(self.settings)
        self.app = create_app(self.container)
        config = uvicorn.Config(self.app, port=0, log_level="critical", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until = time.monotonic() + DEADLINE_S
        while not self._server.started:
            assert self._thread.is_alive(), "the service did not start"
            assert time.monotonic() < until, "the service did not start in time"
            time.sleep(0.005)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        given = self.settings.key
        self.key = given.get_secret_value() if given else self.settings.admin_key_file.read_text().strip()
        self.http = self.client(self.key)

    def client(self, key: str | None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=DEADLINE_S, verify=False
        )

    def close(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self.container.close()

    def key_of(self, workspace: str, *scopes: str, expires_at: float | None = None) -> str:
        """The text of a new key, also of another workspace."""
        with self.container.database.writing() as uow:
            row = uow.workspaces.get_or_create(workspace)
            return mint_key(uow, row.id, "test", list(scopes or ("admin",)), expires_at)[1]

    def register(
        self, name: str, content: bytes, *, filename: str = "t.csv", **fields: Any
    ) -> httpx.Response:
        data = {
            "name": name,
            **{key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()},
        }
        headers = {"Idempotency-Key": data.pop("idempotency_key")} if "idempotency_key" in data else {}
        files = {"file": (filename, content, "application/octet-stream")}
        return self.http.post("/v1/tables", data=data, files=files, headers=headers)

    def work(self) -> None:
        """Run what is queued, and what that queues, to the end."""
        stop = threading.Event()
        worker = Worker(self.container, executor=InlineExecutor(), patience=QUICK)
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            until = time.monotonic() + DEADLINE_S
            while any(job["status"] not in FINISHED for job in self.http.get("/v1/jobs").json()["jobs"]):
                assert time.monotonic() < until, "jobs did not end"
                stop.wait(0.02)
        finally:
            stop.set()
            thread.join(DEADLINE_S)

    def ready_table(self, name: str = "people", num_rows: int = 300, **fields: Any) -> None:
        answer = self.register(
            name, people_csv(num_rows), columns=fields.pop("columns", PEOPLE_ROLES), **fields
        )
        assert answer.status_code == 202, answer.text
        self.work()
        assert self.job(answer)["status"] == "succeeded", self.job(answer)

    def job(self, answer: httpx.Response) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(answer.headers["location"]).json()
        return found

    def footprint(self) -> dict[str, Any]:
        """Rows per database table and stored objects: equal before and after a refused request."""
        counts: dict[str, Any] = {}
        with self.container.database.reading() as uow:
            for name in Base.metadata.tables:
                counts[name] = uow.session.scalar(text(f'SELECT count(*) FROM "{name}"'))
            workspaces = [workspace.id for workspace in uow.workspaces.list()]
        counts["objects"] = [
            found.digest for workspace in workspaces for found in self.container.store.list(workspace)
        ]
        counts["uploads"] = sorted(path.name for path in self.settings.uploads_dir.iterdir())
        return counts


PEOPLE_ROLES = {"id": {"role": "key"}, "churned": {"role": "target"}}


def people_csv(num_rows: int = 300, seed: int = 0) -> bytes:
    """id, age, city, income, churned: the outcome depends on age and city."""
    draw = random.Random(seed)
    out = io.StringIO()
    out.write("id,age,city,income,churned\n")
    for row in range(num_rows):
        age, city = draw.randint(18, 80), draw.choice(["Oslo", "Rome", "Lima"])
        income = 20_000 + 300 * age + draw.randint(-4000, 4000)
        churned = "Yes" if draw.random() < (0.8 if city == "Lima" else 0.2) else "No"
        out.write(f"p{row},{age},{city},{income},{churned}\n")
    return out.getvalue().encode()


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    return str(body["code"])
