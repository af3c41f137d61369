"""No key, a wrong key or another workspace's key sees or changes anything, through any route."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from app.dependencies import Requires
from app.main import routed_app
from app.routes.edge.openapi import calls_of, operations_of
from app.schemas.principal import SCOPES
from tests.app.routes.operations import OPERATIONS, PUBLIC, Operation
from tests.app.routes.records import ready_encoder, ready_head
from tests.app.routes.service import Service, code_of
from tests.platforms import Platform

LISTINGS = {"/v1/tables": "tables", "/v1/jobs": "jobs", "/v1/keys": "keys"}


@pytest.fixture(scope="module")
def full(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The table `people` with a target, a ready encoder and a champion, so that every route has something to find."""
    people = Service(tmp_path_factory.mktemp("full") / "home", **platform.settings)
    people.ready_table("people")
    ready_encoder(people, "people")
    people.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    ready_head(people, "people", "churn")
    people.http.put(
        "/v1/tables/people/targets/churn/aliases/champion", json={"version": 1}
    ).raise_for_status()
    yield people
    people.close()


def wrong_keys(service: Service) -> dict[str, str]:
    good = service.key
    return {
        "none": "",
        "no scheme": good,
        "basic": f"Basic {good}",
        "empty": "Bearer",
        "not a key": "Bearer rs_x_y",
        "unknown id": f"Bearer rs_{'0' * 16}_{good.rsplit('_', 1)[1]}",
        "wrong secret": f"Bearer {good[:-4]}0000",
        "shorter": f"Bearer {good[:-1]}",
        "longer": f"Bearer {good}0",
        "upper": f"Bearer {good.upper()}",
        "twice": f"Bearer {good} {good}",
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test__route__without_a_valid_key__is_closed_and_changes_nothing(
    full: Service, operation: Operation
) -> None:
    before = full.footprint()
    with full.client(None) as nobody:
        for name, header in wrong_keys(full).items():
            headers = {"Authorization": header} if header else {}
            answer = nobody.request(operation.method, operation.path, headers=headers, **operation.request)
            assert answer.status_code == 401, name
            assert code_of(answer) == "unauthenticated"
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert full.footprint() == before


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test__route__other_workspaces_key__finds_and_changes_nothing(full: Service, operation: Operation) -> None:
    before = full.footprint()
    with full.client(full.key_of("elsewhere")) as stranger:
        is_listing = operation.method == "GET" and operation.template in LISTINGS
        if is_listing or "{" in operation.template:
            answer = stranger.request(operation.method, operation.path, **operation.request)
            if is_listing:
                found = answer.json()[LISTINGS[operation.template]]
                assert all(item.get("name") in ("test", "another", None) for item in found)
                assert operation.template == "/v1/keys" or found == []
            else:
                assert answer.status_code == 404, answer.text
                assert "people" not in answer.text.replace("'people'", "")
    after = full.footprint()
    for made_by_the_test in ("workspace", "api_key"):
        before.pop(made_by_the_test)
        after.pop(made_by_the_test)
    assert after == before


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "admin"])
def test__key__one_scope__opens_only_routes_of_that_scope(full: Service, scope: str) -> None:
    required = required_scopes()
    with full.client(full.key_of("default", scope)) as limited:
        for operation in OPERATIONS:
            if required[operation.method, operation.template] == scope:
                continue
            answer = limited.request(operation.method, operation.path, **operation.request)
            assert answer.status_code == 403, str(operation)
            assert code_of(answer) == "missing_scope"


def required_scopes() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for path, method, route in operations_of(routed_app()):
        scopes = {call.scope for call in calls_of(route.dependant) if isinstance(call, Requires)}
        if (method.upper(), path) not in PUBLIC:
            assert len(scopes) == 1, f"{method} {path} names {scopes or 'no scope'}"
            found[method.upper(), path] = scopes.pop()
    return found


def test__key__expired_or_revoked__is_refused(service: Service) -> None:
    expired = service.key_of("default", "tables:read", expires_at=time.time() - 1)
    made = service.http.post("/v1/keys", json={"name": "short", "scopes": ["tables:read"]}).json()
    with service.client(expired) as client:
        assert client.get("/v1/tables").status_code == 401
    with service.client(made["key"]) as client:
        assert client.get("/v1/tables").status_code == 200
        service.http.delete(f"/v1/keys/{made['id']}").raise_for_status()
        until = time.monotonic() + 1.0  # revocation holds within a second
        while client.get("/v1/tables").status_code != 401:
            assert time.monotonic() < until


def test__header__two_authorizations__are_refused(people: Service) -> None:
    headers = httpx.Headers(
        [("Authorization", f"Bearer {people.key}"), ("Authorization", f"Bearer {people.key}")]
    )
    with people.client(None) as client:
        assert client.get("/v1/tables", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/docs"])
def test__public_route__without_a_key__answers(people: Service, path: str) -> None:
    with people.client(None) as nobody:
        assert nobody.get(path).status_code == 200
