"""Clients that repeat every request until it is answered, with one `Idempotency-Key`, and remember what they were told."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

NUM_ROWS = 120
REQUEST_S = 60.0
GIVE_UP_S = 300.0
FINISHED = frozenset({"succeeded", "failed", "cancelled"})
ROWS = [{"colour": "red", "size": 0.3}, {"colour": "blue", "size": -1.2}, {"colour": None, "size": None}]


class GaveUp(Exception):
    """The service did not answer for minutes, or answered what no client can go on from."""


@dataclass
class Ledger:
    """What the clients were told, and what they saw that must not be."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: dict[str, str] = field(default_factory=dict)  # id -> kind, acknowledged
    tables: dict[str, str] = field(default_factory=dict)  # name -> id of the job that registers it
    label_posts: Counter[str] = field(default_factory=Counter)  # table -> acknowledged
    predictions: dict[tuple[str, int], bytes] = field(default_factory=dict)  # (table, head) -> answer
    num_predictions: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def violation(self, what: str) -> None:
        with self.lock:
            self.violations.append(what)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def acknowledge(self, job: dict[str, Any]) -> str:
        with self.lock:
            known = self.jobs.setdefault(job["id"], job["kind"])
            if known != job["kind"]:
                self.violations.append(f"job {job['id']} was of two kinds")
        return str(job["id"])

    def predicted(self, table: str, head: int, body: bytes) -> None:
        with self.lock:
            self.num_predictions += 1
            if self.predictions.setdefault((table, head), body) != body:
                self.violations.append(f"head {head} of {table} predicted something else than before")


class ChaosClient:
    """Registers tables, pretrains, labels, fine-tunes, predicts, until told to stop; finishes what it has begun."""

    def __init__(self, number: int, url: str, key: str, ledger: Ledger, seed: int) -> None:
        self._name = f"client-{number}"
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=REQUEST_S)
        self._ledger = ledger
        self._random = random.Random(f"{seed}/{number}")
        self._num_tables = 0

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._num_tables += 1
                self._one_table(f"{self._name}-{self._num_tables}", stop)
        except GaveUp as error:
            self._ledger.violation(f"{self._name}: {error}")
        finally:
            self.close()

    def close(self) -> None:
        self._http.close()

    def _one_table(self, table: str, stop: threading.Event) -> None:
        answer = self._ask(
            "POST",
            "/v1/tables",
            data={"name": table, "columns": '{"id": {"role": "key"}}'},
            files={"file": ("rows.csv", self._csv())},
        )
        job = self._ledger.acknowledge(answer["job"])
        with self._ledger.lock:
            self._ledger.tables[table] = job
        if self._ended(job)["status"] != "succeeded":
            return
        encoder = self._ask("POST", f"/v1/tables/{table}/encoders", json={"max_seconds": 1.0})
        job = self._ledger.acknowledge(encoder["job"])
        if self._random.random() < 0.3:
            self._pause_and_resume(job)
        if self._ended(job)["status"] != "succeeded":
            return
        self._ask("POST", f"/v1/tables/{table}/targets", json={"name": "churn", "task": "binary"})
        for _ in range(3):
            self._label(table)
            self._fit(table)
            if stop.is_set():
                return

    def _label(self, table: str) -> None:
        keys = self._random.sample(range(NUM_ROWS), 60)
        labels = [{"key": f"k{key}", "value": "yes" if key % 3 == 0 else "no"} for key in keys]
        self._ask("POST", f"/v1/tables/{table}/targets/churn/labels", json={"labels": labels})
        with self._ledger.lock:
            self._ledger.label_posts[table] += 1

    def _fit(self, table: str) -> None:
        wanted = {"head": {"kind": "linear"}, "max_seconds": 2.0}
        answer = self._ask("POST", f"/v1/tables/{table}/targets/churn/heads", json=wanted)
        version = answer["head"]["version"]
        if self._ended(self._ledger.acknowledge(answer["job"]))["status"] != "succeeded":
            return
        heads = [head for name, head in list(self._ledger.predictions) if name == table]
        for head in {version, *heads}:
            for _ in range(3):
                self.predict(table, head)

    def predict(self, table: str, head: int) -> None:
        """One prediction of a fixed version, compared with the first."""
        body = {"targets": [f"churn:{head}"], "rows": ROWS}
        answer = self._send("POST", f"/v1/tables/{table}/predict", {}, {"json": body})
        if answer.status_code != 200:
            raise GaveUp(f"prediction answered {answer.status_code}: {answer.text[:200]}")
        self._ledger.predicted(table, head, answer.content)

    def _pause_and_resume(self, job: str) -> None:
        self._ask("POST", f"/v1/jobs/{job}/pause")
        self._ledger.count("pauses")
        time.sleep(self._random.uniform(0.0, 2.0))
        self._ask("POST", f"/v1/jobs/{job}/resume")
        # A pause that is taken back while its worker stops leaves the job queued, never paused.

    def _ended(self, job: str) -> dict[str, Any]:
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            found = self._ask("GET", f"/v1/jobs/{job}")
            if found["status"] in FINISHED:
                return found
            time.sleep(0.1)
        raise GaveUp(f"job {job} did not end in {GIVE_UP_S:.0f} s")

    def _csv(self) -> bytes:
        lines = ["id,colour,size"]
        for key in range(NUM_ROWS):
            colour = self._random.choice(["red", "green", "blue"])
            lines.append(f"k{key},{colour},{self._random.gauss(0, 1) + (key % 3 == 0):.4f}")
        return "\n".join(lines).encode()

    def _ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        headers = {} if method == "GET" else {"Idempotency-Key": str(uuid.uuid4())}
        answer = self._send(method, path, headers, what)
        if answer.status_code >= 300:
            raise GaveUp(f"{method} {path.split('/')[2]} answered {answer.status_code}: {answer.text[:200]}")
        body: dict[str, Any] = answer.json()
        return body

    def _send(self, method: str, path: str, headers: dict[str, str], what: dict[str, Any]) -> httpx.Response:
        """Until it is answered: a connection that breaks says nothing about whether the request took effect."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            try:
                answer = self._http.request(method, path, headers=headers, **what)
            except httpx.TransportError:
                self._ledger.count("broken_requests")
                time.sleep(self._random.uniform(0.1, 0.5))
                continue
            self._ledger.count("answers")
            if answer.headers.get("Idempotency-Replayed"):
                self._ledger.count("replayed")
            if answer.status_code in (429, 503):
                self._ledger.count(f"answers_{answer.status_code}")
                time.sleep(float(answer.headers.get("Retry-After", "1")))
                continue
            if answer.status_code >= 500:
                self._ledger.violation(f"{method} {path} answered {answer.status_code}")
            return answer
        raise GaveUp(f"{method} {path} was not answered in {GIVE_UP_S:.0f} s")
