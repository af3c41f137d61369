"""Two API processes and two workers on one PostgreSQL and one S3 store, started as docker-compose.yml starts them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.settings import SECRETS
from rootstock_client import Client
from rootstock_client.errors import RootstockError
from storage.engine import Database
from tests.app.executors.tasks import eventually
from tests.architecture.containers import ROOT, command_of, environment_of, health_of
from tests.client.live import small_table
from tests.platforms import Platform, platform_of

DEADLINE_S = 240.0
KEY = f"rs_{'7' * 16}_{'c0ffee00' * 8}"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # eight interpreters with torch on few cores


@pytest.fixture
def production(request: pytest.FixtureRequest) -> Iterator[Platform]:
    with platform_of(request, "postgresql+s3") as made:
        yield made


class Installation:
    """Processes with the commands, variables and secret files of the composition; only addresses differ."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.folder = folder
        self.database_url = str(platform.settings["database_url"])
        self._here = platform.environment
        (folder / "secrets").mkdir()

    def environment(self, service: str, home: str, **changes: str) -> dict[str, str]:
        found = {
            name: value for name, value in os.environ.items() if not name.startswith(("ROOTSTOCK_", "AWS_"))
        }
        found |= {"OMP_NUM_THREADS": "1", "ROOTSTOCK_HOME": str(self.folder / home)}
        for name, value in environment_of(service).items():
            setting = name.removeprefix("ROOTSTOCK_").removesuffix("_FILE").lower()
            if setting in SECRETS:
                secret = self.folder / "secrets" / setting
                secret.write_text(KEY if setting == "admin_key" else self._here[name.removesuffix("_FILE")])
                found[name] = str(secret)
            else:
                found[name] = self._here.get(name, value)
        return found | {"ROOTSTOCK_ARTIFACTS__PREFIX": self._here["ROOTSTOCK_ARTIFACTS__PREFIX"], **changes}

    @contextmanager
    def process(self, service: str, home: str, **changes: str) -> Iterator[psutil.Popen]:
        """Stopped by SIGTERM at the end, unless it is gone by then."""
        with (self.folder / f"{home}.log").open("wb") as log:
            started = psutil.Popen(
                [sys.executable, "-m", "app.cli", *command_of(service)],
                cwd=ROOT, env=self.environment(service, home, **changes), stdout=log, stderr=log,
            )  # fmt: skip
            try:
                yield started
                if started.poll() is None:
                    started.terminate()
                    assert started.wait(60) == 0, self.log(home)
            finally:
                if started.poll() is None:
                    for child in started.children(recursive=True):
                        child.kill()
                    started.kill()
                    started.wait()

    def health(self, service: str, home: str, *arguments: str) -> int:
        words = health_of(service) if not arguments else list(arguments)
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            cwd=ROOT, env=self.environment(service, home), capture_output=True,
        ).returncode  # fmt: skip

    def log(self, home: str) -> str:
        return (self.folder / f"{home}.log").read_text()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test__many_processes__on_one_database_and_store(production: Platform, tmp_path: Path) -> None:
    place = Installation(tmp_path, production)
    ports = [free_port(), free_port()]
    hosts = {
        "ROOTSTOCK_HOST": "127.0.0.1",
        "ROOTSTOCK_EMBEDDED_WORKER": "false",
        "ROOTSTOCK_WORKER_THREADS": "1",
    }
    with ExitStack() as stack:
        # All at once on an empty database: they migrate it and make the key without getting in each other's way.
        for number, port in enumerate(ports):
            stack.enter_context(place.process("api", f"api-{number}", ROOTSTOCK_PORT=str(port), **hosts))
        workers = [
            stack.enter_context(place.process("worker", f"worker-{number}", ROOTSTOCK_LEASE_S="4", ROOTSTOCK_HEARTBEAT_S="0.5", ROOTSTOCK_WORKER_THREADS="1"))
            for number in range(2)
        ]  # fmt: skip
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        clients = [stack.enter_context(Client(url, KEY)) for url in urls]
        for client in clients:
            eventually(partial(is_served, client), "both services", DEADLINE_S)
        assert place.health("api", "api-0", "--url", urls[0], "health") == 0
        assert place.health("api", "api-0", "--url", f"http://127.0.0.1:{free_port()}", "health") == 1
        eventually(lambda: place.health("worker", "worker-0") == 0, "a worker's presence", DEADLINE_S)
        work_through_both(clients, workers)
        assert not any((tmp_path / f"api-{number}" / "admin-key").exists() for number in range(2))
    with_secrets = [*(path.read_text() for path in (tmp_path / "secrets").iterdir()), KEY]
    for home in ("api-0", "api-1", "worker-0", "worker-1"):
        assert not any(secret in place.log(home) for secret in with_secrets)
        assert "Traceback" not in place.log(home)


def is_served(client: Client) -> bool:
    try:
        return client.tables() is not None
    except RootstockError:
        return False


def work_through_both(clients: list[Client], workers: list[psutil.Popen]) -> None:
    one, other = clients
    one.wait(one.register("customers", small_table(), key="id", targets=["churned", "plan"]))
    other.wait(other.pretrain("customers", max_seconds=0.5))
    other.create_target("customers", "churn", column="churned", positive="yes")
    one.create_target("customers", "plan", column="plan")
    jobs = [
        client.finetune("customers", target, max_labels=120, max_seconds=5)
        for client, target in ((one, "churn"), (other, "plan"), (one, "churn"))
    ]
    kill_with_children(workers[0])
    for client, job in zip((other, one, other), jobs, strict=True):
        client.wait(job)
    rows = small_table().head(5).drop("churned", "plan", "id").to_dicts()
    answers: list[Any] = [client.predict("customers", rows=rows, targets=["churn:1", "churn:2", "plan:1"]) for client in clients]  # fmt: skip
    assert repr(answers[0]) == repr(answers[1])


def kill_with_children(worker: psutil.Popen) -> None:
    family = worker.children(recursive=True)
    worker.kill()
    worker.wait()
    psutil.wait_procs(family, timeout=30)


def test__first_key__of_many_processes_at_once__is_one(production: Platform, tmp_path: Path) -> None:
    """Without a chosen key: only the home of the process that made it has it."""
    from app.settings import Settings
    from app.wiring import build_container

    homes = [tmp_path / f"home-{number}" for number in range(4)]
    barrier = threading.Barrier(len(homes))
    failures: list[Exception] = []

    def start(home: Path) -> None:
        settings = Settings(home=home, **production.settings)
        barrier.wait(30)
        try:
            build_container(settings).close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(home,)) for home in homes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    written = [home / "admin-key" for home in homes if (home / "admin-key").exists()]
    assert len(written) == 1
    database = Database.open(production.settings["database_url"])
    with database.reading() as uow:
        (key,) = uow.keys.list(uow.workspaces.get_by_name("default").id)
    database.dispose()
    assert re.fullmatch(rf"rs_{key.id}_[0-9a-f]{{64}}", written[0].read_text().strip())
