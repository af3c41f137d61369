"""API keys: shown once, never stronger than their maker, never the last one lost."""

from __future__ import annotations

import re
import stat
from datetime import UTC, datetime, timedelta

import pytest

from app.services.workspaces import ensure_first_key
from tests.app.routes.service import Service, code_of


def test__first_start__leaves_an_admin_key_for_its_user_alone(service: Service) -> None:
    file = service.settings.admin_key_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(service.settings.home.stat().st_mode) == 0o700
    assert re.fullmatch(r"rs_[a-z0-9]{16}_[a-z0-9]{64}\n", file.read_text())
    assert service.container.first_key == service.key
    assert ensure_first_key(service.container.database, file) is None
    assert file.read_text().strip() == service.key


def test__key__made__is_shown_once_and_works(service: Service) -> None:
    answer = service.http.post("/v1/keys", json={"name": "ci", "scopes": ["predict", "tables:read"]})
    made = answer.json()
    assert answer.status_code == 201
    assert made["key"].startswith(made["prefix"] + "_")
    with service.client(made["key"]) as client:
        assert client.get("/v1/tables").status_code == 200
        assert client.get("/v1/keys").status_code == 403
    listed = service.http.get("/v1/keys").text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert (
        made["key"].rsplit("_", 1)[1].encode()
        not in service.settings.home.joinpath("rootstock.db").read_bytes()
    )


def test__key__repeated_request__makes_one_and_tells_no_secret_twice(service: Service) -> None:
    body, headers = {"name": "ci", "scopes": ["predict"]}, {"Idempotency-Key": "k"}
    first = service.http.post("/v1/keys", json=body, headers=headers).json()
    again = service.http.post("/v1/keys", json=body, headers=headers).json()
    assert again == {**first, "key": None}
    assert len(service.http.get("/v1/keys").json()["keys"]) == 2
    assert first["key"].encode() not in service.settings.home.joinpath("rootstock.db").read_bytes()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "scopes": []}, "invalid_request"),
        ({"name": "x", "scopes": ["root"]}, "invalid_request"),
        ({"name": "../x", "scopes": ["predict"]}, "invalid_request"),
        ({"name": "x", "scopes": ["predict"], "expires_at": "2001-01-01T00:00:00Z"}, "expires_in_the_past"),
        ({"name": "x", "scopes": ["predict"], "expires_at": "2050-01-01T00:00:00"}, "invalid_request"),
        ({"name": "x", "scopes": ["predict"], "expires_at": "soon"}, "invalid_request"),
    ],
)
def test__key__that_cannot_be__is_refused_and_leaves_nothing(
    people: Service, body: dict[str, object], code: str
) -> None:
    before = people.footprint()
    answer = people.http.post("/v1/keys", json=body)
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert people.footprint() == before


def test__key__with_an_end__has_a_status(service: Service) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = service.http.post("/v1/keys", json={"name": "x", "scopes": ["predict"], "expires_at": end}).json()
    assert made["status"] == "live"
    revoked = service.http.delete(f"/v1/keys/{made['id']}").json()
    assert revoked["status"] == "revoked"
    assert revoked["revoked_at"] is not None


def test__last_admin_key__is_not_revoked(service: Service) -> None:
    own = service.http.get("/v1/keys").json()["keys"][0]["id"]
    answer = service.http.delete(f"/v1/keys/{own}")
    assert (answer.status_code, code_of(answer)) == (409, "last_admin_key")
    assert service.http.get("/v1/keys").json()["keys"][0]["status"] == "live"
    service.http.post("/v1/keys", json={"name": "second", "scopes": ["admin"]}).raise_for_status()
    assert service.http.delete(f"/v1/keys/{own}").status_code == 200
