"""Prediction requests that cannot be answered; answers themselves are tested where heads are fitted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.routes.service import Service, code_of

SECRET = "Okonkwo-4711"
URL = "/v1/tables/people/predict"


@pytest.fixture(scope="module")
def asked(people: Service) -> Service:
    people.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    return people


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"targets": ["nothing"], "rows": [{}]}, 404, "target_not_found"),
        ({"targets": ["churn"], "rows": [{}]}, 404, "alias_not_found"),
        ({"targets": ["churn:7"], "rows": [{}]}, 404, "head_not_found"),
        ({"targets": ["../x"], "rows": [{}]}, 422, "invalid_target_reference"),
        ({"targets": [], "rows": [{}]}, 422, "invalid_targets"),
        ({"targets": "churn", "rows": [{}]}, 422, "invalid_targets"),
        ({"targets": "*"}, 422, None),
        ({"targets": "*", "rows": [{}], "keys": ["p1"]}, 422, None),
        ({"targets": "*", "rows": {}}, 422, "invalid_rows"),
        ({"targets": "*", "rows": [[SECRET]]}, 422, "invalid_rows"),
        ({"targets": "*", "keys": [1.5]}, 422, "invalid_key"),
        ({"targets": "*", "keys": [True]}, 422, "invalid_key"),
        ({"targets": "*", "rows": [{}], "coverage": 1.0}, 422, "invalid_request"),
        ({"targets": "*", "rows": [{}], "coverage": SECRET}, 422, "invalid_request"),
        ({"targets": "*", "rows": [{}], "extra": SECRET}, 422, "invalid_request"),
    ],
)
def test__predict__request_that_cannot_be__is_refused(
    asked: Service, body: dict[str, Any], status: int, code: str | None
) -> None:
    before = asked.footprint()
    answer = asked.http.post(URL, json=body)
    assert answer.status_code == status, answer.text
    assert code in (None, code_of(answer)), answer.text
    assert SECRET not in answer.text
    assert asked.footprint() == before


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test__predict__number_that_is_no_json__is_refused(asked: Service, number: bytes) -> None:
    content = b'{"targets": "*", "rows": [{"age": ' + number + b"}]}"
    answer = asked.http.post(URL, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, code_of(answer)) == (400, "invalid_json")


def test__predict__all_targets_without_a_champion__are_skipped(asked: Service) -> None:
    answer = asked.http.post(URL, json={"targets": "*", "rows": [{"age": 30}]})
    assert answer.status_code == 200
    assert answer.json()["predictions"] == {}
    assert "churn" in answer.json()["skipped"]
