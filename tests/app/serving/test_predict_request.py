"""What a prediction request may say; messages name positions and types, never values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schemas.predict import PredictRequest, TargetReference


def faults(body: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        PredictRequest.model_validate(body)
    return [error["type"] for error in refused.value.errors()]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"targets": "*"}, "invalid_rows_or_keys"),
        ({"targets": "*", "rows": [], "keys": []}, "invalid_rows_or_keys"),
        ({"targets": "churn", "rows": []}, "invalid_targets"),
        ({"targets": [], "rows": []}, "invalid_targets"),
        ({"targets": ["a"] * 1_001, "rows": []}, "invalid_targets"),
        ({"targets": [1], "rows": []}, "invalid_target_reference"),
        ({"targets": ["../x"], "rows": []}, "invalid_target_reference"),
        ({"targets": ["a:0"], "rows": []}, "invalid_target_reference"),
        ({"targets": ["a@"], "rows": []}, "invalid_target_reference"),
        ({"targets": ["a@b:1"], "rows": []}, "invalid_target_reference"),
        ({"targets": ["a:\u0661"], "rows": []}, "invalid_target_reference"),
        ({"targets": "*", "rows": {}}, "invalid_rows"),
        ({"targets": "*", "rows": [[]]}, "invalid_rows"),
        ({"targets": "*", "keys": "a"}, "invalid_key"),
        ({"targets": "*", "keys": [1.0]}, "invalid_key"),
        ({"targets": "*", "keys": [True]}, "invalid_key"),
        ({"targets": "*", "keys": [None]}, "invalid_key"),
        ({"targets": "*", "keys": [""]}, "invalid_key"),
        ({"targets": "*", "rows": [], "coverage": 0.0}, "greater_than"),
        ({"targets": "*", "rows": [], "coverage": 1.0}, "less_than"),
        ({"targets": "*", "rows": [], "coverage": "0.9"}, "float_type"),
        ({"targets": "*", "rows": [], "coverage": True}, "float_type"),
        ({"targets": "*", "rows": [], "extra": "drop"}, "literal_error"),
        ({"targets": "*", "rows": [], "others": 1}, "extra_forbidden"),
    ],
)
def test__request__breaking_a_rule__refused_by_its_type(body: dict[str, Any], fault: str) -> None:
    assert faults(body) == [fault]


def test__request__bad_keys__positions_are_named_and_values_are_not() -> None:
    with pytest.raises(ValidationError) as refused:
        PredictRequest.model_validate({"targets": "*", "keys": ["fine", 12.5, 3, 98765.5]})
    message = refused.value.errors()[0]["msg"]
    assert "1, 3" in message
    assert "98765" not in message


def test__request__every_allowed_form__kept_as_sent() -> None:
    request = PredictRequest.model_validate({"targets": ["a", "b@c", "d:3", "a"], "keys": [1, "x", 1]})
    assert request.targets == ("a", "b@c", "d:3")
    assert request.keys == [1, "x", 1]
    assert request.num_rows == 3
    assert PredictRequest.model_validate({"targets": "*", "rows": []}).num_rows == 0


@given(st.text(max_size=20))
def test__reference__any_text__parsed_to_itself_or_not_at_all(text: str) -> None:
    reference = TargetReference.parse(text)
    if reference is not None:
        assert reference.text == text
        assert text.startswith(reference.target)
        assert (reference.alias is None) != (reference.version is None)
