"""From a registered table to predictions of its own columns without a label, over HTTP; both encoders and objectives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.routes.records import take_steps
from tests.app.routes.service import Service, code_of

BASE = "/v1/tables/fruit"
NUM_ROWS = 560
NUM_STEPS = 100


def fruit_csv() -> bytes:
    """`taste` and `weight` follow from `kind`; half of the rows are for evaluation."""
    draw = random.Random(5)
    lines = ["id,kind,taste,weight,noise,sold"]
    for row in range(NUM_ROWS):
        kind = draw.choice(["apple", "lemon", "melon", "lime"])
        taste = "sour" if (kind in ("lemon", "lime")) != (draw.random() < 0.05) else "sweet"
        weight = {"apple": 150, "lemon": 100, "melon": 1500, "lime": 60}[kind] * draw.uniform(0.8, 1.2)
        lines.append(f"f{row},{kind},{taste},{weight:.2f},{draw.random():.4f},{draw.choice(['yes', 'no'])}")
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A table with an encoder of both objectives, version 1, active; targets of features and of a target column."""
    service = Service(tmp_path_factory.mktemp("fruit") / "home")
    roles = {"id": {"role": "key"}, "sold": {"role": "target"}}
    service.register("fruit", fruit_csv(), columns=roles, evaluation_fraction="0.5").raise_for_status()
    service.work()
    _pretrain(service, "column_transformer", "masked_columns", "replaced_columns", num_steps=2 * NUM_STEPS)
    for body in (
        {"name": "taste", "column": "taste"},
        {"name": "kind", "column": "kind", "forbidden_columns": ["weight"]},
        {"name": "weight", "column": "weight"},
        {"name": "sold", "column": "sold"},
        {"name": "by-key"},
    ):
        service.http.post(f"{BASE}/targets", json=body).raise_for_status()
    yield service
    service.close()


def _pretrain(
    service: Service, architecture: str, *objectives: str, num_steps: int = NUM_STEPS
) -> dict[str, Any]:
    """The body of the new encoder."""
    answer = service.http.post(
        f"{BASE}/encoders",
        json={
            "architecture": {"kind": architecture},
            "objectives": [{"kind": kind} for kind in objectives],
        },
    )
    assert answer.status_code == 202, answer.text
    take_steps(service, answer.json()["job"]["id"], num_steps)
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    encoder: dict[str, Any] = service.http.get(
        f"{BASE}/encoders/{answer.json()['encoder']['version']}"
    ).json()
    return encoder


def _guess(service: Service, target: str) -> dict[str, Any]:
    """The body of a new zero_shot head."""
    answer = service.http.post(
        f"{BASE}/targets/{target}/heads", json={"head": {"kind": "zero_shot"}, "labels": {"limit": 5}}
    )
    assert answer.status_code == 202, answer.text
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    head: dict[str, Any] = service.http.get(
        f"{BASE}/targets/{target}/heads/{answer.json()['head']['version']}"
    ).json()
    return head


def test__encoder__both_objectives__reports_each_and_what_columns_are_to_them(fruit: Service) -> None:
    encoder = fruit.http.get(f"{BASE}/encoders/1").json()
    assert [objective["kind"] for objective in encoder["objectives"]] == [
        "masked_columns",
        "replaced_columns",
    ]
    report = encoder["report"]
    for kind in ("masked_columns", "replaced_columns"):
        assert report["objectives"][kind]["after"] < report["objectives"][kind]["before"]
    assert report["columns"]["taste"]["explained"] > 0.05
    assert report["columns"]["taste"]["detection_auc"] > 0.55
    assert report["columns"]["noise"]["detection_auc"] < 0.75


def test__zero_shot__feature_columns__predicts_without_labels_and_may_become_champion(fruit: Service) -> None:
    taste, kind, weight = (_guess(fruit, name) for name in ("taste", "kind", "weight"))
    assert (taste["kind"], taste["seen_in_pretraining"], taste["baselines"]) == ("zero_shot", True, {})
    assert (taste["metrics"]["auc"]["on"], taste["aliases"]) == ("holdout", ["champion"])
    assert taste["metrics"]["auc"]["value"] > 0.7
    assert kind["view"] == ["kind", "sold", "weight"]
    assert weight["metrics"]["r2"]["value"] > 0.0
    rows = [{"kind": "lime", "weight": 61.0}, {"kind": "melon", "weight": 1490.0, "taste": "sour"}, {}]
    body = {"targets": ["taste:1", "kind:1", "weight"], "rows": rows}
    answer = fruit.http.post(f"{BASE}/predict", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]
    sour = [shares[found["taste:1"]["classes"].index("sour")] for shares in found["taste:1"]["probabilities"]]
    assert sour[0] > sour[1]
    assert set(found["kind:1"]["classes"]) == {"apple", "lemon", "melon", "lime"}
    for low, value, high in zip(
        (ends[0] for ends in found["weight"]["interval"]),
        found["weight"]["value"],
        (ends[1] for ends in found["weight"]["interval"]),
        strict=True,
    ):
        assert low <= value <= high


def test__zero_shot__own_value_in_the_row_or_company__changes_nothing(fruit: Service) -> None:
    _guess(fruit, "taste")
    _guess(fruit, "kind")
    row = {"kind": "lemon", "weight": 99.0, "noise": 0.5}
    alone = fruit.http.post(f"{BASE}/predict", json={"targets": ["taste:1"], "rows": [row]}).json()
    told = fruit.http.post(
        f"{BASE}/predict",
        json={
            "targets": ["kind:1", "taste:1"],
            "rows": [{"kind": "melon", "taste": "sour"}, row | {"taste": "sweet"}],
        },
    ).json()
    assert (
        told["predictions"]["taste:1"]["probabilities"][1]
        == alone["predictions"]["taste:1"]["probabilities"][0]
    )


@pytest.mark.parametrize("target", ["sold", "by-key"])
def test__zero_shot__column_the_encoder_never_saw__is_refused_at_once(fruit: Service, target: str) -> None:
    before = fruit.footprint()
    answer = fruit.http.post(f"{BASE}/targets/{target}/heads", json={"head": {"kind": "zero_shot"}})
    assert (answer.status_code, code_of(answer)) == (422, "not_pretrained_column")
    assert "linear" in answer.json()["detail"]
    assert fruit.footprint() == before


def test__zero_shot__every_target__those_without_a_guess_are_skipped(fruit: Service) -> None:
    answer = fruit.http.post(f"{BASE}/fine-tunes", json={"targets": "*", "head": {"kind": "zero_shot"}})
    assert answer.status_code == 202, answer.text
    assert {head["target"] for head in answer.json()["heads"]} == {"taste", "kind", "weight"}
    assert set(answer.json()["skipped"]) == {"sold", "by-key"}
    fruit.work()
    result = fruit.job(answer)["result"]
    assert [head["status"] for head in result["heads"]] == ["ready"] * 3


def test__tab_transformer__replaced_columns_alone__trains_and_serves_but_guesses_nothing(
    fruit: Service,
) -> None:
    encoder = _pretrain(fruit, "tab_transformer", "replaced_columns")
    assert encoder["architecture"]["kind"] == "tab_transformer"
    assert "masked_columns" in encoder["report"]["columns_note"]
    assert "explained" not in encoder["report"]["columns"]["taste"]
    assert encoder["report"]["columns"]["weight"]["num_rows"] > 0
    fruit.http.post(f"{BASE}/encoders/{encoder['version']}/activate").raise_for_status()
    try:
        refused = fruit.http.post(f"{BASE}/targets/taste/heads", json={"head": {"kind": "zero_shot"}})
        assert (refused.status_code, code_of(refused)) == (422, "no_column_guesses")
        answer = fruit.http.post(
            f"{BASE}/targets/taste/heads", json={"head": {"kind": "linear"}, "max_seconds": 10}
        )
        fruit.work()
        assert fruit.job(answer)["status"] == "succeeded"
        version = answer.json()["head"]["version"]
        predicted = fruit.http.post(
            f"{BASE}/predict",
            json={
                "targets": [f"taste:{version}"],
                "rows": [{"kind": "lime", "weight": 60.0}, {"kind": "melon", "weight": 1500.0}],
            },
        ).json()
        found = predicted["predictions"][f"taste:{version}"]
        sour = [shares[found["classes"].index("sour")] for shares in found["probabilities"]]
        assert sour[0] > sour[1]
    finally:
        fruit.http.post(f"{BASE}/encoders/1/activate").raise_for_status()


def test__encoder__duplicate_objective__is_refused_at_once(fruit: Service) -> None:
    before = fruit.footprint()
    body = {"objectives": [{"kind": "masked_columns"}, {"kind": "masked_columns", "max_rate": 0.5}]}
    answer = fruit.http.post(f"{BASE}/encoders", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "duplicate_objective")
    unknown = fruit.http.post(f"{BASE}/encoders", json={"objectives": [{"kind": "contrastive"}]})
    assert unknown.status_code == 422
    assert "replaced_columns" in unknown.text
    assert fruit.footprint() == before


def test__tab_transformer__table_of_numbers__is_refused_at_once(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    try:
        draw = random.Random(1)
        lines = ["a,b"] + [f"{draw.gauss(0, 1):.5f},{draw.gauss(0, 1):.5f}" for _ in range(60)]
        service.register("numbers", "\n".join(lines).encode()).raise_for_status()
        service.work()
        answer = service.http.post(
            "/v1/tables/numbers/encoders", json={"architecture": {"kind": "tab_transformer"}}
        )
        assert (answer.status_code, code_of(answer)) == (422, "no_categorical_columns")
        assert "column_transformer" in answer.json()["detail"]
    finally:
        service.close()
