"""Labels by key: merged, counted, parked, withdrawn; refused as a whole or not at all."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from app.schemas.labels import Label, LabelsRequest
from app.schemas.principal import Principal
from app.services.label_publishing import MAX_TRIES, LabelPublisher
from app.services.labels import LabelService
from tests.app.routes.labels import counts, make_target, post_labels
from tests.app.routes.records import ready_encoder
from tests.app.routes.service import Service, code_of

SECRET = "Okonkwo-4711"


@pytest.fixture
def target(people: Service) -> str:
    return make_target(people)


def refused_head(service: Service, target: str) -> str:
    answer = service.http.post(f"/v1/tables/people/targets/{target}/heads", json={})
    assert answer.status_code == 422, answer.text
    return code_of(answer)


def test__labels__sent_replaced_withdrawn__are_counted(people: Service, target: str) -> None:
    assert counts(post_labels(people, target, {"p1": "a", "p2": "b", "p3": "a"})) == (3, 0, 0, 0, 3)
    assert counts(post_labels(people, target, {"p1": "b", "p4": "a"})) == (2, 1, 0, 0, 4)
    assert counts(post_labels(people, target, {"p1": None, "p9": None})) == (0, 0, 1, 0, 3)
    body = people.http.get(f"/v1/tables/people/targets/{target}").json()
    assert (body["task"], body["classes"], body["num_labels"]) == ("binary", ["a", "b"], 3)


def test__labels__of_unknown_keys__are_kept_apart(people: Service, target: str) -> None:
    answer = post_labels(people, target, {"p1": 1.5, "nobody": 2.5, "nobody2": 3.5})
    assert counts(answer) == (3, 0, 0, 2, 1)
    assert answer.json()["num_parked"] == 2
    assert counts(post_labels(people, target, {"nobody": None})) == (0, 0, 1, 0, 1)


def test__labels__on_evaluation_rows__are_counted_apart(people: Service, target: str) -> None:
    answer = post_labels(people, target, {f"p{row}": row % 2 for row in range(300)})
    body = answer.json()
    assert body["num_labels"] == 300
    assert 10 < body["num_evaluation"] < 60
    stored = people.http.get(f"/v1/tables/people/targets/{target}").json()["label_counts"]
    assert stored["train"] + stored["evaluation"] == 300
    assert sum(stored["per_class"]) == 300


@pytest.mark.parametrize(
    ("labels", "more", "code"),
    [
        ([], {}, "invalid_request"),
        ({"nobody": "a"}, {}, "no_label_matches"),
        ({"nobody": None}, {}, "no_label_matches"),
        ({"p1": "a", "nobody": "b"}, {"strict": True}, "unmatched_keys"),
        ([{"key": "p1", "value": "a"}, {"key": "p1", "value": "b"}], {}, "duplicate_key"),
        ([{"key": 1.0, "value": "a"}], {}, "invalid_key"),
        ([{"key": True, "value": "a"}], {}, "invalid_key"),
        ([{"key": None, "value": "a"}], {}, "invalid_key"),
        ([{"key": "", "value": "a"}], {}, "invalid_key"),
        ([{"key": "k" * 1001, "value": "a"}], {}, "invalid_key"),
        ([{"key": 2**70, "value": "a"}], {}, "invalid_key"),
        ([{"key": "p1"}], {}, "invalid_request"),
        ([{"key": "p1", "value": [SECRET]}], {}, "invalid_label"),
        ([{"key": "p1", "value": SECRET * 30}], {}, "invalid_label"),
        ([{"key": "p1", "value": "a", "weight": -1}], {}, "invalid_request"),
        ([{"key": "p1", "value": "a", "weight": SECRET}], {}, "invalid_request"),
        ([{"key": "p1", "value": "a", "extra": SECRET}], {}, "invalid_request"),
        ({"p1": "a", "p2": 1}, {}, "mixed_types"),
        ({"p1": True, "p2": 1}, {}, "mixed_types"),
    ],
)
def test__labels__that_cannot_be__are_refused_and_leave_nothing(
    people: Service, target: str, labels: Any, more: dict[str, Any], code: str
) -> None:
    before = people.footprint()
    answer = post_labels(people, target, labels, **more)
    assert (answer.status_code, code_of(answer)) == (422, code), answer.text
    assert SECRET not in answer.text
    after = people.footprint()
    # Objects are stored before they are referred to; what a refused request stored goes with the sweep.
    assert after == before


def test__task__fixed_by_the_first_labels__refuses_what_does_not_fit(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b"})
    third = post_labels(people, target, {"p3": "c"})
    assert (third.status_code, code_of(third)) == (422, "unknown_class")
    assert code_of(post_labels(people, target, {"p3": 5})) == "mixed_types"
    regression = f"{target}_r"
    people.http.post("/v1/tables/people/targets", json={"name": regression}).raise_for_status()
    post_labels(people, regression, {"p1": 1.25, "p2": 2.5})
    assert people.http.get(f"/v1/tables/people/targets/{regression}").json()["task"] == "regression"
    assert code_of(post_labels(people, regression, {"p3": "x"})) == "mixed_types"


def test__labels__of_another_type_than_true_and_false__are_told_to_be_these(
    people: Service, target: str
) -> None:
    post_labels(people, target, {"p1": True, "p2": False})
    detail = post_labels(people, target, {"p3": "true"}).json()["detail"]
    assert "received boolean, text" in detail
    assert "send true or false" in detail


def test__task__multiclass__gains_classes(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b", "p3": "c"})
    assert post_labels(people, target, {"p4": "d"}).json()["classes"] == ["a", "b", "c", "d"]


def test__task__one_value_so_far__stays_open(people: Service, target: str) -> None:
    assert post_labels(people, target, {"p1": "a"}).json()["task"] is None
    assert post_labels(people, target, {"p2": "b"}).json()["task"] == "binary"


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test__task__stated__waits_for_a_second_class(people: Service, task: str) -> None:
    target = make_target(people, task=task)
    first = post_labels(people, target, {f"p{row}": "a" for row in range(9)})
    assert first.status_code == 200, first.text
    assert (first.json()["task"], first.json()["classes"]) == (task, None)
    ready_encoder(people, "people")
    assert refused_head(people, target) == "one_class"
    second = post_labels(people, target, {"p9": "b"}).json()
    assert (second["task"], second["classes"]) == (task, ["a", "b"])
    third = post_labels(people, target, {"p10": "c"})
    assert third.status_code == (422 if task == "binary" else 200)


def test__task__settled__keeps_its_classes(people: Service) -> None:
    target = make_target(people, task="multiclass")
    post_labels(people, target, {"p1": "a", "p2": "b", "p3": "c"})
    for labels in ({"p3": "b"}, {"p2": None, "p3": None}, {"p1": None}):
        assert post_labels(people, target, labels).json()["classes"] == ["a", "b", "c"]
    assert code_of(post_labels(people, target, {"p1": 7})) == "mixed_types"
    gained = post_labels(people, target, {"p1": "d", "p2": "a"}).json()
    assert (gained["task"], gained["classes"]) == ("multiclass", ["a", "b", "c", "d"])


def test__task__whole_numbers_written_as_fractions__are_one_class(people: Service, target: str) -> None:
    first = post_labels(people, target, {"p1": 1, "p2": 1.0})
    assert first.status_code == 200, first.text
    assert first.json()["task"] is None
    assert post_labels(people, target, {"p3": 0.0}).json()["task"] == "binary"


def test__labels__the_same_again__make_no_new_version(people: Service, target: str) -> None:
    first = post_labels(people, target, {"p1": "a", "p2": "b"}).json()
    again = post_labels(people, target, {"p2": "b", "p1": "a"}).json()
    assert again["label_set"] == first["label_set"]
    assert again["replaced"] == 2


def test__labels__repeated_under_one_key__count_once(people: Service, target: str) -> None:
    first = post_labels(people, target, {"p1": "a", "p2": "b"}, key=f"{target}-1")
    again = post_labels(people, target, {"p1": "a", "p2": "b"}, key=f"{target}-1")
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = post_labels(people, target, {"p1": "a", "p2": "a"}, key=f"{target}-1")
    assert (other.status_code, code_of(other)) == (422, "idempotency_mismatch")


def test__labels__many_requests_at_once__all_count(people: Service, target: str) -> None:
    answers: list[httpx.Response] = []

    def send(start: int) -> None:
        answers.append(post_labels(people, target, {f"p{start + row}": "ab"[row % 2] for row in range(10)}))

    before = people.footprint()
    threads = [threading.Thread(target=send, args=(10 * number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [200] * 16
    assert people.http.get(f"/v1/tables/people/targets/{target}").json()["num_labels"] == 160
    after = people.footprint()
    assert len(after["objects"]) - len(before["objects"]) == after["label_set"] - before["label_set"] == 16


@pytest.mark.parametrize("num_lost", [1, MAX_TRIES])
def test__labels__that_lost_a_race_to_another_process__leave_no_file(
    people: Service, target: str, monkeypatch: pytest.MonkeyPatch, num_lost: int
) -> None:
    database, store = people.container.database, people.container.store
    publisher = LabelPublisher(database, store, folder=people.settings.uploads_dir)
    other = LabelService(database, publisher, max_labels=100, max_file_labels=100)
    computed = LabelPublisher._computed
    lost = iter(range(num_lost))

    def overtaken(found: LabelPublisher, principal: Principal, *args: Any, **more: Any) -> Any:
        stored = computed(found, principal, *args, **more)
        if found is not publisher and (number := next(lost, None)) is not None:
            sent = LabelsRequest(labels=[Label(key=f"p{10 + number}", value=num_lost + number / 2)])
            other.post(principal, "people", target, sent, None)
        return stored

    monkeypatch.setattr(LabelPublisher, "_computed", overtaken)
    before = people.footprint()
    answer = post_labels(people, target, {"p1": 0.25})
    assert answer.status_code == (200 if num_lost < MAX_TRIES else 503)
    after = people.footprint()
    num_versions = num_lost + (answer.status_code == 200)
    assert after["label_set"] - before["label_set"] == num_versions
    assert len(after["objects"]) - len(before["objects"]) == num_versions


def test__labels__for_a_column_target__are_refused(people: Service) -> None:
    people.http.post("/v1/tables/people/targets", json={"name": "fromcolumn", "column": "churned"})
    answer = post_labels(people, "fromcolumn", {"p1": "Yes"})
    assert (answer.status_code, code_of(answer)) == (409, "labels_from_column")


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "multipart/form-data"])
def test__labels__of_another_media_type__are_refused(people: Service, target: str, content_type: str) -> None:
    answer = people.http.post(
        f"/v1/tables/people/targets/{target}/labels",
        content=b"key,value\np1,a\n",
        headers={"Content-Type": content_type},
    )
    assert (answer.status_code, code_of(answer)) == (415, "unsupported_media_type")
