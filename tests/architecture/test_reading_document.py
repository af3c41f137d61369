"""Every Python block of docs/reading.md runs, against one service; every reading option is described."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.features.reading import ReadOptions
from tests.client.live import live_service
from tests.documents import DOCS, run_blocks

DOCUMENT = DOCS / "reading.md"


@pytest.mark.slow
def test__reading__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        run_blocks(DOCUMENT)
    assert "the first is on line 4" in capsys.readouterr().out


def test__reading__options__are_all_described() -> None:
    text = DOCUMENT.read_text()
    assert [name for name in ReadOptions.model_fields if f"| `{name}` |" not in text] == []
