"""What the calls that move heads send, and what they refuse before sending anything."""

from __future__ import annotations

from typing import Any

import pytest

from rootstock_client import Job
from rootstock_client.errors import ConflictError
from tests.client.service import PreparedService, job, ok

ALIAS = "/v1/tables/t/targets/churn/aliases/blue"


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda c: c.delete_encoder("t", 2), "DELETE", "/v1/tables/t/encoders/2", None),
        (lambda c: c.delete_alias("t", "churn", "blue"), "DELETE", ALIAS, None),
        (lambda c: c.rollback_job("t", "job_1"), "POST", "/v1/tables/t/rollback", {"job": "job_1"}),
        (
            lambda c: c.rollback_job("t", Job.from_json(job())),
            "POST",
            "/v1/tables/t/rollback",
            {"job": "job_1"},
        ),
    ],
)
def test__call__sends__its_route_and_body(call: Any, method: str, path: str, body: Any) -> None:
    service = PreparedService(ok({"any": "thing"}))
    assert call(service.client()) == {"any": "thing"}
    assert service.calls == [(method, path)]
    if body is not None:
        assert service.bodies == [body]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({}, {"targets": "*"}),
        ({"targets": "churn", "promote": False}, {"targets": ["churn"], "promote": False}),
        (
            {"targets": ["a", "b"], "labels": "same", "max_seconds": 9.0},
            {"targets": ["a", "b"], "labels": "same", "max_seconds": 9.0},
        ),
    ],
)
def test__refit__sends__only_what_was_said(arguments: dict[str, Any], body: dict[str, Any]) -> None:
    answer = {"encoder": 2, "heads": [], "skipped": {"c": "why"}, "job": job(kind="refit")}
    service = PreparedService(ok(answer, 202))
    started = service.client().refit("t", encoder=2, **arguments)
    assert started.created["skipped"] == {"c": "why"}
    assert service.calls == [("POST", "/v1/tables/t/encoders/2/refit")]
    assert service.bodies == [body]
    assert service.requests[0].headers["idempotency-key"]


def test__refit__without_a_version__takes_the_active_encoder_or_says_there_is_none() -> None:
    service = PreparedService(ok({"active_encoder": 3}), ok({"job": job(kind="refit")}, 202))
    service.client().refit("t")
    assert service.calls[1] == ("POST", "/v1/tables/t/encoders/3/refit")
    with pytest.raises(ConflictError) as caught:
        PreparedService(ok({"active_encoder": None})).client().refit("t")
    assert caught.value.code == "no_encoder"


def test__delete_alias__of_a_revision__sends_the_condition() -> None:
    service = PreparedService(ok({}))
    service.client().delete_alias("t", "churn", "blue", if_revision=4)
    assert service.requests[0].headers["if-match"] == '"4"'
