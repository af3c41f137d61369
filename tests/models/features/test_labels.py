from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.errors import LabelError
from models.features.labels import canonical_key, composite_key, encode_labels, infer_task
from models.features.schema import Task


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["No", "Yes", "No", None], Task.BINARY, ("No", "Yes")),
        (["Yes", "No"], Task.BINARY, ("No", "Yes")),
        (["y", "n", "y"], Task.BINARY, ("n", "y")),
        (["1", "0"], Task.BINARY, ("0", "1")),
        ([True, False], Task.BINARY, (False, True)),
        ([1, 0, 1], Task.BINARY, (0, 1)),
        ([1.0, 0.0], Task.BINARY, (0.0, 1.0)),
        ([-1, 1], Task.BINARY, (-1, 1)),
        (["a"] * 5 + ["b"] * 2, Task.BINARY, ("a", "b")),
        (["a"] * 2 + ["b"] * 5, Task.BINARY, ("b", "a")),
        (["c", "a", "b"], Task.MULTICLASS, ("a", "b", "c")),
        ([1, 2, 3] * 10, Task.MULTICLASS, (1, 2, 3)),
        ([1, 2, 3], Task.REGRESSION, None),
        (list(range(100)), Task.REGRESSION, None),
        ([1.5, 2.5], Task.REGRESSION, None),
        ([1, 2.5, 3], Task.REGRESSION, None),
    ],
)
def test__infer_task__labels__ask_for_their_task(
    values: list[Any], task: Task, classes: tuple[Any, ...] | None
) -> None:
    inferred = infer_task(values)
    assert inferred[:2] == (task, classes)
    if classes is not None:
        assert list(map(type, inferred.classes or ())) == list(map(type, classes))


def test__infer_task__column_of_a_frame__is_as_its_values() -> None:
    values = ["No", "Yes", None, "No"]
    assert infer_task(pl.Series(values), "string") == infer_task(values)
    assert infer_task(pl.Series([True, False, None]), "boolean").classes == (False, True)


@pytest.mark.parametrize(
    ("values", "said", "code"),
    [
        ([None, None], {}, "all_null"), ([], {}, "all_null"), (["a", 1], {}, "mixed_types"), ([True, 1], {}, "mixed_types"),
        (["a", "a"], {}, "one_class"), ([3.5, 3.5], {}, "one_class"), ([f"c{i}" for i in range(501)], {}, "too_many_classes"),
        ([1.0, float("nan")], {}, "not_finite"), (["a", "b"], {"task": Task.REGRESSION}, "task_mismatch"),
        (["a", "b", "c"], {"task": Task.BINARY}, "task_mismatch"),
        (["a", "b"], {"positive": "c"}, "unknown_positive"), ([1, 0], {"positive": True}, "unknown_positive"),
        ([1.5, -1e308], {}, "value_out_of_range"), ([1, 2, 10**400, 4], {"task": Task.REGRESSION}, "value_out_of_range"),
        ([2**53, 2**53 + 1], {"task": Task.REGRESSION}, "one_class"),
        (["a", "b", "c"], {"positive": "a"}, "task_mismatch"), ([[1], [2]], {}, "unsupported_label_type"), (["2024-01-01"], {"storage_type": "date"}, "unsupported_label_type"),
    ],
)  # fmt: skip
def test__infer_task__labels_that_cannot_be_fitted__are_refused(
    values: list[Any], said: dict[str, Any], code: str
) -> None:
    if code == "unsupported_label_type" and values == [[1], [2]]:
        values = [(1,), (2,)]
    with pytest.raises(LabelError) as refused:
        infer_task(values, **said)
    assert refused.value.code == code


def test__infer_task__positive_and_task__are_the_callers_choice() -> None:
    assert infer_task(["No", "Yes"], positive="No").classes == ("Yes", "No")
    assert infer_task([1, 0], positive=0).classes == (1, 0)
    assert infer_task([1, 2, 3] * 10, task=Task.REGRESSION) == (Task.REGRESSION, None, ())
    assert infer_task(list(range(30)), task=Task.MULTICLASS).classes == tuple(range(30))
    assert infer_task(["a", "b"], task=Task.MULTICLASS)[:2] == (Task.MULTICLASS, ("a", "b"))


def test__infer_task__known_classes__stay_as_they_are() -> None:
    kept = infer_task([2.0, 4, 4], task=Task.MULTICLASS, known=(1, 2, 3))
    assert list(map(repr, kept.classes or ())) == ["1", "2", "3", "4"]
    assert kept.warnings[-1] == "3 of 4 classes have fewer than two labels."
    with pytest.raises(LabelError, match="one type"):
        infer_task(["a"], task=Task.MULTICLASS, known=(1, 2, 3))


def test__infer_task__guess__comes_with_a_warning() -> None:
    assert infer_task(["a"] * 5 + ["b"] * 2).warnings
    assert infer_task([1, 2, 3] * 10).warnings
    assert not infer_task(["No", "Yes"] * 5).warnings


def test__encode_labels__classes__become_their_index_and_null_minus_one() -> None:
    encoded = encode_labels(["Yes", None, "No"], Task.BINARY, ("No", "Yes"))
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [1, -1, 0]
    assert encode_labels([1.0, 0], Task.BINARY, (0, 1)).tolist() == [1, 0]


@pytest.mark.parametrize("value", ["yes", True, 1])
def test__encode_labels__unknown_class__is_refused_and_counted(value: Any) -> None:
    with pytest.raises(LabelError) as refused:
        encode_labels(["Yes", value, value], Task.BINARY, ("No", "Yes"))
    assert refused.value.code == "unknown_class"
    assert refused.value.details["num_unknown"] == 2


def test__encode_labels__boolean_is_not_one() -> None:
    with pytest.raises(LabelError):
        encode_labels([True], Task.BINARY, (0, 1))


def test__encode_labels__numbers__become_doubles_and_null_nan() -> None:
    encoded = encode_labels([1, None, 2.5], Task.REGRESSION, None)
    assert encoded.dtype == np.float64
    assert encoded[0] == 1.0
    assert math.isnan(encoded[1])
    for bad in ("1", True, math.inf, 10**400):
        with pytest.raises(LabelError):
            encode_labels([bad], Task.REGRESSION, None)


def test__canonical_key__integers_and_text__are_text() -> None:
    assert canonical_key(7) == canonical_key("7") == "7"
    assert canonical_key("007") == "007"
    assert composite_key(["a|b", 1]) == "a\\|b|1"
    assert composite_key(["a|b"]) == "a|b"
    bad_keys: list[Any] = [1.0, True, None, "", "x" * 1_001]
    for bad in bad_keys:
        with pytest.raises(LabelError) as refused:
            canonical_key(bad)
        assert refused.value.code == "invalid_key"


@pytest.mark.parametrize("label", [1e308, -1.1e30, 10**400])
def test__encode_labels__huge_number__is_refused(label: float) -> None:
    assert encode_labels([1e30, None, -1e30], Task.REGRESSION, None)[2] == -1e30
    with pytest.raises(LabelError) as refused:
        encode_labels([1.0, None, label], Task.REGRESSION, None)
    assert refused.value.code == "value_out_of_range"
