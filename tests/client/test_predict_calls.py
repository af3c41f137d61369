"""What predicting sends, and the frames that answers become."""

from __future__ import annotations

import datetime
import json
from typing import Any

import httpx
import polars as pl
import pytest

from rootstock_client import InvalidArgumentError
from rootstock_client.predictions import PredictionSet
from tests.client.service import PreparedService, ok


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
