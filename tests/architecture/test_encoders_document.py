"""Every Python block of docs/encoders.md runs, top to bottom, in one namespace, against one service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.client.live import live_service

DOCUMENT = Path(__file__).parents[2] / "docs" / "encoders.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test__encoders__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, object] = {"__name__": "encoders"}
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        for number, block in enumerate(BLOCK.findall(DOCUMENT.read_text()), 1):
            exec(compile(block, f"encoders.md block {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "holdout" in printed
    assert "not_pretrained_column" in printed
