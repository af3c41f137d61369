"""A copy of the database, then of the objects, restored elsewhere, predicts the same."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from pydantic import SecretStr

from app.settings import Settings
from app.wiring import build_container
from tests.app.routes.service import Service


def test__backup__taken_while_serving__restores_all(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.ready_table("people", 60)
    expected = service.http.get("/v1/tables/people").json()
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    with (
        sqlite3.connect(tmp_path / "home" / "rootstock.db") as source,
        sqlite3.connect(copy / "rootstock.db") as target,
    ):
        source.backup(target)
    source.close()
    target.close()
    service.ready_table("later", 60)  # what comes after the dump is not missed by it
    shutil.copytree(tmp_path / "home" / "artifacts", copy / "artifacts")
    key = service.key
    service.close()
    restored = Service(copy, key=SecretStr(key))
    try:
        assert restored.http.get("/v1/tables/people").json() == expected
        assert restored.http.get("/v1/tables/later").status_code == 404
        assert restored.http.get("/v1/tables/people/profile").is_success
        with restored.container.database.reading() as uow:
            workspace = uow.workspaces.get_by_name("default")
            for digest in uow.artifacts.all_digests(workspace.id):
                restored.container.store.get_bytes(workspace.id, digest)
    finally:
        restored.close()


def test__home__without_a_copy__is_made_again(tmp_path: Path) -> None:
    build_container(Settings(home=tmp_path / "new")).close()
    assert (tmp_path / "new" / "admin-key").exists()
