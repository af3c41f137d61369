"""Kinds, roles and proposals of a table's columns: what can change, what that makes stale, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.routes.records import ready_encoder, ready_head
from tests.app.routes.service import Service, code_of

ROLES = {"id": {"role": "key"}, "day": {"role": "time"}, "churned": {"role": "target"}}


def shop_csv() -> bytes:
    lines = ["id,day,code,zip,ref,flat,row_weight,note,churned"]
    for row in range(60):
        cells = (
            f"k{row}",
            f"2024-01-{row % 28 + 1:02}",
            row % 5,
            10_000 + row,
            f"r{row * 17}x",
            1,
            row / 7 + 0.1,
        )
        lines.append(",".join(map(str, (*cells, f"n{row % 3}", "yes" if row % 4 else "no"))))
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("shop") / "home")
    answer = service.register("people", shop_csv(), columns=ROLES)
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    yield service
    service.close()


def patch(service: Service, **columns: dict[str, str]) -> Any:
    return service.http.patch("/v1/tables/people/columns", json={"columns": columns})


KIND_ALLOWED = {
    "code": {"categorical", "continuous", "constant", "identifier", "postal_code"},
    "note": {"categorical", "text", "postal_code", "identifier", "constant"},
    "row_weight": {"categorical", "continuous", "identifier", "constant"},
}
KINDS = (
    "categorical",
    "continuous",
    "boolean",
    "datetime",
    "text",
    "postal_code",
    "ip_address",
    "identifier",
    "constant",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", KIND_ALLOWED)
def test__kind__is_taken_where_the_values_can_have_it(shop: Service, column: str, kind: str) -> None:
    answer = patch(shop, **{column: {"kind": kind}})
    if kind in KIND_ALLOWED[column]:
        assert answer.status_code == 200, answer.text
        found = {one["name"]: one for one in answer.json()["columns"]}
        assert found[column]["kind"] == kind
    else:
        assert (answer.status_code, code_of(answer)) == (422, "incompatible_kind")


@pytest.mark.parametrize("role", ["key", "group", "time", "drop"])
def test__role__that_stored_rows_follow_from__is_fixed(shop: Service, role: str) -> None:
    before = shop.http.get("/v1/tables/people").json()
    answer = patch(shop, note={"role": role})
    assert (answer.status_code, code_of(answer)) == (422, "role_is_fixed")
    assert code_of(patch(shop, id={"role": "feature"})) == "role_is_fixed"
    assert shop.http.get("/v1/tables/people").json() == before


def test__role__of_a_targets_column__stays_one_that_labels_are_read_from(shop: Service) -> None:
    target = {"name": "heavy", "column": "row_weight", "task": "regression"}
    shop.http.post("/v1/tables/people/targets", json=target).raise_for_status()
    answer = patch(shop, row_weight={"role": "weight"})
    assert (answer.status_code, code_of(answer)) == (409, "target_column_in_use")
    assert answer.json()["details"] == {"column": "row_weight", "target": "heavy"}
    assert patch(shop, row_weight={"role": "target"}).status_code == 200
    back = patch(shop, row_weight={"role": "feature"})
    assert any("hidden from every head" in warning for warning in back.json()["warnings"])
    shop.http.delete("/v1/tables/people/targets/heavy").raise_for_status()
    assert patch(shop, row_weight={"role": "weight"}).status_code == 200
    patch(shop, row_weight={"role": "feature"})


def test__change__that_touches_encoders_and_heads__names_them(shop: Service) -> None:
    assert patch(shop, code={"kind": "continuous"}, note={"kind": "categorical"}).status_code == 200
    version = ready_encoder(shop, "people")
    target = {"name": "churn", "column": "churned"}
    shop.http.post("/v1/tables/people/targets", json=target).raise_for_status()
    ready_head(shop, "people", "churn")
    kind = patch(shop, code={"kind": "categorical"}).json()
    assert [one["encoder"] for one in kind["stale"]] == [version]
    assert "code" in kind["stale"][0]["reason"]
    assert kind["stale_heads"] == []
    role = patch(shop, note={"role": "target"}).json()
    assert [(one["target"], one["heads"]) for one in role["stale_heads"]] == [("churn", [1])]
    assert "note" in role["stale_heads"][0]["reason"]
    again = patch(shop, note={"role": "feature"}, code={"kind": "continuous"}).json()
    assert (again["stale"], again["stale_heads"]) == ([], [])


def test__proposals__are_listed_accepted_once_and_say_what_cannot_be(shop: Service) -> None:
    listed = {one["column"]: one for one in shop.http.get("/v1/tables/people/proposals").json()["proposals"]}
    assert listed["flat"]["role"] == "drop"
    assert "next snapshot with 'flat' as drop (`--column flat=drop`)" in listed["flat"]["fixed"]
    assert (listed["row_weight"]["role"], listed["row_weight"]["fixed"]) == ("weight", None)
    url = "/v1/tables/people/proposals/accept"
    for columns, code in ((["nobody"], "no_proposal"), (["flat"], "role_is_fixed"), ([], "invalid_request")):
        answer = shop.http.post(url, json={"columns": columns})
        assert (answer.status_code, code_of(answer)) == (422, code)
    accepted = shop.http.post(url, json={"columns": "*"}).json()
    assert "row_weight" in {one["column"] for one in accepted["accepted"]}
    assert "flat" in {one["column"] for one in accepted["skipped"]}
    roles = {one["name"]: one["role"] for one in shop.http.get("/v1/tables/people").json()["columns"]}
    assert roles["row_weight"] == "weight"
    again = shop.http.post(url, json={"columns": "*"}).json()
    assert again["accepted"] == []
    assert again["schema_version"] == accepted["schema_version"]
