"""The client as a package of its own: light to import, with examples that run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import rootstock_client

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(rootstock_client.__path__, "rootstock_client.")
)


def test__import__of_the_client__loads_nothing_of_the_service() -> None:
    program = (
        "import sys, rootstock_client\n"
        "print(sorted({n.split('.')[0] for n in sys.modules} & "
        "{'torch','app','models','storage','fastapi','sqlalchemy','lightgbm','pydantic'}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test__module__docstring_examples__run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test__errors__every_public_one__is_in_the_tree_drawn_on_top() -> None:
    errors = importlib.import_module("rootstock_client.errors")
    classes = {
        value.__name__
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, rootstock_client.RootstockError)
    }
    assert {name for name in classes if name not in str(errors.__doc__)} == set()
    assert classes <= set(rootstock_client.__all__)
