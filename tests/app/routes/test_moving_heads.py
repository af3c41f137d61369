"""Refits asked for, encoders and aliases removed, and a job's alias moves taken back at once."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from app.schemas.payloads import RefitPayload
from tests.app.routes.records import payload_of, ready_encoder, ready_head
from tests.app.routes.service import Service, code_of

BASE = "/v1/tables/people"
CHURN = f"{BASE}/targets/churn"


def prepared(service: Service) -> Service:
    """Encoders 1 (active) and 2; `churn` with heads 1 (champion) and 2, `bare` without labels."""
    ready_encoder(service, "people")
    for body in ({"name": "churn", "column": "churned"}, {"name": "bare"}):
        service.http.post(f"{BASE}/targets", json=body).raise_for_status()
    assert [ready_head(service, "people", "churn") for _ in range(2)] == [1, 2]
    ready_encoder(service, "people", activate=False)
    point(service, 1)
    return service


@pytest.fixture
def lab(service: Service) -> Service:
    service.ready_table("people")
    return prepared(service)


@pytest.fixture(scope="module")
def still(people: Service) -> Service:
    """Shared by tests that change nothing."""
    return prepared(people)


def point(service: Service, version: int, alias: str = "champion") -> None:
    service.http.put(f"{CHURN}/aliases/{alias}", json={"version": version}).raise_for_status()


def refit(service: Service, encoder: int = 2, **body: Any) -> httpx.Response:
    return service.http.post(f"{BASE}/encoders/{encoder}/refit", json=body)


def test__refit__of_all__pins_the_champions_config_on_that_encoder(lab: Service) -> None:
    answer = refit(lab)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["heads"] == [{"target": "churn", "version": 3, "status": "training", "refit_of": 1}]
    assert list(body["skipped"]) == ["bare"]
    assert "no champion" in body["skipped"]["bare"]
    assert (body["encoder"], body["job"]["kind"]) == (2, "refit")
    assert body["job"]["estimate"]["seconds"] > 0
    payload = RefitPayload.model_validate(payload_of(lab, body["job"]["id"]))
    assert (payload.alias, payload.moves_aliases, payload.max_seconds) == ("champion", True, 60.0)
    assert payload.heads[0].head == {"kind": "linear"}
    head = lab.http.get(f"{CHURN}/heads/3").json()
    assert (head["encoder"], head["refit_of"], head["status"]) == (2, 1, "training")
    assert lab.http.get(f"{CHURN}/heads/1").json()["refit_of"] is None


@pytest.mark.parametrize(
    ("encoder", "body", "status", "code"),
    [
        (2, {"targets": ["bare"]}, 422, "no_champion"),
        (2, {"targets": ["nothing"]}, 404, "target_not_found"),
        (2, {"targets": []}, 422, "invalid_request"),
        (2, {"targets": "churn"}, 422, "invalid_request"),
        (2, {"labels": "all"}, 422, "invalid_request"),
        (2, {"max_seconds": 0}, 422, "invalid_request"),
        (2, {"promote": "yes"}, 422, "invalid_request"),
        (2, {"head": {"kind": "linear"}}, 422, "invalid_request"),
        (9, {}, 404, "encoder_not_found"),
        (2**40, {}, 422, "invalid_request"),
    ],
)
def test__refit__that_cannot_be__is_refused_and_leaves_nothing(
    still: Service, encoder: int, body: dict[str, Any], status: int, code: str
) -> None:
    before = still.footprint()
    answer = refit(still, encoder, **body)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert still.footprint() == before


def test__refit__by_a_key_that_may_not_promote__moves_nothing_or_is_refused(lab: Service) -> None:
    key = lab.key_of("default", "finetune")
    with lab.client(key) as http:
        refused = http.post(f"{BASE}/encoders/2/refit", json={})
        assert (refused.status_code, code_of(refused)) == (403, "missing_scope")
        allowed = http.post(f"{BASE}/encoders/2/refit", json={"promote": False})
    payload = RefitPayload.model_validate(payload_of(lab, allowed.json()["job"]["id"]))
    assert payload.moves_aliases is False


def test__refit__repeated_under_one_key__queues_one_job(lab: Service) -> None:
    answers = [
        lab.http.post(f"{BASE}/encoders/2/refit", json={}, headers={"Idempotency-Key": "again"})
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(lab.http.get(f"{CHURN}/heads").json()["heads"]) == 3


def test__encoders__listed__say_which_heads_stand_on_them(still: Service) -> None:
    second, first = still.http.get(f"{BASE}/encoders").json()["encoders"]
    assert (first["num_heads"], second["num_heads"], second["heads"]) == (2, 0, [])
    assert first["heads"] == [{"target": "churn", "version": 1, "aliases": ["champion"]}]
    assert still.http.get(f"{BASE}/encoders/1").json()["heads"] == first["heads"]


def test__encoder__deleted__only_when_nothing_needs_it(lab: Service) -> None:
    active = lab.http.delete(f"{BASE}/encoders/1")
    assert (active.status_code, code_of(active)) == (409, "encoder_in_use")
    lab.http.post(f"{BASE}/encoders/2/activate").raise_for_status()
    pinned = lab.http.delete(f"{BASE}/encoders/1")
    assert (pinned.status_code, code_of(pinned)) == (409, "encoder_in_use")
    assert "churn:1, churn:2" in pinned.json()["detail"]
    lab.http.delete(f"{CHURN}/aliases/champion").raise_for_status()
    for version in (1, 2):
        lab.http.delete(f"{CHURN}/heads/{version}").raise_for_status()
    assert lab.http.delete(f"{BASE}/encoders/1").json() == {"version": 1, "heads": 0, "artifacts": 0}
    assert code_of(lab.http.delete(f"{BASE}/encoders/1")) == "encoder_not_found"
    assert ready_encoder(lab, "people") == 3


def test__encoder__with_a_refit_waiting_for_it__is_not_deleted(lab: Service) -> None:
    lab.http.post(f"{BASE}/encoders", json={"max_seconds": 5}).raise_for_status()
    assert code_of(refit(lab, 3)) == "encoder_not_ready"
    assert code_of(lab.http.delete(f"{BASE}/encoders/3")) == "encoder_in_pretraining"
    refit(lab).raise_for_status()
    answer = lab.http.delete(f"{BASE}/encoders/2")
    assert (answer.status_code, code_of(answer)) == (409, "encoder_in_use")
    assert "churn:3" in answer.json()["detail"]


def test__alias__deleted_with_a_condition__keeps_its_history(lab: Service) -> None:
    url = f"{CHURN}/aliases/champion"
    stale = lab.http.delete(url, headers={"If-Match": '"7"'})
    assert (stale.status_code, code_of(stale)) == (412, "stale_revision")
    assert lab.http.get(CHURN).json()["champion"] == 1
    gone = lab.http.delete(url, headers={"If-Match": '"1"'})
    assert gone.json() == {"name": "champion", "target": "churn", "previous_version": 1, "revision": 2}
    assert lab.http.get(CHURN).json()["champion"] is None
    assert code_of(refit(lab)) == "no_targets"
    assert code_of(lab.http.delete(url)) == "alias_not_found"
    assert code_of(lab.http.get(url)) == "alias_not_found"
    history = lab.http.get(f"{url}/history").json()["history"]
    assert [(move["version"], move["previous_version"], move["action"]) for move in history] == [
        (None, 1, "removed"),
        (1, None, "moved"),
    ]
    # An old ETag does not fit the alias that takes the name.
    point(lab, 2)
    assert lab.http.get(url).headers["etag"] == '"3"'
    assert lab.http.put(url, json={"version": 1}, headers={"If-Match": '"1"'}).status_code == 412


def finished_job(service: Service, moves: dict[str, int]) -> str:
    """A finished refit that moved aliases of `churn` to versions."""
    with service.container.database.writing() as uow:
        workspace = uow.workspaces.get_by_name("default")
        table = uow.tables.by_name(workspace.id, "people")
        target = uow.targets.by_name(table.id, "churn")
        job = uow.jobs.add(workspace.id, "refit", {}, None, table.id)
        for alias, version in moves.items():
            head = uow.heads.by_version(target.id, version)
            uow.aliases.move(target.id, alias, head, expected_revision=None, actor=job.id)
        job.status = "succeeded"
        return job.id


def roll_back(service: Service, job: str, **headers: str) -> httpx.Response:
    return service.http.post(f"{BASE}/rollback", json={"job": job}, headers=headers)


def test__job__rolled_back__undoes_its_moves_and_leaves_what_moved_since(lab: Service) -> None:
    point(lab, 1, "blue")
    job = finished_job(lab, {"champion": 2, "made-by-it": 2, "blue": 2})
    point(lab, 1, "blue")
    answer = roll_back(lab, job, **{"Idempotency-Key": "once"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["rolled_back"] == [
        {"target": "churn", "alias": "champion", "version": 1, "from_version": 2},
        {"target": "churn", "alias": "made-by-it", "version": None, "from_version": 2},
    ]
    (left,) = answer.json()["left_alone"]
    assert (left["alias"], left["reason"]) == ("blue", "It has moved since.")
    assert roll_back(lab, job, **{"Idempotency-Key": "once"}).json() == answer.json()
    aliases = {one["name"]: one["version"] for one in lab.http.get(f"{CHURN}/aliases").json()["aliases"]}
    assert aliases == {"blue": 1, "champion": 1}
    again = roll_back(lab, job).json()
    reasons = {one["alias"]: one["reason"] for one in again["left_alone"]}
    assert again["rolled_back"] == []
    assert reasons == {
        "blue": "It has moved since.",
        "champion": "It was taken back already.",
        "made-by-it": "It was taken back already.",
    }


def test__job__rolled_back_to_a_deleted_version__says_so(lab: Service) -> None:
    job = finished_job(lab, {"champion": 2})
    lab.http.delete(f"{CHURN}/heads/1").raise_for_status()
    (left,) = roll_back(lab, job).json()["left_alone"]
    assert left["reason"] == "Version 1, where it pointed before, was deleted."
    assert lab.http.get(CHURN).json()["champion"] == 2


def test__rollback__of_a_job_that_cannot_be__is_refused(lab: Service) -> None:
    waiting = refit(lab).json()["job"]["id"]
    without_moves, elsewhere = finished_job(lab, {}), finished_job(lab, {"champion": 2})
    with lab.container.database.writing() as uow:
        found = uow.jobs.find(elsewhere)
        assert found is not None
        found.table_id = None
    before = lab.footprint()
    for job, status, code in [
        ("job_01M7Y2S6VCQNRC9TJ1S1R2YGAY", 404, "job_not_found"),
        ("champion", 422, "invalid_request"),
        (without_moves, 409, "nothing_to_roll_back"),
        (elsewhere, 404, "job_not_found"),
        (waiting, 409, "job_not_finished"),
    ]:
        answer = roll_back(lab, job)
        assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert lab.footprint() == before


def test__alias__moved_by_many_at_once_with_the_same_etag__moves_once(lab: Service) -> None:
    url = f"{CHURN}/aliases/champion"
    statuses: list[int] = []

    def contender() -> None:
        with lab.client(lab.key) as http:
            answer = http.put(url, json={"version": 2}, headers={"If-Match": '"1"'})
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=contender) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200, 412, 412, 412, 412]
    assert lab.http.get(url).headers["etag"] == '"2"'
