"""The two places an installation stands on: SQLite + a folder, and PostgreSQL + S3; settings for either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from storage.artifacts.s3 import REVEAL_SECRETS
from tests.storage.buckets import S3Server
from tests.storage.databases import PostgresServer

PLATFORMS = ("sqlite+local", "postgresql+s3")


@dataclass(frozen=True)
class Platform:
    """`settings` are those of `app.settings.Settings` that make it; none where the home is all there is."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process of its own."""
        found = {"ROOTSTOCK_DATABASE_URL": self.settings["database_url"]} if self.settings else {}
        if "artifacts" in self.settings:
            config = self.settings["artifacts"].model_dump(mode="json", context={REVEAL_SECRETS: True})
            for name, value in config.items():
                if value is not None:
                    found[f"ROOTSTOCK_ARTIFACTS__{name.upper()}"] = str(value)
        return found


@contextmanager
def platform_of(request: pytest.FixtureRequest, name: str) -> Iterator[Platform]:
    """A new, empty one."""
    if name == "sqlite+local":
        yield Platform(name)
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    s3: S3Server = request.getfixturevalue("s3_process_server")
    url = postgres.create()
    yield Platform(name, {"database_url": url, "artifacts": s3.config()})
    postgres.drop(url)


@pytest.fixture(scope="module", params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Shared by the tests of a module."""
    with platform_of(request, request.param) as made:
        yield made


@pytest.fixture(params=PLATFORMS)
def own_platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Of one test."""
    with platform_of(request, request.param) as made:
        yield made
