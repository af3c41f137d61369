"""What every call sends and what it makes of the answer."""

from __future__ import annotations

import datetime
from typing import Any

import httpx
import polars as pl
import pytest

from rootstock_client import InvalidArgumentError, InvalidRequestError, UnexpectedResponseError
from tests.client.service import PreparedService, job, ok, problem


def test__list__several_pages__are_joined() -> None:
    pages = [
        {"tables": [{"name": "a"}], "next_cursor": "c1"},
        {"tables": [{"name": "b"}], "next_cursor": None},
    ]
    service = PreparedService(*map(ok, pages))
    assert [table["name"] for table in service.client().tables()] == ["a", "b"]
    assert service.calls[1] == ("GET", "/v1/tables?limit=100&cursor=c1")
    with pytest.raises(UnexpectedResponseError):
        PreparedService(ok({"rows": []})).client().tables()


def test__jobs__limit__stops_asking() -> None:
    service = PreparedService(ok({"jobs": [job(), job()], "next_cursor": "more"}))
    assert len(service.client().jobs(status="queued", limit=1)) == 1
    assert service.calls == [("GET", "/v1/jobs?status=queued&limit=1")]


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda c: c.table("t"), "GET", "/v1/tables/t", None),
        (lambda c: c.profile("t"), "GET", "/v1/tables/t/profile", None),
        (
            lambda c: c.set_columns("t", {"a": {"role": "drop"}}),
            "PATCH",
            "/v1/tables/t/columns",
            {"columns": {"a": {"role": "drop"}}},
        ),
        (lambda c: c.encoder("t", 2), "GET", "/v1/tables/t/encoders/2", None),
        (lambda c: c.activate("t", 2), "POST", "/v1/tables/t/encoders/2/activate", None),
        (
            lambda c: c.create_target(
                "t", "churn", column="churned", positive="Yes", forbidden_columns="reason"
            ),
            "POST",
            "/v1/tables/t/targets",
            {"name": "churn", "column": "churned", "positive": "Yes", "forbidden_columns": ["reason"]},
        ),
        (lambda c: c.create_target("t", "ltv"), "POST", "/v1/tables/t/targets", {"name": "ltv"}),
        (lambda c: c.target("t", "churn"), "GET", "/v1/tables/t/targets/churn", None),
        (lambda c: c.head("t", "churn", 3), "GET", "/v1/tables/t/targets/churn/heads/3", None),
        (
            lambda c: c.set_alias("t", "churn", "champion", 3),
            "PUT",
            "/v1/tables/t/targets/churn/aliases/champion",
            {"version": 3},
        ),
        (
            lambda c: c.rollback("t", "churn"),
            "POST",
            "/v1/tables/t/targets/churn/aliases/champion/rollback",
            None,
        ),
        (
            lambda c: c.create_key(
                "ci", ["predict"], expires_at=datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
            ),
            "POST",
            "/v1/keys",
            {"name": "ci", "scopes": ["predict"], "expires_at": "2030-01-01T00:00:00+00:00"},
        ),
    ],
)
def test__call__sends__its_route_and_body(call: Any, method: str, path: str, body: Any) -> None:
    service = PreparedService(ok({"any": "thing"}))
    assert call(service.client()) == {"any": "thing"}
    assert service.calls == [(method, path)]
    assert service.requests[0].headers["authorization"] == "Bearer rs_4f2a_very-secret"
    if body is None:
        assert service.requests[0].content == b""
    else:
        assert service.bodies == [body]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda c: c.delete_table("t"), "/v1/tables/t"),
        (lambda c: c.delete_target("t", "churn"), "/v1/tables/t/targets/churn"),
        (lambda c: c.delete_head("t", "churn", 1), "/v1/tables/t/targets/churn/heads/1"),
        (lambda c: c.revoke_key("abcd"), "/v1/keys/abcd"),
    ],
)
def test__delete__no_content__gives_none(call: Any, path: str) -> None:
    service = PreparedService(httpx.Response(204))
    assert call(service.client()) is None
    assert service.calls == [("DELETE", path)]


@pytest.mark.parametrize(
    ("targets", "sent"), [("*", "*"), ("churn", ["churn"]), (("churn", "ltv"), ["churn", "ltv"])]
)
def test__finetune__targets__are_a_list_or_the_star(targets: Any, sent: Any) -> None:
    service = PreparedService(ok({"heads": [], "job": job(kind="finetune")}, 202))
    service.client().finetune(
        "t", targets, head="linear", max_labels=200, seed=1, max_seconds=5, alias="challenger"
    )
    assert service.bodies == [
        {
            "targets": sent,
            "head": {"kind": "linear"},
            "labels": {"limit": 200, "seed": 1},
            "max_seconds": 5,
            "alias": "challenger",
        }
    ]


COUNTS = {"accepted": 2, "replaced": 1, "withdrawn": 0, "unmatched": 0}


class TestLabels:
    def test__label__frame__goes_in_batches_and_is_summed(self) -> None:
        frame = pl.DataFrame({"key": [1, 2, 3], "value": ["a", None, "b"], "weight": [0.5, None, 1.0]})
        service = PreparedService(ok(COUNTS | {"num_labels": 2}), ok(COUNTS | {"num_labels": 4}))
        total = service.client().label("t", "churn", frame, labels_per_request=2)
        assert total == {"accepted": 4, "replaced": 2, "withdrawn": 0, "unmatched": 0, "num_labels": 4}
        assert service.bodies == [
            {
                "labels": [{"key": 1, "value": "a", "weight": 0.5}, {"key": 2, "value": None}],
                "strict": False,
            },
            {"labels": [{"key": 3, "value": "b", "weight": 1.0}], "strict": False},
        ]

    def test__label__tuples_and_mappings__are_the_same_labels(self) -> None:
        service = PreparedService(*(ok(COUNTS | {"num_labels": 2}) for _ in range(2)))
        client = service.client()
        client.label("t", "churn", [("a", True), ("b", None)])
        client.label(
            "t", "churn", ({"key": key, "value": value} for key, value in [("a", True), ("b", None)])
        )
        assert service.bodies[0] == service.bodies[1]

    def test__label__one_batch_without_a_match__is_counted(self) -> None:
        refused = problem(422, "no_label_matches")
        service = PreparedService(refused, ok(COUNTS | {"num_labels": 2}))
        total = service.client().label("t", "churn", [("x", 1), ("y", 2)], labels_per_request=1)
        assert total["unmatched"] == 1
        assert total["accepted"] == 2

    def test__label__nothing_matches_or_strict__is_refused(self) -> None:
        with pytest.raises(InvalidRequestError):
            PreparedService(problem(422, "no_label_matches")).client().label("t", "churn", [("x", 1)])
        service = PreparedService(problem(422, "no_label_matches"))
        with pytest.raises(InvalidRequestError):
            service.client().label("t", "churn", [("x", 1), ("y", 2)], strict=True, labels_per_request=1)

    def test__label__times__are_unix_seconds_whatever_they_came_as(self) -> None:
        when = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
        frame = pl.DataFrame({"key": ["a"], "value": [1.5], "at": [when]})
        service = PreparedService(*(ok(COUNTS | {"num_labels": 1}) for _ in range(3)))
        client = service.client()
        for labels in (
            frame,
            [("a", 1.5, when)],
            [{"key": "a", "value": 1.5, "at": when.replace(tzinfo=None)}],
        ):
            client.label("t", "ltv", labels)
        sent = {"key": "a", "value": 1.5, "at": when.timestamp()}
        assert [body["labels"] for body in service.bodies] == [[sent]] * 3

    @pytest.mark.parametrize(
        "labels",
        [
            [],
            [("only-key",)],
            [{"key": 1}],
            pl.DataFrame({"id": [1], "value": [1]}),
            [{"key": 1, "value": 1, "x": 1}],
        ],
    )
    def test__label__wrong_form__is_refused_before_sending(self, labels: Any) -> None:
        with pytest.raises(InvalidArgumentError):
            PreparedService().client().label("t", "churn", labels)
