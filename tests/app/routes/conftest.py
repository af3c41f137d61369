from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.routes.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An empty service of one test."""
    service = Service(tmp_path / "home")
    yield service
    service.close()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the ready table `people`, shared by tests that leave it as it is (or make what they name)."""
    service = Service(tmp_path_factory.mktemp("people") / "home")
    service.ready_table("people")
    yield service
    service.close()
