"""Decision rules of targets over HTTP, on heads that were really fitted; and which rows to label next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from app.errors import ResourceConflict
from app.services.lookup import current_schema
from app.services.target_labels import check_fittable
from models.features.schema import Role, TableSchema
from tests.app.routes.service import Service, code_of

KEYS = [f"p{row}" for row in range(300)]
TARGETS = "/v1/tables/people/targets"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`people` with an encoder and champions of `churn` (a column) and `level` (multiclass with two classes, by key)."""
    service = Service(tmp_path_factory.mktemp("decisions") / "home")
    service.ready_table("people")
    service.http.post("/v1/tables/people/encoders", json={"max_seconds": 1}).raise_for_status()
    service.work()
    service.http.post(
        TARGETS,
        json={"name": "churn", "column": "churned", "decision": {"rule": "threshold", "threshold": 0.25}},
    ).raise_for_status()
    service.http.post(TARGETS, json={"name": "level", "task": "multiclass"}).raise_for_status()
    service.http.post(TARGETS, json={"name": "amount", "task": "regression"}).raise_for_status()
    labels = [
        {"key": key, "value": "old" if row % 300 < 150 else "new"} for row, key in enumerate(KEYS[:200])
    ]
    service.http.post(f"{TARGETS}/level/labels", json={"labels": labels}).raise_for_status()
    answer = service.http.post(
        "/v1/tables/people/fine-tunes", json={"targets": ["churn", "level"], "max_seconds": 5}
    )
    assert answer.status_code == 202, answer.text
    service.work()
    job = service.job(answer)
    assert job["status"] == "succeeded", job
    for target in ("churn", "level"):
        service.http.put(f"{TARGETS}/{target}/aliases/champion", json={"version": 1}).raise_for_status()
    yield service
    service.close()


def decide(service: Service, target: str, **rule: Any) -> httpx.Response:
    return service.http.put(f"{TARGETS}/{target}/decision", json=rule)


def predict(service: Service, targets: Any, keys: list[str] | None = None) -> httpx.Response:
    return service.http.post("/v1/tables/people/predict", json={"targets": targets, "keys": keys or KEYS})


def answer_of(service: Service, target: str) -> dict[str, Any]:
    answer = predict(service, [target])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["predictions"][target]
    return found


def positives(found: dict[str, Any]) -> npt.NDArray[np.bool_]:
    return np.array([label == found["classes"][-1] for label in found["label"]], dtype=np.bool_)


def test__rule__given_with_the_target__is_in_the_heads_report(fitted: Service) -> None:
    report = fitted.http.get(f"{TARGETS}/churn/heads/1").json()["report"]
    found = report["decision_metrics"]
    assert found["decision"] == {"rule": "threshold", "threshold": 0.25}
    judged = found["metrics"]["out_of_fold"]
    assert judged["recall"]["low"] <= judged["recall"]["value"] <= judged["recall"]["high"]
    assert judged["counts"]["decided_positive"] >= judged["counts"]["true_positive"]
    assert report["score_quantiles"]["num_rows"] == 300
    assert "score_quantiles" not in fitted.http.get(f"{TARGETS}/level/heads/1").json()["report"]


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.6, 1.0])
def test__threshold__decides_labels_and_is_evaluated(fitted: Service, threshold: float) -> None:
    body = decide(fitted, "churn", rule="threshold", threshold=threshold).json()
    found = answer_of(fitted, "churn")
    assert found["decision"] == {"rule": "threshold", "threshold": threshold} == body["applied"]
    scores = np.array(found["probabilities"])[:, 1]
    assert (positives(found) == (scores >= threshold)).all()
    if threshold == 0.0:
        assert body["metrics"]["out_of_fold"]["recall"]["value"] == 1.0
    if threshold == 1.0:
        assert body["metrics"]["out_of_fold"]["precision"]["value"] is None
        assert body["metrics"]["out_of_fold"]["precision"]["reason"]


def test__costs__lower_the_expected_cost(fitted: Service) -> None:
    body = decide(fitted, "churn", rule="costs", costs=[[0, 1], [8, 0]]).json()
    judged = body["metrics"]["out_of_fold"]["cost"]["value"]
    assert judged <= body["most_probable"]["out_of_fold"]["cost"]["value"] + 0.02
    found = answer_of(fitted, "churn")
    scores = np.array(found["probabilities"])[:, 1]
    clear = np.abs(scores - 1 / 9) > 1e-9
    assert (positives(found)[clear] == (scores[clear] > 1 / 9)).all()


@pytest.mark.parametrize("rule", [{"share": 0.05}, {"count": 15}, {"share": 1.0}])
def test__capacity__bounds_positives_whoever_is_asked(fitted: Service, rule: dict[str, Any]) -> None:
    assert decide(fitted, "churn", rule="capacity", **rule).status_code == 200
    found = answer_of(fitted, "churn")
    is_positive = positives(found)
    assert is_positive.sum() == 300 if rule == {"share": 1.0} else 0 < is_positive.sum() <= 15
    for row in (0, 17, int(is_positive.argmax())):
        alone = predict(fitted, ["churn"], [KEYS[row]]).json()["predictions"]["churn"]
        assert alone["label"] == [found["label"][row]]
        assert alone["decision"] == found["decision"]


def test__capacity__older_head__is_refused_and_skipped(fitted: Service) -> None:
    assert decide(fitted, "churn", rule="threshold", threshold=0.5).status_code == 200
    with fitted.container.database.writing() as uow:
        workspace = uow.workspaces.get_by_name("default")
        target = uow.targets.by_name(uow.tables.by_name(workspace.id, "people").id, "churn")
        head = uow.heads.by_version(target.id, 1)
        report = dict(head.report or {})
        head.report = {name: value for name, value in report.items() if name != "score_quantiles"}
    try:
        answer = decide(fitted, "churn", rule="capacity", share=0.1)
        assert (answer.status_code, code_of(answer)) == (409, "no_score_quantiles")
        with fitted.container.database.writing() as uow:
            uow.targets.set_decision(target, {"rule": "capacity", "share": 0.1})
        named = predict(fitted, ["churn"])
        assert (named.status_code, code_of(named)) == (409, "no_score_quantiles")
        every = predict(fitted, "*").json()
        assert every["skipped"]["churn"] == "no_score_quantiles"
        assert "level" in every["predictions"]
    finally:
        with fitted.container.database.writing() as uow:
            uow.heads.by_version(target.id, 1).report = report
            uow.targets.set_decision(target, None)


def test__decision__deleted__is_the_most_probable_class(fitted: Service) -> None:
    decide(fitted, "churn", rule="threshold", threshold=0.9)
    body = fitted.http.delete(f"{TARGETS}/churn/decision").json()
    assert body["decision"] == {"rule": "most_probable"}
    assert body["metrics"] == body["most_probable"]
    found = answer_of(fitted, "churn")
    assert (positives(found) == (np.array(found["probabilities"]).argmax(axis=1) == 1)).all()
    assert fitted.http.get(f"{TARGETS}/churn").json()["decision"] is None


def test__multiclass__of_exactly_two_classes__is_fitted_and_decided_by_costs(fitted: Service) -> None:
    found = answer_of(fitted, "level")
    assert found["classes"] == ["new", "old"]
    assert np.allclose(np.array(found["probabilities"]).sum(axis=1), 1.0)
    assert fitted.http.get(f"{TARGETS}/level/heads/1").json()["metrics"]["macro_auc"]["n"] > 0
    answer = decide(fitted, "level", rule="threshold", threshold=0.5)
    assert (answer.status_code, code_of(answer)) == (409, "decision_does_not_fit")
    assert decide(fitted, "level", rule="costs", costs=[[0, 100], [0, 0]]).status_code == 200
    assert set(answer_of(fitted, "level")["label"]) == {"new"}
    fitted.http.delete(f"{TARGETS}/level/decision").raise_for_status()


@pytest.mark.parametrize(
    ("target", "rule", "status", "code"),
    [
        (
            "churn",
            {"rule": "costs", "costs": [[0, 1, 2], [1, 0, 2], [1, 2, 0]]},
            409,
            "decision_does_not_fit",
        ),
        ("churn", {"rule": "costs", "costs": [[0, 1], [1]]}, 422, "invalid_costs"),
        ("churn", {"rule": "threshold", "threshold": 2}, 422, "invalid_request"),
        ("churn", {"rule": "capacity"}, 422, "invalid_capacity"),
        ("churn", {"rule": "coin"}, 422, "invalid_request"),
        ("amount", {"rule": "threshold", "threshold": 0.5}, 409, "decision_does_not_fit"),
        ("nobody", {"rule": "threshold", "threshold": 0.5}, 404, "target_not_found"),
    ],
)
def test__rule__that_cannot_be__is_refused(
    fitted: Service, target: str, rule: dict[str, Any], status: int, code: str
) -> None:
    before = fitted.footprint()
    answer = decide(fitted, target, **rule)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert fitted.footprint() == before


@pytest.mark.parametrize(
    ("costs", "needed", "received"),
    [
        ([[0, 1], [1]], "for 2 classes 2 × 2;", "received 2 rows of 1 to 2 numbers"),
        ([[0, 1, 2], [1, 0, 2]], "for 3 classes 3 × 3;", "received 2 rows of 3 numbers"),
    ],
)
def test__costs__that_are_not_square__say_what_is_needed(
    fitted: Service, costs: list[list[int]], needed: str, received: str
) -> None:
    detail = decide(fitted, "churn", rule="costs", costs=costs).json()["detail"]
    assert needed in detail
    assert received in detail


def test__target__without_classes_yet__waits_with_costs(fitted: Service) -> None:
    fitted.http.post(TARGETS, json={"name": "open"}).raise_for_status()
    answer = decide(fitted, "open", rule="threshold", threshold=0.5)
    assert (answer.status_code, code_of(answer)) == (409, "task_not_settled")
    made = fitted.http.post(
        TARGETS, json={"name": "open2", "task": "binary", "decision": {"rule": "capacity", "share": 0.1}}
    )
    assert made.json()["decision"] == {"rule": "capacity", "share": 0.1}
    assert fitted.http.get(f"{TARGETS}/open2/decision").json()["reason"]
    fitted.http.delete(f"{TARGETS}/open").raise_for_status()
    fitted.http.delete(f"{TARGETS}/open2").raise_for_status()


def proposed(service: Service, target: str, **params: Any) -> httpx.Response:
    return service.http.get(f"{TARGETS}/{target}/keys-to-label", params=params)


@pytest.mark.parametrize("strategy", ["random", "uncertain", "diverse"])
def test__keys_to_label__any_strategy__are_unlabelled_train_rows(fitted: Service, strategy: str) -> None:
    answer = proposed(fitted, "level", strategy=strategy, count=20)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    labelled = set(KEYS[:200])
    assert len(set(body["keys"])) == 20
    assert not labelled & set(body["keys"])
    labels = [{"key": key, "value": "old"} for key in body["keys"]]
    fitted.http.post(TARGETS, json={"name": "probe"}).raise_for_status()
    sent = fitted.http.post(f"{TARGETS}/probe/labels", json={"labels": labels}).json()
    assert (sent["num_labels"], sent["num_evaluation"]) == (20, 0)
    fitted.http.delete(f"{TARGETS}/probe").raise_for_status()
    again = proposed(fitted, "level", strategy=strategy, count=20).json()
    assert again == body
    assert (
        len(proposed(fitted, "level", strategy=strategy, count=1_000).json()["keys"])
        == body["num_unlabelled"]
    )


def test__keys_to_label__uncertain__asks_where_the_champion_hesitates(fitted: Service) -> None:
    body = proposed(fitted, "level", strategy="uncertain", count=1_000).json()
    found = predict(fitted, ["level"], body["keys"]).json()["predictions"]["level"]
    margins = np.abs(np.array(found["probabilities"])[:, 0] - 0.5)
    assert (np.diff(margins) >= 0).all()
    assert body["head"] == found["head"] == 1


@pytest.mark.parametrize(
    ("target", "params", "status", "code"),
    [
        ("amount", {"strategy": "uncertain"}, 422, "no_uncertainty"),
        ("fresh", {"strategy": "uncertain"}, 409, "no_champion"),
        ("nobody", {}, 404, "target_not_found"),
        ("level", {"strategy": "best"}, 422, "invalid_request"),
        ("level", {"count": 0}, 422, "invalid_request"),
        ("level", {"seed": -1}, 422, "invalid_request"),
    ],
)
def test__keys_to_label__that_cannot_be__says_why(
    fitted: Service, target: str, params: dict[str, Any], status: int, code: str
) -> None:
    fitted.http.post(TARGETS, json={"name": "fresh"})
    answer = proposed(fitted, target, **params)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text


def test__keys_to_label__duplicates_and_groups__are_proposed_once(fitted: Service) -> None:
    rows = [f"r{row},{row % 4},{'xy'[row % 2]},g{row // 8}" for row in range(160)]
    content = "\n".join(["id,size,kind,home", *rows]) + "\n"
    columns = {"id": {"role": "key"}, "home": {"role": "group"}, "size": {"kind": "continuous"}}
    fitted.register("homes", content.encode(), columns=columns).raise_for_status()
    fitted.work()
    fitted.http.post("/v1/tables/homes/targets", json={"name": "t"}).raise_for_status()
    path = "/v1/tables/homes/targets/t/keys-to-label"
    keys = fitted.http.get(path, params={"count": 100}).json()["keys"]
    homes = [int(key[1:]) // 8 for key in keys]
    assert len(homes) == len(set(homes))
    assert len({int(key[1:]) % 4 for key in keys}) == len(keys) <= 4


def test__columns__all_hidden_since__is_said_at_fine_tune(fitted: Service) -> None:
    fitted.http.post(TARGETS, json={"name": "narrow", "forbidden_columns": ["age"]}).raise_for_status()
    hidden = {name: {"role": "target"} for name in ("city", "income")}
    fitted.http.patch("/v1/tables/people/columns", json={"columns": hidden}).raise_for_status()
    answer = fitted.http.post(f"{TARGETS}/narrow/heads", json={})
    assert (answer.status_code, code_of(answer)) == (409, "no_column_left")
    shown = {name: {"role": "feature"} for name in hidden}
    fitted.http.patch("/v1/tables/people/columns", json={"columns": shown}).raise_for_status()


def test__column__re_roled_or_lost_since__is_said_at_fine_tune(fitted: Service) -> None:
    """Changing columns refuses this while a target stands on one; what a snapshot brings may still do it."""
    with fitted.container.database.reading() as uow:
        workspace = uow.workspaces.get_by_name("default")
        table = uow.tables.by_name(workspace.id, "people")
        target = uow.targets.by_name(table.id, "churn")
        schema = current_schema(uow, table)
        snapshot = uow.tables.current_snapshot(table)
        assert snapshot is not None
        columns = {column.name: column for column in schema.columns}
        weighed = columns["churned"].model_copy(update={"role": Role.WEIGHT})
        for changed, code in (
            ({**columns, "churned": weighed}, "column_is_no_target"),
            ({name: column for name, column in columns.items() if name != "churned"}, "label_column_lost"),
        ):
            with pytest.raises(ResourceConflict) as refused:
                check_fittable(uow, target, snapshot, TableSchema(columns=tuple(changed.values())))
            assert refused.value.code == code
