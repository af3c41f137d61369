"""Settings: defaults of one laptop, and what would open it to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, is_loopback


def test__settings__home__names_the_rest(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/rootstock.db"
    assert settings.artifacts.kind == "local"
    assert settings.admin_key_file == tmp_path / "admin-key"
    assert is_loopback(settings.host)


def test__settings__environment__is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("ROOTSTOCK_ALLOWED_HOSTS", "A.example, *.b.example ,")
    monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__KIND", "memory")
    settings = Settings()
    assert settings.home == tmp_path
    assert settings.allowed_hosts == ("a.example", "*.b.example")
    assert settings.artifacts.kind == "memory"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "rootstock.example"])
def test__settings__public_address__needs_the_names_it_is_reached_by(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValidationError, match="ROOTSTOCK_ALLOWED_HOSTS"):
        Settings(home=tmp_path, host=host)
    assert Settings(home=tmp_path, host=host, allowed_hosts=("rootstock.example",)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test__settings__loopback_address__needs_nothing(tmp_path: Path, host: str) -> None:
    assert Settings(home=tmp_path, host=host).host == host
