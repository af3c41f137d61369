"""Aliases: moved with care, rolled back in one call, with their history."""

from __future__ import annotations

import pytest

from tests.app.routes.records import ready_encoder, ready_head
from tests.app.routes.service import Service, code_of

BASE = "/v1/tables/people/targets/churn"


@pytest.fixture(scope="module")
def heads(people: Service) -> Service:
    ready_encoder(people, "people")
    people.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    assert [ready_head(people, "people", "churn") for _ in range(3)] == [1, 2, 3]
    return people


def test__alias__moved_and_rolled_back__keeps_its_history(heads: Service) -> None:
    url = f"{BASE}/aliases/blue"
    first = heads.http.put(url, json={"version": 1}, headers={"If-None-Match": "*"})
    assert (first.status_code, first.json()["version"], first.headers["etag"]) == (200, 1, '"1"')
    second = heads.http.put(url, json={"version": 2}, headers={"If-Match": '"1"'})
    assert (second.json()["version"], second.headers["etag"]) == (2, '"2"')
    read = heads.http.get(url)
    assert (read.json()["version"], read.headers["etag"]) == (2, '"2"')
    back = heads.http.post(f"{url}/rollback")
    assert (back.json()["version"], back.headers["etag"]) == (1, '"3"')
    history = heads.http.get(f"{url}/history").json()["history"]
    assert [(move["version"], move["previous_version"], move["action"]) for move in history] == [
        (1, 2, "rolled_back"),
        (2, 1, "moved"),
        (1, None, "moved"),
    ]
    assert heads.http.get(f"{BASE}/heads/1").json()["aliases"] == ["blue"]
    empty = heads.http.post(f"{url}/rollback")
    assert (empty.status_code, code_of(empty)) == (409, "nothing_to_roll_back")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"If-Match": '"7"'}, 412, "stale_revision"),
        ({"If-None-Match": "*"}, 412, "stale_revision"),
        ({"If-Match": '"0"'}, 412, "stale_revision"),
        ({"If-Match": "*"}, 400, "invalid_condition"),
        ({"If-Match": 'W/"1"'}, 400, "invalid_condition"),
        ({"If-Match": "1"}, 400, "invalid_condition"),
        ({"If-None-Match": '"1"'}, 400, "invalid_condition"),
        ({"If-Match": '"1"', "If-None-Match": "*"}, 400, "invalid_condition"),
    ],
)
def test__alias__condition_does_not_hold__moves_nothing(
    heads: Service, headers: dict[str, str], status: int, code: str
) -> None:
    url = f"{BASE}/aliases/green"
    heads.http.put(url, json={"version": 3}).raise_for_status()
    before = heads.footprint()
    answer = heads.http.put(url, json={"version": 1}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert heads.http.get(url).json()["version"] == 3
    assert heads.footprint() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", "aliases/new", {"version": 99}, 404, "head_not_found"),
        ("PUT", "aliases/new", {"version": 2**40}, 404, "head_not_found"),
        ("PUT", "aliases/new", {"version": 0}, 422, "invalid_request"),
        ("PUT", "aliases/new", {"version": "1"}, 422, "invalid_request"),
        ("PUT", "aliases/new", {"version": 1.0}, 422, "invalid_request"),
        ("PUT", "aliases/NEW", {"version": 1}, 422, "invalid_request"),
        ("GET", "aliases/nothing", None, 404, "alias_not_found"),
        ("GET", "aliases/nothing/history", None, 404, "alias_not_found"),
        ("POST", "aliases/nothing/rollback", None, 404, "alias_not_found"),
    ],
)
def test__alias__request_that_cannot_be__is_refused(
    heads: Service, method: str, path: str, body: object, status: int, code: str
) -> None:
    before = heads.footprint()
    answer = heads.http.request(method, f"{BASE}/{path}", json=body)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert heads.footprint() == before


def test__rollback__repeated_under_one_key__goes_back_once(heads: Service) -> None:
    url = f"{BASE}/aliases/red"
    for version in (1, 2, 3):
        heads.http.put(url, json={"version": version}).raise_for_status()
    answers = [heads.http.post(f"{url}/rollback", headers={"Idempotency-Key": "back"}) for _ in range(3)]
    assert [answer.json()["version"] for answer in answers] == [2, 2, 2]
    assert [answer.headers["etag"] for answer in answers] == ['"4"'] * 3
    assert heads.http.get(url).json()["version"] == 2


def test__aliases__listed__by_name(heads: Service) -> None:
    for name in ("zeta", "alpha"):
        heads.http.put(f"{BASE}/aliases/{name}", json={"version": 2}).raise_for_status()
    names = [alias["name"] for alias in heads.http.get(f"{BASE}/aliases").json()["aliases"]]
    assert names == sorted(names)
    assert {"alpha", "zeta"} <= set(names)
