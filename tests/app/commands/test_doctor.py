"""What `doctor` notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.commands.checkup import home_folder, migrations_round_trip, stored_objects
from app.commands.exit_codes import ExitCode
from app.commands.findings import Finding, Health
from app.settings import Settings
from app.wiring import build_container
from tests.app.commands.conftest import Run
from tests.platforms import Platform
from tests.storage.buckets import SECRET_ACCESS_KEY, S3Server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    container = build_container(settings)
    with container.database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        digest = container.store.put_bytes(workspace.id, b"stored bytes")
        uow.artifacts.add(workspace.id, digest, 12, "tbl_0")
    container.close()
    return settings


def health_of(findings: list[Finding]) -> dict[str, Health]:
    return {finding.name: finding.health for finding in findings}


def test__stored_objects__damaged_or_missing__are_wrong(settings: Settings) -> None:
    assert health_of(list(stored_objects(settings))) == {
        "database": Health.FINE,
        "database's clock": Health.FINE,
        "local artifact store": Health.FINE,
        "store's clock": Health.FINE,
        "artifacts of default": Health.FINE,
    }
    (stored,) = [
        path
        for path in (settings.home / "artifacts").rglob("*")
        if path.is_file() and path.stat().st_size == 12
    ]
    stored.chmod(0o600)
    stored.write_bytes(b"other bytes!")
    (damaged,) = [finding for finding in stored_objects(settings) if finding.health is Health.WRONG]
    assert "1 of 1" in damaged.text
    stored.unlink()
    assert Health.WRONG in health_of(list(stored_objects(settings))).values()


def test__home__open_to_others__is_wrong(settings: Settings) -> None:
    assert Health.WRONG not in health_of(list(home_folder(settings))).values()
    settings.admin_key_file.chmod(0o644)
    assert health_of(list(home_folder(settings)))["admin key"] is Health.WRONG
    settings.home.chmod(0o755)
    assert health_of(list(home_folder(settings)))["home"] is Health.WRONG


def test__home__not_there_yet__is_a_note_and_stays_away(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "none")
    found = [*home_folder(settings), *stored_objects(settings)]
    assert {finding.health for finding in found} == {Health.NOTE}
    assert not settings.home.exists()


def test__database__that_is_none__is_wrong(settings: Settings) -> None:
    (settings.home / "rootstock.db").write_bytes(b"this is no database file" * 100)
    assert health_of(list(stored_objects(settings)))["database"] is Health.WRONG


def test__doctor__something_wrong__fails(
    run_alone: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(settings.home))
    settings.admin_key_file.chmod(0o666)
    ran = run_alone("doctor")
    assert ran.code == ExitCode.FAILURE
    assert "chmod 0600" in ran.out


def test__migrations__round_trip__is_fine(tmp_path: Path) -> None:
    found = list(migrations_round_trip(tmp_path))
    assert len(found) == 5
    assert {finding.health for finding in found} == {Health.FINE}


def test__production__is_looked_at_without_showing_secrets(own_platform: Platform, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", **own_platform.settings)
    build_container(settings).close()
    found = list(stored_objects(settings))
    assert {finding.health for finding in found} == {Health.FINE}
    assert "s3 artifact store" in health_of(found) or own_platform.name == "sqlite+local"
    assert not any(SECRET_ACCESS_KEY in finding.text for finding in found)


def test__store__unreachable__is_wrong(s3: S3Server, tmp_path: Path) -> None:
    config = s3.config(endpoint="http://127.0.0.1:9", max_retries=0)
    settings = Settings(home=tmp_path / "home", artifacts=config)
    build_container(settings).close()
    found = {finding.name: finding for finding in stored_objects(settings)}["s3 artifact store"]
    assert found.health is Health.WRONG
    assert "store_unavailable" in found.text
