"""Settings of the whole test run: one thread per test process (they run side by side), no state of the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# These import neither torch nor polars, and are for all tests: databases, an S3 server, the platforms of both.
from tests.platforms import own_platform, platform
from tests.storage.buckets import s3, s3_process_server
from tests.storage.databases import database_url, empty_url, postgres, sqlite_template

__all__ = [
    "database_url",
    "empty_url",
    "own_platform",
    "platform",
    "postgres",
    "s3",
    "s3_process_server",
    "sqlite_template",
]

# A deadline for one example would be a timing asserted in a test; on a busy machine it fails for no other reason.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Before torch, polars or LightGBM is imported anywhere: their pools read these once. With several pytest
# workers on two cores, more threads per process only wait for each other.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_variable, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real tables first: one of these tests takes minutes, and begun last it would run alone on one core."""
    items.sort(key=lambda item: item.get_closest_marker("realdata") is None)


@pytest.fixture(autouse=True)
def _home_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test may see or touch the installation of whoever runs it."""
    for variable in [name for name in os.environ if name.startswith("ROOTSTOCK_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path_factory.getbasetemp() / "no-home-was-given"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real tables with a `manifest.json`; `DATA=dir` names another than the default."""
    folder = Path(os.environ.get("DATA", "../shared/data")).resolve()
    if not (folder / "manifest.json").is_file():
        pytest.skip("no folder of real tables: set DATA=dir to one with a manifest.json")
    return folder
