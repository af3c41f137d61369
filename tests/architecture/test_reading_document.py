"""Every Python block of docs/reading.md runs, against one service; every reading option is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.features.reading import ReadOptions
from tests.client.live import live_service

TEXT = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test__reading__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    blocks = BLOCK.findall(TEXT)
    assert blocks
    namespace: dict[str, object] = {"__name__": "reading"}
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"reading.md block {number}", "exec"), namespace)
    assert "the first is on line 4" in capsys.readouterr().out


def test__reading__options__are_all_described() -> None:
    assert [name for name in ReadOptions.model_fields if f"| `{name}` |" not in TEXT] == []
