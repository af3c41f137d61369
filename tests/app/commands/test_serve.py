"""`serve` as a process: it starts once per home, says where it is, and stops cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.exit_codes import ExitCode
from app.commands.running_service import AlreadyServed, RunningService, locked_home
from app.commands.serve import AddressInUse, listening_socket, url_of
from rootstock_client import Client
from tests.app.commands.conftest import Run

DEADLINE_S = 90


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def process(home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    (home / "uploads").mkdir(parents=True)
    (home / "uploads" / "upload-cut").write_bytes(b"half of a file")  # as a killed process leaves it
    with (tmp_path / "serve.log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0"], stdout=log, stderr=log
        )
        try:
            yield started
        finally:
            started.kill()
            started.wait()


def wait_until_served(home: Path, process: subprocess.Popen[bytes], log: Path) -> RunningService:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = RunningService.find(home)
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test__serve__from_start_to_sigterm(
    home: Path, process: subprocess.Popen[bytes], run_alone: Run, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"
    found = wait_until_served(home, process, log)
    assert found.pid == process.pid
    assert not any((home / "uploads").iterdir())
    key = (home / "admin-key").read_text().strip()
    with Client(found.url, key) as client:
        assert client.tables() == []
    # Without an address: the command line finds the service of its home.
    assert run_alone("tables", "list", "--json").json == []
    second = run_alone("serve", "--port", "0")
    assert second.code == ExitCode.FAILURE
    assert found.url in second.err
    said = log.read_text()
    assert found.url in said
    assert "admin-key" in said
    assert key not in said, "a key is shown to a terminal only"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE_S) == 0
    assert "stopped" in log.read_text()
    assert RunningService.find(home) is None
    assert not (home / "serve.json").exists()


def test__serve__port_in_use__says_so_before_anything_is_made(home: Path, run_alone: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = run_alone("serve", "--port", str(port))
    assert ran.code == ExitCode.FAILURE
    assert str(port) in ran.err
    assert "--port" in ran.err
    assert not (home / "rootstock.db").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test__listening_socket__address_of_another_machine__is_refused(host: str) -> None:
    with pytest.raises(AddressInUse), listening_socket(host, 0):
        pass


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")]
)
def test__url__of_a_listener__can_be_opened_from_this_machine(host: str, shown: str) -> None:
    with listening_socket(host, 0) as listener:
        assert url_of(host, listener) == f"http://{shown}:{listener.getsockname()[1]}"


class TestLock:
    def test__home__locked__is_not_locked_twice(self, tmp_path: Path) -> None:
        with locked_home(tmp_path) as lock:
            assert RunningService.find(tmp_path) is None
            lock.announce("http://127.0.0.1:5")
            assert RunningService.find(tmp_path) == RunningService("http://127.0.0.1:5", os.getpid())
            with pytest.raises(AlreadyServed, match=r"127\.0\.0\.1:5"), locked_home(tmp_path):
                pass
        assert RunningService.find(tmp_path) is None
        with locked_home(tmp_path):
            pass

    def test__announcement__of_a_dead_process__does_not_count(self, tmp_path: Path) -> None:
        with locked_home(tmp_path):
            pass
        (tmp_path / "serve.json").write_text('{"url": "http://127.0.0.1:5", "pid": 1}')
        assert RunningService.find(tmp_path) is None

    def test__home__that_does_not_exist__is_not_served(self, tmp_path: Path) -> None:
        assert RunningService.find(tmp_path / "none") is None
