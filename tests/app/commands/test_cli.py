"""The command line itself: what it loads, what it says, what it exits with."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rootstock_client.errors
from app.cli import with_global_options_first
from app.commands import COMMANDS, GROUPS
from app.commands.exit_codes import EXIT_CODE_OF, ExitCode, exit_code_of
from rootstock_client import ApiError, RootstockError
from tests.app.commands.conftest import Run

FROZEN_NAMES = [
    *("serve", "worker", "register", "profile", "columns", "pretrain", "target", "label", "finetune"),
    *("heads", "predict", "alias", "jobs", "keys", "doctor", "demo"),
]


def test__cli__import_and_help__load_nothing_heavy() -> None:
    program = (
        "import sys\nfrom app.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'polars', 'lightgbm', 'sqlalchemy', 'fastapi', 'httpx', 'pydantic'}\n"
        "sys.stderr.write(str(sorted(heavy & set(sys.modules))))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]"
    assert "Exit codes" in ran.stdout


def test__cli__any_command__has_threads_of_libraries_sleep_while_they_wait() -> None:
    """Before a library reads it: the help loads none. Who sets it otherwise is left alone."""
    program = (
        "import os\nfrom app.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    pass\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=environment | given,
        )
        assert ran.stdout.split()[-1] == expected


def test__cli__commands__are_those_others_rely_on() -> None:
    names = {name for families in (COMMANDS, GROUPS) for family in families.values() for name in family}
    assert set(FROZEN_NAMES) <= names


@pytest.mark.parametrize("name", [*FROZEN_NAMES, "tables", "targets", "encoders", "openapi"])
def test__command__help__says_what_it_does(run_alone: Run, name: str) -> None:
    ran = run_alone(name, "--help")
    assert ran.code == 0
    assert f"rootstock {name}" in ran.out


def test__cli__no_arguments_or_nonsense__is_usage(run_alone: Run) -> None:
    assert run_alone("nonsense").code == ExitCode.USAGE
    assert run_alone("predict", "t", "churn").code == ExitCode.USAGE
    assert run_alone("register", "t", "no-such-file.csv").code == ExitCode.USAGE
    assert "rootstock 0." in run_alone("--version").out


def test__exit_codes__every_error_of_the_client__has_one() -> None:
    classes = [value for _, value in inspect.getmembers(rootstock_client.errors, inspect.isclass)]
    errors = [cls for cls in classes if issubclass(cls, RootstockError)]
    codes = {
        cls.__name__: next(EXIT_CODE_OF[base] for base in cls.__mro__ if base in EXIT_CODE_OF)
        for cls in errors
    }
    assert codes["NotFoundError"] is ExitCode.NOT_FOUND
    assert codes["ConflictError"] is codes["InvalidRequestError"] is ExitCode.REFUSED
    assert codes["JobFailed"] is codes["JobCancelled"] is ExitCode.JOB_FAILED
    assert codes["ServiceUnavailableError"] is codes["ServiceUnreachableError"] is ExitCode.UNREACHABLE
    assert exit_code_of(ApiError("no", status=418)) is ExitCode.REFUSED


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        (["tables", "list", "--json"], ["--json", "tables", "list"]),
        (["heads", "list", "t", "x", "--url", "http://h"], ["--url", "http://h", "heads", "list", "t", "x"]),
        (["tables", "--url=http://h"], ["--url=http://h", "tables"]),
        (["demo", "--key", "id"], ["demo", "--key", "id"]),
        (["target", "--", "--json"], ["target", "--", "--json"]),
        (["tables", "--url"], ["--url", "tables"]),
        ([], []),
    ],
)
def test__global_options__behind_a_command__come_first(given: list[str], ordered: list[str]) -> None:
    assert with_global_options_first(given) == ordered


def test__no_service__is_unreachable_and_says_what_to_do(
    run_alone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("ROOTSTOCK_KEY", "rs_0000_secret")
    # Port 1 of loopback: nobody listens there.
    ran = run_alone("tables", "list", "--url", "http://127.0.0.1:1")
    assert ran.code == ExitCode.UNREACHABLE
    assert "rootstock serve" in ran.err
    assert ran.out == ""


def test__no_key__is_no_access(run_alone: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
    assert run_alone("tables", "list").code == ExitCode.NO_ACCESS


def test__environment__that_no_setting_takes__is_said_without_its_value(
    run_alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTSTOCK_PORT", "secret-value")
    ran = run_alone("tables", "list")
    assert ran.code == ExitCode.USAGE
    assert "ROOTSTOCK_PORT" in ran.err
    assert "secret-value" not in ran.err


def test__every_command_module__is_short_to_import() -> None:
    for path in (Path(__file__).parents[3] / "app" / "commands").glob("*.py"):
        importlib.import_module(f"app.commands.{path.stem}")
