"""`python -m tests.architecture.sizes`: notes files and functions that grew long (a hint, never a failure)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def long_places() -> Iterator[str]:
    lengths = []
    for package in ("app", "models", "storage", "client"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            name = path.relative_to(ROOT)
            num_lines = text.count("\n")
            if num_lines:
                lengths.append(num_lines)
            if num_lines > MAX_FILE_LINES:
                yield f"{name}: {num_lines} lines"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                    span = node.end_lineno - node.lineno + 1
                    if span > MAX_FUNCTION_LINES:
                        yield f"{name}:{node.lineno} {node.name}: {span} lines"
    yield f"(files: {len(lengths)}, median {median(lengths):.0f} lines)"


def main() -> None:
    for line in long_places():
        sys.stdout.write(f"note: {line}\n")


if __name__ == "__main__":
    main()
