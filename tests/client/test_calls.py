"""What every call sends and what it makes of the answer."""

from __future__ import annotations

import datetime
import json
from email import message_from_bytes
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from rootstock_client import InvalidArgumentError, InvalidRequestError, ServerFiles, UnexpectedResponseError
from rootstock_client.predictions import PredictionSet
from tests.client.service import PreparedService, job, ok, problem

STARTED = {"table": {"name": "t", "status": "registering"}, "job": job(kind="ingest")}


def form_of(request: httpx.Request) -> dict[str, bytes]:
    """Parts of a multipart body by name, in their order."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + request.content).get_payload()
    assert isinstance(parts, list)
    found: dict[str, bytes] = {}
    for part in parts:
        name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
        content = part.get_payload(decode=True)  # type: ignore[union-attr]
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        found[name] = content
    return found


def test__register__file__streams_it_after_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("id,age\n1,2\n")
    service = PreparedService(ok(STARTED, 202))
    started = service.client().register(
        "t",
        path,
        columns={"age": {"kind": "continuous"}},
        key="id",
        targets=["churned", "plan"],
        drop=["ssn"],
        split="time",
        evaluation_fraction=0.2,
        reading={"delimiter": ";"},
        pretrain=True,
    )
    form = form_of(service.requests[0])
    assert list(form)[-1] == "file"
    assert form.pop("file") == path.read_bytes()
    assert b'filename="customers.csv"' in service.requests[0].content
    assert json.loads(form.pop("columns")) == {
        "age": {"kind": "continuous"},
        "id": {"role": "key"},
        "churned": {"role": "target"},
        "plan": {"role": "target"},
        "ssn": {"role": "drop"},
    }
    assert json.loads(form.pop("split")) == {"by": "time"}
    assert json.loads(form.pop("reading")) == {"delimiter": ";"}
    assert form == {"name": b"t", "evaluation_fraction": b"0.2", "pretrain": b"true"}
    assert (started.kind, started.status, started.created) == (
        "ingest",
        "queued",
        {"table": STARTED["table"]},
    )


def test__register__frame__is_sent_as_parquet() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    service = PreparedService(ok(STARTED, 202))
    service.client().register("t", frame)
    form = form_of(service.requests[0])
    assert pl.read_parquet(form["file"]).equals(frame)
    assert b'filename="t.parquet"' in service.requests[0].content
    assert set(form) == {"name", "file"}


def test__register__missing_file_or_two_roles__is_refused_before_sending(tmp_path: Path) -> None:
    client = PreparedService().client()
    with pytest.raises(InvalidArgumentError, match="no file"):
        client.register("t", tmp_path / "none.csv")
    with pytest.raises(InvalidArgumentError, match="a column has one"):
        client.register("t", pl.DataFrame({"a": [1]}), key="a", drop="a")


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


def answer_for(request: httpx.Request) -> httpx.Response:
    """What a service with heads churn:3 and ltv:1 would answer."""
    asked = json.loads(request.content)
    rows = asked.get("rows", asked.get("keys"))
    targets = ["churn", "ltv"] if asked["targets"] == "*" else asked["targets"]
    predictions: dict[str, Any] = {}
    for target in targets:
        if target.startswith("churn"):
            predictions[target] = {
                "head": 3,
                "encoder": 1,
                "classes": [False, True],
                "label": [True] * len(rows),
                "probabilities": [[0.25, 0.75]] * len(rows),
            }
            if "coverage" in asked:
                predictions[target]["set"] = [[False, True], [True]][: len(rows)]
        else:
            values = [float(len(str(row))) for row in rows]
            interval = [[value - 1, value + 1] for value in values]
            predictions[target] = {"head": 1, "encoder": 1, "value": values, "interval": interval}
    return ok(
        {
            "keys": asked.get("keys"),
            "predictions": predictions,
            "input": {"missing": {"age": len(rows)}, "unseen": {}},
            "skipped": {"plan": "no champion"},
        }
    )


class TestPredict:
    def test__predict__keys__give_a_frame(self) -> None:
        service = PreparedService(answer_for)
        frame = service.client().predict("t", "*", keys=["a", 22]).frame()
        assert frame.to_dict(as_series=False) == {
            "key": ["a", "22"],
            "churn": [True, True],
            "churn.probability": [0.75, 0.75],
            "ltv": [1.0, 2.0],
            "ltv.low": [0.0, 1.0],
            "ltv.high": [2.0, 3.0],
        }
        assert service.bodies == [{"targets": "*", "keys": ["a", 22]}]

    def test__predict__coverage__gives_sets_too(self) -> None:
        client = PreparedService(answer_for, answer_for).client()
        whole = client.predict("t", ["churn"], keys=["a", "b"], coverage=0.8)
        frame = whole.frame(all_classes=True)
        assert frame["churn.set"].to_list() == [[False, True], [True]]
        assert frame.columns[:4] == ["key", "churn", "churn.probability", "churn.set"]
        assert PredictionSet.from_json(whole.to_json()).frame(all_classes=True).equals(frame)
        in_batches = PreparedService(answer_for, answer_for).client()
        found = in_batches.predict("t", ["churn"], keys=["a", "b"], coverage=0.8, rows_per_request=1)
        assert found.frame()["churn.set"].to_list() == [[False, True], [False, True]]
        mixed = whole.to_json()
        mixed["predictions"]["churn"] |= {"set": [["a", 1], []]}
        assert PredictionSet.from_json(mixed).frame()["churn.set"].to_list() == [["a", "1"], []]

    @pytest.mark.parametrize("head", [{"set": None}, {"interval": None}])
    def test__predict__head_without_sets_or_intervals__in_batches__is_joined(
        self, head: dict[str, Any]
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            body = answer_for(request).json()
            for prediction in body["predictions"].values():
                prediction |= head
            return ok(body)

        client = PreparedService(answer, answer).client()
        found = client.predict("t", "*", keys=["a", "b"], rows_per_request=1)
        assert found.frame().height == 2

    @pytest.mark.parametrize("asked", ["*", ["churn", "ltv"], ["churn@challenger", "ltv:1", "churn"]])
    def test__predict__in_batches__equals_one_request(self, asked: Any) -> None:
        keys = [f"{'k' * n}" for n in range(1, 8)]
        whole = PreparedService(answer_for).client().predict("t", asked, keys=keys)
        service = PreparedService(*[answer_for] * 4)
        assert (
            service.client().predict("t", asked, keys=keys, rows_per_request=2).to_json() == whole.to_json()
        )
        assert service.num_unused == 0

    def test__predict__in_batches__asks_for_the_same_heads_throughout(self) -> None:
        service = PreparedService(answer_for, answer_for)
        service.client().predict("t", ["churn"], keys=["a", "b"], rows_per_request=1)
        assert [body["targets"] for body in service.bodies] == [["churn"], ["churn:3"]]

    def test__predict__frame_of_rows__is_strict_json(self) -> None:
        frame = pl.DataFrame(
            {
                "age": [41.5, float("nan")],
                "day": [datetime.date(2024, 2, 29), None],
                "plan": pl.Series(["gold", None], dtype=pl.Categorical),
                "price": pl.Series(["1.50", None]).cast(pl.Decimal(10, 2)),
            }
        )
        service = PreparedService(answer_for)
        service.client().predict("t", ["ltv"], rows=frame, coverage=0.5, extra="ignore")
        assert service.bodies == [
            {
                "targets": ["ltv"],
                "rows": [
                    {"age": 41.5, "day": "2024-02-29", "plan": "gold", "price": 1.5},
                    {"age": None, "day": None, "plan": None, "price": None},
                ],
                "coverage": 0.5,
                "extra": "ignore",
            }
        ]

    def test__predict__no_rows__is_one_request_with_an_empty_answer(self) -> None:
        service = PreparedService(answer_for, answer_for)
        client = service.client()
        assert client.predict("t", ["churn", "ltv"], rows=[]).frame().shape == (0, 5)
        assert len(client.predict("t", ["churn"], keys=[])) == 0

    def test__predict__same_head_by_two_names__in_batches__answers_both(self) -> None:
        service = PreparedService(*[answer_for] * 2)
        both = service.client().predict("t", ["churn", "churn@champion"], keys=["a", "b"], rows_per_request=1)
        assert {name: len(value["label"]) for name, value in both.predictions.items()} == {
            "churn": 2,
            "churn@champion": 2,
        }

    def test__predict__rows_and_keys_or_infinity__is_refused_before_sending(self) -> None:
        client = PreparedService().client()
        with pytest.raises(InvalidArgumentError, match="exactly one"):
            client.predict("t", "churn")
        with pytest.raises(InvalidArgumentError, match="exactly one"):
            client.predict("t", "churn", rows=[], keys=[])
        with pytest.raises(InvalidArgumentError, match="'age'"):
            client.predict("t", "churn", rows=pl.DataFrame({"age": [float("inf")]}))
        with pytest.raises(InvalidArgumentError, match="'tags'"):
            client.predict("t", "churn", rows=pl.DataFrame({"tags": [["a"]]}))


def test__register__several_files__are_parts_of_one_form_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.csv", "a.csv")]
    for path in paths:
        path.write_text(f"x,y\n{path.stem},1\n")
    service = PreparedService(ok(STARTED, 202))
    service.client().register("t", paths)
    body = service.requests[0].content
    assert body.count(b'name="file"; filename=') == 2
    assert body.index(b"b.csv") < body.index(b"a.csv")
    with pytest.raises(InvalidArgumentError, match="at least one"):
        service.client().register("t", [])


def test__register__files_of_the_server__are_named_in_json() -> None:
    service = PreparedService(ok(STARTED, 202))
    source = ServerFiles("exports", "2024-*.csv")
    service.client().register("t", source, key="id", evaluation_fraction=0.25, reading={"decimal": ","})
    assert json.loads(service.requests[0].content) == {
        "name": "t",
        "columns": {"id": {"role": "key"}},
        "evaluation_fraction": 0.25,
        "reading": {"decimal": ","},
        "source": {"folder": "exports", "pattern": "2024-*.csv"},
    }


def test__sources__listed__with_their_pattern() -> None:
    found = [{"folder": "exports", "num_files": 2}]
    service = PreparedService(ok({"sources": found}))
    assert service.client().sources("*.csv") == found
    assert service.requests[0].url.params["pattern"] == "*.csv"


def test__frame__of_several_classes__shows_the_probability_of_what_was_decided() -> None:
    answer = {
        "predictions": {
            "plan": {
                "head": 1,
                "encoder": 1,
                "classes": ["basic", "plus", "gold"],
                "label": ["gold", "basic"],
                "probabilities": [[0.6, 0.1, 0.3], [0.5, 0.2, 0.3]],
                "decision": {"rule": "costs", "costs": [[0, 1, 1], [1, 0, 1], [9, 9, 0]]},
            }
        }
    }
    frame = PredictionSet.from_json(answer).frame()
    assert frame["plan.probability"].to_list() == [0.3, 0.5]
    assert PredictionSet.from_json({"predictions": {}}).frame().is_empty()
