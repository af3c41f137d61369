"""Settings: defaults of one laptop, and what would open it to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.commands.session import InvalidSettings, load_settings
from app.settings import SECRETS, Settings, is_loopback
from storage.artifacts import S3StoreConfig


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


class TestSecretFiles:
    def test__secret__in_a_file__is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in SECRETS:
            (tmp_path / name).write_text(f"postgresql://{name}\n")
            monkeypatch.setenv(f"ROOTSTOCK_{name.upper()}_FILE", str(tmp_path / name))
        monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__KIND", "s3")
        monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__BUCKET", "models")
        settings = Settings(home=tmp_path)
        assert settings.database_url == "postgresql://database_url"
        assert settings.admin_key is not None
        assert settings.admin_key.get_secret_value() == "postgresql://admin_key"
        assert isinstance(settings.artifacts, S3StoreConfig)
        assert settings.artifacts.secret_access_key is not None
        assert settings.artifacts.secret_access_key.get_secret_value().endswith("secret_access_key")
        assert settings.artifacts.cache_dir == tmp_path / "cache"
        assert "postgresql" not in repr(settings)

    @pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", b"\xff\xfe", b"a\0b", b"x" * 70_000, None])
    def test__file__that_is_no_secret__is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
    ) -> None:
        if content is not None:
            (tmp_path / "secret").write_bytes(content)
        monkeypatch.setenv("ROOTSTOCK_KEY_FILE", str(tmp_path / "secret"))
        with pytest.raises(InvalidSettings, match="ROOTSTOCK_KEY_FILE") as refusal:
            load_settings(home=tmp_path)
        assert "two" not in str(refusal.value)

    def test__secret__in_a_file_and_a_variable__is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text("geheim")
        monkeypatch.setenv("ROOTSTOCK_KEY_FILE", str(tmp_path / "secret"))
        monkeypatch.setenv("ROOTSTOCK_KEY", "auch-geheim")
        with pytest.raises(InvalidSettings, match="keep one") as refusal:
            load_settings(home=tmp_path)
        assert "geheim" not in str(refusal.value)

    def test__value__refused__is_not_shown(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__KIND", "s3")
        monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__BUCKET", "models")
        monkeypatch.setenv("ROOTSTOCK_ARTIFACTS__SECRET_ACCESS_KEY", "geheim")
        with pytest.raises(InvalidSettings, match="given together") as refusal:
            load_settings(home=tmp_path)
        assert "geheim" not in str(refusal.value)
