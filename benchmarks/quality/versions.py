"""Which state of the code a figure comes from: digests of modules with everything of ours that they import.

Comments, docstrings and layout do not count, so that a figure outlives an edit that cannot have changed it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def digest_of(value: Any) -> str:
    """16 hexadecimal digits of plain JSON data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(modules: Sequence[str], *, within: Sequence[str], without: Sequence[str] = ()) -> str:
    """Of the modules and all they import, directly or not, whose names lie `within` these packages."""
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in found or name in without or not any(_lies_in(name, package) for package in within):
            continue
        path = _path_of(name)
        if path is None:
            continue
        found[name], imported = _read(path, path.stat().st_mtime_ns)
        todo += imported
    return digest_of(found)


def _lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _path_of(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@lru_cache(maxsize=1_024)
def _read(path: Path, changed_at: int) -> tuple[str, tuple[str, ...]]:
    """Digest of what a file does, and the modules it imports; a name from a package may be a module of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16], tuple(_imports(tree))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
