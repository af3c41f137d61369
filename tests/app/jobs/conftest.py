from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.jobs.ground import Ground, ready_ground


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """An empty one."""
    ground = Ground(tmp_path / "home")
    yield ground
    ground.container.close()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """With a table and an encoder, shared by the tests of a module: each makes targets of its own."""
    ground = ready_ground(tmp_path_factory.mktemp("ready") / "home")
    yield ground
    ground.container.close()
