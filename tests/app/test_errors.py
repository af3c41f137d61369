"""One table maps every error of the project to HTTP."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import app
import models
import storage
from app.errors import (
    INTERNAL_MESSAGE,
    STATUS_OF,
    ServiceError,
    Unavailable,
    internal_problem,
    status_of,
    to_problem,
)
from models.errors import BundleError, RootstockModelError, TableFormatError
from storage.errors import StorageError

ROOTS = (ServiceError, RootstockModelError, StorageError)


def subclasses(cls: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def all_errors() -> list[type[Exception]]:
    for package in (app, models, storage):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return sorted(
        {error for root in ROOTS for error in subclasses(root)}, key=lambda error: error.__qualname__
    )


def test__error__any_class_of_the_three_trees__has_a_status() -> None:
    found = all_errors()
    assert len(found) > 25
    unmapped = [error.__qualname__ for error in found if not any(cls in STATUS_OF for cls in error.__mro__)]
    assert not unmapped


@pytest.mark.parametrize("root", ROOTS)
def test__error__root_class__is_not_mapped_so_that_new_ones_must_be(root: type[Exception]) -> None:
    assert root not in STATUS_OF
    assert status_of(root("a rule")) is None


def test__problem__of_an_input_error__says_place_and_rule() -> None:
    problem = to_problem(
        TableFormatError("Line 8000 has 3 fields.", code="ragged_row", line=8000, column=None)
    )
    assert problem is not None
    assert problem.body() == {
        "type": "urn:rootstock:problem:ragged_row",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "Line 8000 has 3 fields.",
        "code": "ragged_row",
        "details": {"line": 8000},
    }


def test__problem__unavailable__says_when_to_come_back() -> None:
    problem = to_problem(Unavailable("later", retry_after_s=4.6))
    assert problem is not None
    assert problem.headers == {"Retry-After": "5"}


@pytest.mark.parametrize("error", [ValueError("secret"), BundleError("secret"), KeyError("secret")])
def test__problem__of_a_fault_of_ours__is_left_to_the_bare_500(error: Exception) -> None:
    assert to_problem(error) is None
    body = internal_problem("err_1").body()
    assert (body["detail"], body["details"]) == (INTERNAL_MESSAGE, {"error_id": "err_1"})
