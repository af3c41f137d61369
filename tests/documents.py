"""Documents as programs: their Python blocks, run as a reader would type them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_blocks(document: Path) -> list[str]:
    return _BLOCK.findall(document.read_text())


def run_blocks(document: Path) -> dict[str, object]:
    """Runs every Python block, top to bottom, in one namespace, which is returned; a document without one fails."""
    blocks = python_blocks(document)
    assert blocks, f"{document.name} has no Python block to run"
    namespace: dict[str, object] = {"__name__": document.stem.lower()}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{document.name} block {number}", "exec"), namespace)
    return namespace
