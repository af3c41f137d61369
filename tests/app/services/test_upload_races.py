"""An upload whose bytes somebody removes just after they were stored: kept again, and never referred to while gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import Unavailable
from app.schemas.principal import Principal
from app.schemas.tables import RegisterRequest, SnapshotRequest
from app.services.capacity import Capacity
from app.services.received_files import ReceivedFile
from app.services.snapshots import SnapshotService
from app.services.tables import TableService
from models.features.reading import ReadOptions, Sniffed
from tests.app.jobs.ground import Ground, table_csv


class LosingStore:
    """A store in which the first `num_losses` files are gone as soon as they are stored (another job that used the
    same bytes ended just then)."""

    def __init__(self, store: Any, num_losses: int) -> None:
        self._store = store
        self.num_losses = num_losses

    def put_file(self, workspace_id: str, path: Path) -> str:
        digest: str = self._store.put_file(workspace_id, path)
        if self.num_losses:
            self.num_losses -= 1
            self._store.delete(workspace_id, digest)
        return digest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path / "home")
    yield ground
    ground.container.close()


def received(folder: Path) -> ReceivedFile:
    path = folder / "upload"
    path.write_bytes(table_csv())
    columns = tuple(table_csv().split(b"\n", 1)[0].decode().split(","))
    sniffed = Sniffed(format="csv", columns=columns)
    return ReceivedFile(path, "people.csv", path.stat().st_size, ReadOptions(), sniffed)


def services(ground: Ground, num_losses: int) -> tuple[TableService, SnapshotService, Principal]:
    store: Any = LosingStore(ground.store, num_losses)
    capacity = Capacity([], min_free_bytes=0, job_memory_bytes=1 << 40)
    principal = Principal(ground.workspace_id, "default", "key", frozenset({"admin"}))
    return (
        TableService(ground.database, store, capacity, max_upload_bytes=1 << 30),
        SnapshotService(ground.database, store, capacity, max_upload_bytes=1 << 30),
        principal,
    )


def test__register_and_add__of_bytes_that_vanish__are_stored_again(ground: Ground, tmp_path: Path) -> None:
    tables, _, principal = services(ground, 1)
    answer = tables.register(
        principal, RegisterRequest(name="people", columns={}), [received(tmp_path)], None
    )
    assert ground.objects() == ground.referenced()
    assert ground.run(answer.body["job"]["id"]).status == "succeeded"
    _, snapshots, principal = services(ground, 2)
    wanted = SnapshotRequest(mode="append", columns={})
    answer = snapshots.add(principal, "people", wanted, [received(tmp_path)], None)
    assert ground.run(answer.body["job"]["id"]).status == "succeeded"
    assert ground.objects() == ground.referenced()


def test__register__of_bytes_that_vanish_again_and_again__gives_up_without_a_trace(
    ground: Ground, tmp_path: Path
) -> None:
    tables, _, principal = services(ground, 99)
    before = ground.row_counts()
    with pytest.raises(Unavailable):
        tables.register(principal, RegisterRequest(name="people", columns={}), [received(tmp_path)], None)
    assert ground.row_counts() == before
    assert ground.objects() == set()
