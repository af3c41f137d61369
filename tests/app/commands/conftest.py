"""The command line in this process, against one real service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.cli import main
from tests.client.live import LiveService, live_service, prepare_table


@dataclass(frozen=True)
class Ran:
    """What one command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run_alone(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line as the user would, without a service."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        try:
            main(arguments)
            code: object = 0
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return Ran(code=int(code) if isinstance(code, int) else 1, out=captured.out, err=captured.err)

    return run


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("cli-home")) as running:
        yield running


@pytest.fixture(scope="session")
def prepared(service: LiveService) -> str:
    with service.client() as client:
        prepare_table(client, "customers")
    return "customers"


@pytest.fixture
def run(run_alone: Run, service: LiveService, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same as the user of the service's home, with its address in the environment."""
    monkeypatch.setenv("ROOTSTOCK_HOME", str(service.home))
    monkeypatch.setenv("ROOTSTOCK_URL", service.url)
    return run_alone
