"""Versions of labels: listed, compared, undone, deleted; what happened is never rewritten."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from tests.app.routes.labels import make_target, post_labels, stored_labels
from tests.app.routes.records import ready_encoder, ready_head
from tests.app.routes.service import Service, code_of, people_csv


@pytest.fixture
def target(people: Service) -> str:
    return make_target(people)


def sets(service: Service, target: str, path: str = "", **params: Any) -> Any:
    answer = service.http.get(f"/v1/tables/people/targets/{target}/label-sets{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def restore(service: Service, target: str, version: int) -> httpx.Response:
    return service.http.post(f"/v1/tables/people/targets/{target}/label-sets/{version}/restore")


def test__versions__listed__newest_first_with_what_made_them(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b"})
    post_labels(people, target, {"p3": "a", "nobody": "b"})
    assert restore(people, target, 1).status_code == 200
    found = sets(people, target)["label_sets"]
    assert [(one["version"], one["action"], one["restored_version"], one["is_latest"]) for one in found] == [
        (3, "undo", 1, True),
        (2, "labels", None, False),
        (1, "labels", None, False),
    ]
    assert found[1]["counts"]["unmatched"] == 1
    first = sets(people, target, limit=2)
    assert [one["version"] for one in first["label_sets"]] == [3, 2]
    assert sets(people, target, cursor=first["next_cursor"], limit=2)["label_sets"] == found[2:]
    assert sets(people, target, "/2") == found[1]


def test__compare__counts_and_names_changes(people: Service, target: str) -> None:
    post_labels(
        people,
        target,
        [{"key": "p1", "value": "a"}, {"key": "p2", "value": "b"}, {"key": "p3", "value": "a"}],
    )
    post_labels(people, target, [
        {"key": "p1", "value": "b"}, {"key": "p2", "value": None}, {"key": "p3", "value": "a", "weight": 2.0},
        {"key": "p4", "value": "a"},
    ])  # fmt: skip
    found = sets(people, target, "/2/compare", **{"with": 1})
    names = ("added", "withdrawn", "changed", "details_changed", "unchanged")
    assert [found[name] for name in names] == [1, 1, 1, 1, 0]
    assert found["labels"] == [
        {"key": "p1", "before": "a", "after": "b"},
        {"key": "p2", "before": "b", "after": None},
        {"key": "p4", "before": None, "after": "a"},
    ]
    assert found["per_class"] == [
        {"value": "a", "added": 1, "withdrawn": 0, "changed_to": 0, "changed_from": 1},
        {"value": "b", "added": 0, "withdrawn": 1, "changed_to": 1, "changed_from": 0},
    ]
    page = sets(people, target, "/2/compare", **{"with": 1, "limit": 2})
    rest = sets(people, target, "/2/compare", **{"with": 1, "limit": 2, "cursor": page["next_cursor"]})
    assert page["labels"] + rest["labels"] == found["labels"]
    assert rest["next_cursor"] is None
    other = people.http.get(
        f"/v1/tables/people/targets/{target}/label-sets/1/compare",
        params={"with": 2, "cursor": page["next_cursor"]},
    )
    assert code_of(other) == "invalid_cursor"


def test__restore__any_version__has_its_labels(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b", "nobody": "a"})
    post_labels(people, target, {"p1": None, "p2": "a", "p5": "b"})
    post_labels(people, target, {"p6": "a"}, replace=True)
    for version in (1, 2, 3):
        answer = restore(people, target, version).json()
        assert stored_labels(people, target, answer["label_set"]) == stored_labels(people, target, version)
        assert sets(people, target, f"/{answer['label_set']}/compare", **{"with": version})["labels"] == []
    latest = answer["label_set"]
    again = restore(people, target, 3).json()
    assert (again["label_set"], again["accepted"], again["withdrawn"]) == (latest, 0, 0)
    assert restore(people, target, 99).status_code == 404


def test__restore__labels_of_another_kind__are_refused(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "other"})
    post_labels(people, target, {"p1": None})
    post_labels(people, target, {"p1": "a", "p2": "b"})
    answer = restore(people, target, 1)
    assert (answer.status_code, code_of(answer)) == (422, "unknown_class")


def test__delete__version_in_use__is_refused(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b"})
    ready_encoder(people, "people")
    ready_head(people, "people", target)
    post_labels(people, target, [{"key": "p3", "value": "a", "at": 4711}])  # labels that no other target has
    post_labels(people, target, {"p4": "a"})
    path = f"/v1/tables/people/targets/{target}/label-sets"
    assert sets(people, target, "/1")["heads"] == [1]
    for version in (1, 3):
        answer = people.http.delete(f"{path}/{version}")
        assert (answer.status_code, code_of(answer)) == (409, "label_set_in_use")
    before = people.footprint()
    assert people.http.delete(f"{path}/2").status_code == 200
    after = people.footprint()
    assert before["label_set"] - after["label_set"] == 1
    assert len(before["objects"]) - len(after["objects"]) == 1
    assert people.http.get(f"{path}/2").status_code == 404
    assert post_labels(people, target, {"p5": "a"}).json()["label_set"] == 4


def test__column_target__its_labels__are_listed_compared_and_not_undone(people: Service) -> None:
    people.http.post(
        "/v1/tables/people/targets", json={"name": "from_column", "column": "churned"}
    ).raise_for_status()
    assert sets(people, "from_column")["label_sets"][0]["source"] == "column"
    assert len(stored_labels(people, "from_column", 1)) == 300
    assert sets(people, "from_column", "/1/compare", **{"with": 1})["unchanged"] == 300
    assert code_of(restore(people, "from_column", 1)) == "labels_from_column"


def test__posts_and_undo__at_once__every_request_counts(people: Service, target: str) -> None:
    post_labels(people, target, {"p0": "a", "p299": "b"})
    answers: list[httpx.Response] = []

    def send(number: int) -> None:
        first = 10 + 5 * number
        answers.extend(
            post_labels(people, target, {f"p{row}": "ab"[row % 2]}) for row in range(first, first + 5)
        )

    def undo() -> None:
        answers.extend(restore(people, target, 1) for _ in range(5))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    threads.append(threading.Thread(target=undo))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {answer.status_code for answer in answers} == {200}
    listed = sets(people, target, limit=500)["label_sets"]
    assert [one["version"] for one in listed] == list(range(len(listed), 0, -1))
    for version in range(2, len(listed) + 1):  # each version is one request away from the one before
        made = listed[len(listed) - version]
        if made["action"] == "undo":
            assert set(stored_labels(people, target, version)) == {"p0", "p299"}
        else:
            step = sets(people, target, f"/{version}/compare", **{"with": version - 1})
            assert (step["added"], step["withdrawn"]) == (1, 0)


def time_table(service: Service, num_rows: int = 40) -> None:
    rows = [f"k{row},{row % 7},2024-03-{1 + row % 28:02d},{'ab'[row % 2]}" for row in range(num_rows)]
    content = "\n".join(["id,size,seen,kind", *rows]) + "\n"
    columns = {"id": {"role": "key"}, "seen": {"role": "time"}}
    assert service.register("visits", content.encode(), columns=columns).status_code == 202
    service.work()
    service.http.post("/v1/tables/visits/targets", json={"name": "late"}).raise_for_status()


def visit_labels(service: Service, labels: list[dict[str, Any]]) -> httpx.Response:
    return service.http.post("/v1/tables/visits/targets/late/labels", json={"labels": labels})


def test__label__known_before_its_row__is_refused(service: Service) -> None:
    time_table(service)
    early = [
        {"key": "k0", "value": 1, "at": "2024-03-01"},
        {"key": "k5", "value": 0, "at": "2024-03-05T23:59:59"},
    ]
    answer = visit_labels(service, early)
    assert (answer.status_code, code_of(answer)) == (422, "label_precedes_row")
    assert answer.json()["details"]["positions"] == [1]
    fine = [
        {"key": "k0", "value": 1, "at": "2024-03-01"},
        {"key": "k5", "value": 0, "at": "2024-03-06T00:30:00+00:30"},
    ]
    assert visit_labels(service, fine).status_code == 200
    assert visit_labels(service, [{"key": "k6", "value": 1}]).status_code == 200
    file = service.http.post(
        "/v1/tables/visits/targets/late/labels",
        content=b"key,value,at\nk7,1,2024-03-09\nk8,1,2024-03-02\n",
        headers={"Content-Type": "text/csv"},
    )
    assert (code_of(file), file.json()["details"]["lines"]) == ("label_precedes_row", [3])


def test__new_snapshot__labels_are_counted_for_it(service: Service) -> None:
    service.ready_table("people", 60)
    labels = {f"p{row}": "ab"[row % 2] for row in range(50, 70)}
    make = {"name": "tier"}
    service.http.post("/v1/tables/people/targets", json=make).raise_for_status()
    service.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    first = post_labels(service, "tier", labels).json()
    assert (first["num_labels"], first["num_parked"]) == (10, 10)
    answer = service.http.post(
        "/v1/tables/people/snapshots",
        data={"mode": "replace", "drift": "accept"},
        files={"file": ("more.csv", people_csv(80), "text/csv")},
    )
    assert answer.status_code == 202, answer.text
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    found = {one["name"]: one for one in service.http.get("/v1/tables/people/targets").json()["targets"]}
    assert (found["tier"]["num_labels"], found["tier"]["label_counts"]["unmatched"]) == (20, 0)
    assert found["tier"]["label_counts"]["snapshot"] == 2
    assert found["churn"]["num_labels"] == 80
    listed = sets(service, "churn")["label_sets"]
    assert [(one["version"], one["action"]) for one in listed] == [(2, "snapshot"), (1, "labels")]
    assert len(sets(service, "tier")["label_sets"]) == 1
