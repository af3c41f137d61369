"""What the service answers: the body of DESIGN §6, from rows or keys, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.schemas.predict import PredictRequest
from app.schemas.principal import Principal
from app.serving import answers
from app.serving.catalog import Catalog
from app.serving.errors import ReferenceNotFound, TooManyRows
from app.serving.predictions import PredictionService
from models.encoders.row_features import RowFeatures
from models.errors import RowError
from models.features.schema import Task
from models.heads.decision import MOST_PROBABLE
from models.heads.finishing import NOT_FINISHED
from models.predictor import Predictor
from tests.app.serving.stand_ins import Clock, FlakyDatabase
from tests.app.serving.world import World, json_rows, make_head


def test__predict__every_task_by_keys__columns_as_in_the_design(
    world: World, service: PredictionService
) -> None:
    answer = world.answer(service, targets="*", keys=[1_000, "1001", 1_000])
    assert answer["keys"] == [1_000, "1001", 1_000]
    assert answer["skipped"] == {"bare": "no_champion"}
    assert set(answer["predictions"]) == {"churn", "level", "spend", "active"}
    churn, level = answer["predictions"]["churn"], answer["predictions"]["level"]
    assert (churn["head"], churn["encoder"], churn["classes"]) == (1, 1, ["No", "Yes"])
    assert level["classes"] == [1, 2, 3]
    assert answer["predictions"]["active"]["classes"] == [False, True]
    for prediction in (churn, level, answer["predictions"]["active"]):
        probabilities = np.array(prediction["probabilities"])
        assert probabilities.shape == (3, len(prediction["classes"]))
        assert np.allclose(probabilities.sum(axis=1), 1.0)
        best = [prediction["classes"][index] for index in probabilities.argmax(axis=1)]
        assert prediction["label"] == best
        assert [type(label) for label in prediction["label"]] == [type(label) for label in best]
        assert probabilities[0].tolist() == probabilities[2].tolist()
    spend = answer["predictions"]["spend"]
    assert len(spend["value"]) == len(spend["interval"]) == 3
    assert all(
        low < value < high for value, (low, high) in zip(spend["value"], spend["interval"], strict=True)
    )


def test__predict__rows_and_keys_of_the_same_rows__the_same_bits(
    world: World, service: PredictionService
) -> None:
    frame = world.frame.head(40)
    by_rows = world.answer(service, targets="*", rows=json_rows(frame))
    by_keys = world.answer(service, targets="*", keys=frame["_key"].to_list())
    assert by_rows["predictions"] == by_keys["predictions"]
    assert by_rows["input"] == by_keys["input"]
    assert by_rows["keys"] is None


@pytest.mark.parametrize("source", ["rows", "keys"])
def test__predict__no_rows__empty_columns(world: World, service: PredictionService, source: str) -> None:
    answer = world.answer(service, targets="*", **{source: []})
    assert answer["predictions"]["churn"]["label"] == []
    assert answer["predictions"]["churn"]["probabilities"] == []
    assert answer["predictions"]["spend"]["value"] == []
    assert answer["predictions"]["spend"]["interval"] == []
    assert answer["input"] == {"missing": {}, "unseen": {}}


def test__predict__references_of_every_form__answered_under_their_own_names(
    world: World, service: PredictionService
) -> None:
    wanted = ["churn", "churn@challenger", "churn:2", "spend:1", "churn"]
    answer = world.answer(service, targets=wanted, keys=[1_003])
    predictions = answer["predictions"]
    assert list(predictions) == ["churn", "churn@challenger", "churn:2", "spend:1"]
    assert predictions["churn@challenger"] == predictions["churn:2"]
    assert (predictions["churn:2"]["head"], predictions["churn:2"]["encoder"]) == (2, 2)
    assert predictions["churn"] != predictions["churn:2"]


def test__predict__heads_of_two_encoders_and_three_views__one_pass_for_each(
    world: World, service: PredictionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[str, ...]] = []
    compute = RowFeatures.compute

    def counted(self: RowFeatures, codes: Any, view: tuple[str, ...]) -> Any:
        passes.append(view)
        return compute(self, codes, view)

    monkeypatch.setattr(RowFeatures, "compute", counted)
    world.body(service, targets=["*", "churn:2", "level:1", "churn:1"], keys=[1_000, 1_001])
    assert sorted(passes) == sorted(
        [("churned",), ("churned",), ("balance", "churned"), ("active", "churned")]
    )


def test__predict__coverage_said__sets_of_classes_that_grow_with_it(
    world: World, service: PredictionService
) -> None:
    keys = world.frame["_key"].head(30).to_list()
    plain = world.answer(service, targets="*", keys=keys)["predictions"]
    assert not any("set" in prediction for prediction in plain.values())
    found = [
        world.answer(service, targets="*", keys=keys, coverage=coverage)["predictions"]
        for coverage in (0.5, 0.9)
    ]
    assert all("set" not in said["spend"] for said in found)
    for target in ("churn", "level", "active"):
        narrow, wide = (said[target]["set"] for said in found)
        classes = found[0][target]["classes"]
        assert found[0][target] | {"set": None} == plain[target] | {"set": None}
        for smaller, larger, probabilities in zip(narrow, wide, plain[target]["probabilities"], strict=True):
            assert classes[int(np.argmax(probabilities))] in smaller
            assert set(smaller) <= set(larger)
            assert [value for value in classes if value in larger] == larger
            assert {type(value) for value in larger} == {type(classes[0])}
        assert sum(map(len, narrow)) < sum(map(len, wide))
    alone = world.answer(service, targets=["level"], keys=keys[:1], coverage=0.5)["predictions"]["level"]
    assert alone["set"] == found[0]["level"]["set"][:1]


def test__predict__head_without_sets_and_coverage_said__null(world: World) -> None:
    bundle = next(iter(world.bundles.values()))
    bare = replace(make_head(bundle, Task.BINARY, ("No", "Yes")), finishing=NOT_FINISHED)
    (prediction,) = Predictor(bundle).predict(world.frame.head(3), [bare]).predictions
    assert answers._columns(bare, prediction, MOST_PROBABLE, with_sets=True)["set"] is None
    assert "set" not in answers._columns(bare, prediction, MOST_PROBABLE, with_sets=False)


def test__predict__coverage__wider_intervals_and_the_same_values(
    world: World, service: PredictionService
) -> None:
    narrow = world.answer(service, targets=["spend"], keys=[1_000], coverage=0.5)["predictions"]["spend"]
    wide = world.answer(service, targets=["spend"], keys=[1_000], coverage=0.95)["predictions"]["spend"]
    assert narrow["value"] == wide["value"]
    assert wide["interval"][0][0] < narrow["interval"][0][0]
    assert wide["interval"][0][1] > narrow["interval"][0][1]


def test__predict__missing_and_unseen_cells__counted_per_column(
    world: World, service: PredictionService
) -> None:
    rows = [
        {"plan": "basic", "city": "city 1", "active": True, "age": 30.0, "balance": 1.5, "visits": 2},
        {"plan": None, "city": "Atlantis", "active": True, "age": 30.0, "visits": 2},
        {"plan": "gold", "city": "Eldorado", "active": False, "age": 30.0, "visits": 2},
    ]
    answer = world.answer(service, targets=["churn"], rows=rows)
    assert answer["input"] == {
        "missing": {"plan": 1, "balance": 2, "note": 3},
        "unseen": {"plan": 1, "city": 2},
    }
    forbidden = world.answer(service, targets=["spend"], rows=rows)
    assert forbidden["input"]["missing"] == {"plan": 1, "note": 3}  # balance is not looked at


def test__predict__empty_row__everything_missing_and_still_an_answer(
    world: World, service: PredictionService
) -> None:
    answer = world.answer(service, targets="*", rows=[{}])
    assert len(answer["predictions"]["churn"]["label"]) == 1
    assert answer["input"]["missing"]["plan"] == 1


def test__predict__unknown_column__refused_by_name_unless_ignored(
    world: World, service: PredictionService
) -> None:
    row = {**json_rows(world.frame.head(1))[0], "shoe_size": 43}
    with pytest.raises(RowError, match="shoe_size"):
        world.body(service, targets=["churn"], rows=[row])
    ignored = world.answer(service, targets=["churn"], rows=[row], extra="ignore")
    assert ignored == world.answer(service, targets=["churn"], rows=json_rows(world.frame.head(1)))


def test__predict__wrong_type__refused_without_the_value(world: World, service: PredictionService) -> None:
    with pytest.raises(RowError) as refused:
        world.body(service, targets=["churn"], rows=[{"age": "secret-7"}])
    assert "age" in refused.value.message
    assert "secret-7" not in refused.value.message


@pytest.mark.parametrize("count", [1, 200])
def test__predict__unknown_keys__named_by_position_only(
    world: World, service: PredictionService, count: int
) -> None:
    with pytest.raises(ReferenceNotFound) as refused:
        world.body(service, targets=["churn"], keys=["1000", *["secret-7"] * count, 1_001])
    assert refused.value.code == "key_not_found"
    assert refused.value.details["positions"] == list(range(1, count + 1))
    assert "secret-7" not in refused.value.message + str(refused.value.details)


def test__predict__more_rows_than_allowed__refused(world: World) -> None:
    service = world.service(max_rows=2)
    with pytest.raises(TooManyRows):
        world.body(service, targets=["churn"], rows=[{}] * 3)
    with pytest.raises(TooManyRows):
        world.body(service, targets=["churn"], keys=[1_000] * 3)


def test__predict__another_workspace__sees_nothing(world: World, service: PredictionService) -> None:
    stranger = Principal(world.records.workspace("other"), "other", "key", frozenset({"predict"}))
    for targets in ("*", ["churn"], ["churn:1"]):
        request = PredictRequest.model_validate({"targets": targets, "keys": [1_000]})
        with pytest.raises(ReferenceNotFound) as refused:
            service.predict(stranger, "customers", request)
        assert refused.value.code == "table_not_found"


def test__predict__database_unreachable__answers_from_memory(world: World) -> None:
    flaky = FlakyDatabase(world.database)
    catalog = Catalog(flaky, monotonic=Clock())
    service = PredictionService(catalog, world.store)
    before = world.body(service, targets="*", keys=[1_000, 1_001])
    flaky.is_cut = True
    reads = flaky.num_reads
    assert world.body(service, targets="*", keys=[1_000, 1_001]) == before
    assert flaky.num_reads == reads
    service.stop()


def test__predict__outcomes__counted_without_names(world: World) -> None:
    service = world.service()
    world.body(service, targets="*", keys=[1_000, 1_001])
    world.body(service, targets="*", keys=[1_000, 1_001])
    with pytest.raises(ReferenceNotFound):
        world.body(service, targets=["nobody"], keys=[1_000])
    value = service.metrics.registry.get_sample_value
    assert value("rootstock_predict_requests_total", {"code": "ok"}) == 2
    assert value("rootstock_predict_requests_total", {"code": "target_not_found"}) == 1
    assert value("rootstock_predict_predictions_total") == 2 * 2 * 4
    assert value("rootstock_predict_cache_requests_total", {"cache": "models", "result": "miss"}) == 5
    assert value("rootstock_predict_cache_requests_total", {"cache": "models", "result": "hit"}) == 5
    num_bytes = value("rootstock_predict_cache_bytes", {"cache": "models"})
    assert num_bytes is not None
    assert num_bytes > 0
    service.stop()


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
columns = st.sampled_from(
    ["id", "plan", "city", "active", "age", "balance", "visits", "note", "churned", "_row", ""]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(columns, json_values, max_size=6), max_size=3))
def test__predict__any_json_rows__an_answer_without_nan_or_a_declared_refusal(
    world: World, service: PredictionService, rows: list[dict[str, Any]]
) -> None:
    try:
        answer = world.answer(service, targets="*", rows=rows)
    except (RowError, ServiceError):
        return
    assert len(answer["predictions"]["spend"]["value"]) == len(rows)
    assert b"null" not in orjson.dumps(answer["predictions"])
