"""An API and a worker as separate processes on one home, killed and started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx
import psutil

START_S = 180.0  # a busy machine needs tens of seconds for the imports


class Killed:
    """One process that is started again after each SIGKILL; what it prints goes to `log`."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "app.cli", *arguments]
        self._environment = environment
        self._log: IO[bytes] = log.open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def kill_a_task(self) -> bool:
        """SIGKILL one job's process (a grandchild), as the system does when memory runs out; False if there is none."""
        if not self.is_running:
            return False
        assert self._process is not None
        try:
            servers = psutil.Process(self._process.pid).children()
            tasks = [task for server in servers for task in server.children()]
            for task in tasks[:1]:
                task.kill()
        except psutil.Error:
            return False
        return bool(tasks)

    def stop(self) -> None:
        """SIGTERM, as an operator would; SIGKILL after a minute."""
        if self.is_running:
            assert self._process is not None
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()


class Deployment:
    """`serve --no-worker` and `worker` on `home`, with short leases."""

    def __init__(self, home: Path, database_url: str | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.home = home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "ROOTSTOCK_HOME": str(home),
            "ROOTSTOCK_PORT": str(port),
            "ROOTSTOCK_LEASE_S": "4",
            "ROOTSTOCK_HEARTBEAT_S": "0.5",
            "ROOTSTOCK_WORKER_THREADS": "1",
            "ROOTSTOCK_WORKER_SLOTS": "2",
            "ROOTSTOCK_INFERENCE_THREADS": "1",
            **({} if database_url is None else {"ROOTSTOCK_DATABASE_URL": database_url}),
        }
        self.api = Killed(["serve", "--no-worker", "--log-level", "warning"], environment, home / "api.log")
        self.worker = Killed(["worker", "--log-level", "warning"], environment, home / "worker.log")

    def start(self) -> None:
        self.api.start()
        self.worker.start()

    def stop(self) -> None:
        self.worker.stop()
        self.api.stop()

    def key(self) -> str:
        return (self.home / "admin-key").read_text().strip()

    def wait_until_ready(self, *, with_worker: bool) -> None:
        """Raises: TimeoutError, when the API does not answer or no worker shows up."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._is_ready(with_worker=with_worker):
                return
            if not self.api.is_running:
                raise TimeoutError("the API ended by itself; see api.log")
            time.sleep(0.1)
        raise TimeoutError(f"the deployment was not ready after {START_S:.0f} s; see its logs")

    def _is_ready(self, *, with_worker: bool) -> bool:
        try:
            if httpx.get(f"{self.url}/readyz", timeout=5).status_code != 200:
                return False
            if not with_worker:
                return True
            headers = {"Authorization": f"Bearer {self.key()}"}
            answer = httpx.get(f"{self.url}/v1/workers", headers=headers, timeout=5)
            return answer.status_code == 200 and not answer.json()["kinds_without_worker"]
        except (httpx.HTTPError, OSError):
            return False

    def leftovers(self) -> list[int]:
        """Processes of this home that should be gone."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("ROOTSTOCK_HOME") == str(self.home):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


class Killer:
    """Kills something of a deployment at random until told to stop, and starts it again."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        seed: int,
        pause_s: tuple[float, float],
        on_problem: Callable[[str], None],
    ) -> None:
        self.kills: Counter[str] = Counter()
        self._deployment = deployment
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._on_problem = on_problem

    def run(self, stop: threading.Event) -> None:
        victims = ["worker", "api", "both", "task"]
        self._random.shuffle(victims)
        number = 0
        while not stop.wait(self._random.uniform(*self._pause_s)):
            # Every kind once before chance decides: a short run shall see each.
            victim = victims[number] if number < len(victims) else self._random.choice(victims)
            number += 1
            try:
                self._kill(victim, stop)
            except TimeoutError as error:
                self._on_problem(str(error))
                return

    def _kill(self, victim: str, stop: threading.Event) -> None:
        deployment = self._deployment
        if victim == "task":
            self.kills["task"] += deployment.worker.kill_a_task()
            return
        killed = [
            process
            for name, process in (("worker", deployment.worker), ("api", deployment.api))
            if victim in (name, "both")
        ]
        for process in killed:
            process.kill()
        self.kills[victim] += 1
        stop.wait(self._random.uniform(0.0, 2.0))
        for process in killed:
            process.start()
        deployment.wait_until_ready(with_worker=deployment.worker in killed)
