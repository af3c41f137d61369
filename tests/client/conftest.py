"""One real service for all integration tests of the client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.live import LiveService, live_service, prepare_table


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("client-home")) as running:
        yield running


@pytest.fixture(scope="session")
def prepared(service: LiveService) -> str:
    """Name of a table with an encoder, the target `churn` and its first head."""
    with service.client() as client:
        prepare_table(client, "customers")
    return "customers"
