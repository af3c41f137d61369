"""The Python blocks of docs/reading.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.features.reading import ReadOptions

TEXT = (Path(__file__).parents[4] / "docs" / "reading.md").read_text()


def test__document__python_blocks__run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/reading.md", "exec"), {})


def test__document__reading_options__are_all_described() -> None:
    assert [name for name in ReadOptions.model_fields if f"| `{name}` |" not in TEXT] == []
