"""Every Python block of docs/columns.md runs, top to bottom, in one namespace, against one service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.live import live_service
from tests.documents import DOCS, run_blocks


@pytest.mark.slow
def test__columns__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        run_blocks(DOCS / "columns.md")
    printed = capsys.readouterr().out
    assert "('signup', 'time'" in printed
