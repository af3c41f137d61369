from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.worker.workplace import Workplace


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path / "home")
    yield workplace
    workplace.container.close()
