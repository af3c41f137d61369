"""Housekeeping removes what is old and spares what may be in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.services.housekeeping import STALE_UPLOAD_S
from app.settings import Settings
from app.wiring import Container, build_container


def is_remembered(container: Container, workspace_id: str) -> bool:
    with container.database.reading() as uow:
        return uow.idempotency.get(workspace_id, "k") is not None


def test__round__removes_old_records_and_cut_uploads_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", idempotency_ttl_s=0.001)
    container = build_container(settings)
    old, fresh = settings.uploads_dir / "upload-old", settings.uploads_dir / "upload-fresh"
    for path in (old, fresh):
        path.write_bytes(b"x")
    long_ago = time.time() - STALE_UPLOAD_S - 60
    os.utime(old, (long_ago, long_ago))
    with container.database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        uow.idempotency.put(workspace.id, "k", "POST /x", "0" * 64, 200, {}, {})
    young = container.store.put_bytes(workspace.id, b"stored just now, referred to in a moment")
    until = time.monotonic() + 10
    while is_remembered(container, workspace.id):  # the database's clock moves in milliseconds
        container.housekeeper.clean()
        assert time.monotonic() < until
    assert (old.exists(), fresh.exists()) == (False, True)
    assert container.store.exists(workspace.id, young)
    container.close()


def test__start__runs_the_first_round_at_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    container = build_container(settings)
    old = settings.uploads_dir / "upload-old"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    container.housekeeper.start()
    until = time.monotonic() + 10
    while old.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    container.housekeeper.stop()
    container.close()
