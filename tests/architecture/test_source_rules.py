"""Rules of the source that no linter knows: no pickle, one reader of the environment, no machine paths, no test that
leans on another."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "models", "storage", "migrations", "client", "benchmarks")
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
UNSAFE_CALLS = {("torch", "load"), ("torch", "save"), ("np", "load"), ("numpy", "load"), ("yaml", "load")}


def python_files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def imported_test_modules(tree: ast.AST) -> Iterator[str]:
    """Modules of tests, and what is taken from them; `from package import test_module` names one, too."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *names]
        yield from (name for name in names if name.rpartition(".")[2].startswith("test_"))


def attribute_uses(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test__source__is_found() -> None:
    assert len(python_files()) > 50


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test__source__file__loads_nothing_that_can_run_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    unsafe = {name for name in imported_modules(tree) if name.split(".")[0] in UNSAFE_MODULES}
    calls = UNSAFE_CALLS.intersection(attribute_uses(tree))
    assert not unsafe
    assert not calls


def test__source__environment__is_read_by_settings_alone_and_set_by_threads() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.parts[len(ROOT.parts)] in {"app", "models", "storage"}
        and {("os", "environ"), ("os", "getenv")}.intersection(attribute_uses(ast.parse(path.read_text())))
    }
    assert readers <= {"app/settings.py", "app/threads.py"}


def test__tests__imports__come_from_helper_modules_alone() -> None:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    assert len(paths) > 100
    found = [
        f"{path.relative_to(ROOT)}: {name}; what two of them need goes to a module of helpers"
        for path in paths
        for name in imported_test_modules(ast.parse(path.read_text()))
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "from tests.app.test_main import helper",
        "from tests.app import test_main",
        "import tests.app.test_main as main",
        "def late():\n    from tests.app.test_main import helper",
    ],
)
def test__tests__import_of_a_test_module__is_noticed_in_every_form(line: str) -> None:
    assert len(list(imported_test_modules(ast.parse(line)))) == 1
    assert not list(imported_test_modules(ast.parse(line.replace("test_main", "world"))))


def test__source__tracked_files__name_no_path_of_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the rule is about tracked files")
    machine_path = re.compile(r"(?<![\w.$}])/(?:work|root|home)/\w")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yml", ".txt", ".json", ".sh"} and path.is_file():
            found += [
                f"{name}:{i}"
                for i, line in enumerate(path.read_text().splitlines(), 1)
                if machine_path.search(line)
            ]
    assert not found
