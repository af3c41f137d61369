"""Asking for encoders, heads and fine-tunes: what is pinned, what is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from app.schemas.payloads import FinetunePayload, PretrainPayload
from tests.app.routes.records import payload_of, ready_encoder, ready_head
from tests.app.routes.service import Service, code_of

BASE = "/v1/tables/people"


@pytest.fixture(scope="module")
def lab(people: Service) -> Service:
    """A ready encoder; `churn` (target-role column), `rich` (a feature), `plan` (by key), `bare` (no labels)."""
    ready_encoder(people, "people")
    for body in (
        {"name": "churn", "column": "churned"},
        {"name": "rich", "column": "income", "forbidden_columns": ["city"]},
        {"name": "plan"},
        {"name": "bare"},
        {"name": "same"},
    ):
        people.http.post(f"{BASE}/targets", json=body).raise_for_status()
    labels = [{"key": f"p{row}", "value": "abc"[row % 3]} for row in range(60)]
    people.http.post(f"{BASE}/targets/plan/labels", json={"labels": labels}).raise_for_status()
    labels = [{"key": f"p{row}", "value": "a"} for row in range(60)]
    people.http.post(f"{BASE}/targets/same/labels", json={"labels": labels}).raise_for_status()
    return people


def test__encoder__asked_for__is_pinned_to_snapshot_and_schema(service: Service) -> None:
    service.ready_table("people")
    answer = service.http.post(f"{BASE}/encoders", json={"max_seconds": 7, "seed": 3})
    assert answer.status_code == 202
    assert answer.json()["encoder"] == {"version": 1, "status": "pretraining"}
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    payload = PretrainPayload.model_validate(payload_of(service, answer.json()["job"]["id"]))
    table = service.http.get(BASE).json()
    assert (payload.snapshot_id, payload.schema_version) == (table["snapshot"]["id"], 1)
    assert (payload.max_seconds, payload.seed, payload.architecture["kind"]) == (7, 3, "column_transformer")
    encoder = service.http.get(f"{BASE}/encoders/1").json()
    assert (encoder["status"], encoder["active"], encoder["stale"]) == ("pretraining", False, None)
    refused = service.http.post(f"{BASE}/encoders/1/activate")
    assert (refused.status_code, code_of(refused)) == (409, "encoder_not_ready")
    early = service.http.post(f"{BASE}/targets", json={"name": "churn", "column": "churned"})
    assert early.status_code == 201
    no_encoder = service.http.post(f"{BASE}/targets/churn/heads", json={})
    assert (no_encoder.status_code, code_of(no_encoder)) == (409, "no_encoder")


@pytest.mark.parametrize(
    ("target", "view", "seen"),
    [
        ("churn", ["churned"], False),
        ("rich", ["churned", "city", "income"], True),
        ("plan", ["churned"], False),
    ],
)
def test__head__asked_for__is_pinned_to_its_view(
    lab: Service, target: str, view: list[str], seen: bool
) -> None:
    answer = lab.http.post(f"{BASE}/targets/{target}/heads", json={"labels": {"limit": 50, "seed": 1}})
    assert answer.status_code == 202, answer.text
    version = answer.json()["head"]["version"]
    head = lab.http.get(f"{BASE}/targets/{target}/heads/{version}").json()
    assert (head["view"], head["seen_in_pretraining"], head["status"]) == (view, seen, "training")
    assert (head["kind"], head["labels"], head["label_set"]) == ("auto", {"limit": 50, "seed": 1}, 1)
    payload = FinetunePayload.model_validate(payload_of(lab, answer.json()["job"]["id"]))
    assert [head_.head_id for head_ in payload.heads] == [head["id"]]
    assert payload.labels.limit == 50


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("bare", {}, 422, "no_labels"),
        ("same", {}, 422, "one_class"),
        ("nothing", {}, 404, "target_not_found"),
        ("churn", {"head": {"kind": "magic"}}, 422, "invalid_request"),
        ("churn", {"max_seconds": 0}, 422, "invalid_request"),
    ],
)
def test__head__that_cannot_be_fitted__is_refused_and_leaves_nothing(
    lab: Service, target: str, body: dict[str, Any], status: int, code: str
) -> None:
    before = lab.footprint()
    answer = lab.http.post(f"{BASE}/targets/{target}/heads", json=body)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert lab.footprint() == before


def test__fine_tune__of_all__skips_what_cannot_be_fitted(lab: Service) -> None:
    answer = lab.http.post(f"{BASE}/fine-tunes", json={"targets": "*"})
    assert answer.status_code == 202
    body = answer.json()
    assert [head["target"] for head in body["heads"]] == ["churn", "plan", "rich"]
    assert sorted(body["skipped"]) == ["bare", "same"]
    assert len(payload_of(lab, body["job"]["id"])["heads"]) == 3


def test__fine_tune__one_of_the_named_cannot__refuses_all_and_leaves_nothing(lab: Service) -> None:
    before = lab.footprint()
    for targets, code in ((["churn", "bare"], "no_labels"), (["churn", "nothing"], "target_not_found")):
        answer = lab.http.post(f"{BASE}/fine-tunes", json={"targets": targets})
        assert code_of(answer) == code
    assert lab.footprint() == before


def test__fine_tune__under_one_key__makes_one_job(lab: Service) -> None:
    headers = {"Idempotency-Key": "tune-1"}
    first = lab.http.post(f"{BASE}/fine-tunes", json={"targets": ["churn", "churn"]}, headers=headers)
    before = lab.footprint()
    again = lab.http.post(f"{BASE}/fine-tunes", json={"targets": ["churn", "churn"]}, headers=headers)
    assert again.json() == first.json()
    assert len(first.json()["heads"]) == 1
    other = lab.http.post(f"{BASE}/targets/churn/heads", json={}, headers=headers)
    assert (other.status_code, code_of(other)) == (422, "idempotency_mismatch")
    bad = lab.http.post(f"{BASE}/fine-tunes", json={"targets": "*"}, headers={"Idempotency-Key": "a b"})
    assert (bad.status_code, code_of(bad)) == (400, "invalid_idempotency_key")
    assert lab.footprint() == before


def test__alias_of_a_fine_tune__needs_the_scope_to_promote(lab: Service) -> None:
    with lab.client(lab.key_of("default", "finetune")) as tuner:
        before = lab.footprint()
        answer = tuner.post(f"{BASE}/targets/churn/heads", json={"alias": "champion"})
        assert (answer.status_code, code_of(answer)) == (403, "missing_scope")
        assert lab.footprint() == before


def test__head__in_training_or_in_use__is_not_deleted(lab: Service) -> None:
    version = ready_head(lab, "people", "churn")
    heads = f"{BASE}/targets/churn/heads"
    lab.http.put(f"{BASE}/targets/churn/aliases/champion", json={"version": version}).raise_for_status()
    in_use = lab.http.delete(f"{heads}/{version}")
    assert (in_use.status_code, code_of(in_use)) == (409, "head_in_use")
    training = lab.http.post(heads, json={}).json()["head"]["version"]
    refused = lab.http.delete(f"{heads}/{training}")
    assert (refused.status_code, code_of(refused)) == (409, "head_in_training")
    spare = ready_head(lab, "people", "churn")
    assert lab.http.delete(f"{heads}/{spare}").json() == {
        "target": "churn",
        "version": spare,
        "artifacts": 0,
    }
    gone = lab.http.get(f"{heads}/{spare}")
    assert (gone.status_code, code_of(gone)) == (404, "head_not_found")


def test__columns__changed__say_what_is_stale(lab: Service) -> None:
    answer = lab.http.patch(f"{BASE}/columns", json={"columns": {"age": {"kind": "categorical"}}})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["schema_version"] == 2
    assert [stale["encoder"] for stale in body["stale"]] == [1]
    assert "age" in body["stale"][0]["reason"]
    again = lab.http.patch(f"{BASE}/columns", json={"columns": {"age": {"kind": "categorical"}}}).json()
    assert again["schema_version"] == 2
    back = lab.http.patch(f"{BASE}/columns", json={"columns": {"age": {"kind": "continuous"}}}).json()
    assert (back["schema_version"], back["stale"]) == (3, [])
    shown = lab.http.patch(f"{BASE}/columns", json={"columns": {"churned": {"role": "feature"}}}).json()
    assert any("'churn'" in warning for warning in shown["warnings"])
    lab.http.patch(f"{BASE}/columns", json={"columns": {"churned": {"role": "target"}}}).raise_for_status()


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({}, "invalid_request"),
        ({"nope": {"kind": "text"}}, "unknown_column"),
        ({"id": {"role": "feature"}}, "role_is_fixed"),
        ({"age": {"role": "key"}}, "role_is_fixed"),
        ({"age": {"role": "group"}}, "role_is_fixed"),
        ({"age": {"role": "time"}}, "role_is_fixed"),
        ({"age": {"role": "drop"}}, "role_is_fixed"),
        ({"city": {"role": "weight"}}, "invalid_role"),
        ({"city": {"kind": "continuous"}}, "incompatible_kind"),
        ({"city": {"kind": "boolean"}}, "incompatible_kind"),
        ({"city": {"kind": "magic"}}, "invalid_request"),
        ({name: {"role": "target"} for name in ("age", "city", "income")}, "no_features"),
    ],
)
def test__columns__that_cannot_change__are_refused_and_leave_nothing(
    lab: Service, columns: dict[str, Any], code: str
) -> None:
    before = lab.footprint()
    answer = lab.http.patch(f"{BASE}/columns", json={"columns": columns})
    assert (answer.status_code, code_of(answer)) == (422, code), answer.text
    assert lab.footprint() == before
