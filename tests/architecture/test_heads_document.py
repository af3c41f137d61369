"""Every Python block of docs/heads.md runs, top to bottom, in one namespace, against one service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.live import live_service
from tests.documents import DOCS, run_blocks


@pytest.mark.slow
def test__heads__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        run_blocks(DOCS / "heads.md")
    printed = capsys.readouterr().out
    assert "a perfect model shows" in printed
    assert "furnished.set" in printed
    assert "90% asked" in printed
