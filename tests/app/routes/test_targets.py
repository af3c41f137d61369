"""Targets: what their labels say at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.routes.records import ready_encoder
from tests.app.routes.service import Service, code_of

ROLES = {
    "id": {"role": "key"},
    "churned": {"role": "target"},
    "weight": {"role": "weight"},
    "house": {"role": "group"},
    "gone": {"role": "drop"},
}

FEATURES = ["age", "city", "plan", "amount", "flag", "only", "empty", "when", "refund"]


def rows_csv(num_rows: int = 400) -> bytes:
    header = "id,house,age,city,plan,amount,flag,only,empty,weight,gone,when,refund,churned"
    lines = [
        f"p{row},h{row // 2},{row % 60},{'abc'[row % 3]},{'xyz'[row * 7 % 3]},{row * 1.5},{row % 2},1,,"
        f"{1 + row % 3},secret,2024-01-{1 + row % 28:02d},{500 + row if row % 5 == 0 else row % 90},"
        f"{'Yes' if row % 5 == 0 else 'No'}"
        for row in range(num_rows)
    ]
    return "\n".join([header, *lines]).encode() + b"\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("targets") / "home")
    answer = service.register("people", rows_csv(), columns=ROLES)
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    yield service
    service.close()


def create(service: Service, **body: Any) -> Any:
    return service.http.post("/v1/tables/people/targets", json=body)


@pytest.mark.parametrize(
    ("column", "task", "classes"),
    [
        ("churned", "binary", ["No", "Yes"]),
        ("plan", "multiclass", ["x", "y", "z"]),
        ("amount", "regression", None),
        ("flag", "binary", [0, 1]),
    ],
)
def test__target__from_a_column__infers_its_task(
    table: Service, column: str, task: str, classes: object
) -> None:
    answer = create(table, name=f"t_{column}", column=column)
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tables/people/targets/t_{column}"
    assert (body["task"], body["classes"], body["num_labels"]) == (task, classes, 400)
    assert table.http.get(answer.headers["location"]).json() == {
        k: v for k, v in body.items() if k != "warnings"
    }


def test__target__positive__stands_last(table: Service) -> None:
    assert create(table, name="stays", column="churned", positive="No").json()["classes"] == ["Yes", "No"]


@pytest.mark.parametrize("positive", [True, 1, 1.5, "p" * 200])
def test__target__positive__keeps_its_type(table: Service, positive: Any) -> None:
    name = f"positive_{type(positive).__name__}"
    assert create(table, name=name, task="binary", positive=positive).status_code == 201
    with table.container.database.reading() as uow:
        workspace = uow.workspaces.get_by_name("default")
        stored = uow.targets.by_name(uow.tables.by_name(workspace.id, "people").id, name).positive
    assert (stored, type(stored)) == (positive, type(positive))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"column": "nope"}, "unknown_column"),
        ({"column": "gone"}, "unknown_column"),
        ({"column": "churned", "forbidden_columns": ["nope"]}, "unknown_column"),
        ({"column": "id"}, "column_is_no_target"),
        ({"column": "house"}, "column_is_no_target"),
        ({"column": "weight"}, "column_is_no_target"),
        ({"column": "only"}, "one_class"),
        ({"column": "empty"}, "all_null"),
        ({"column": "when"}, "unsupported_label_type"),
        ({"column": "churned", "task": "regression"}, "task_mismatch"),
        ({"column": "plan", "task": "binary"}, "task_mismatch"),
        ({"column": "plan", "positive": "x"}, "task_mismatch"),
        ({"column": "churned", "positive": "Perhaps"}, "unknown_positive"),
        ({"task": "regression", "positive": 1}, "task_mismatch"),
        ({"name": "../x", "column": "churned"}, "invalid_request"),
        ({"column": "churned", "forbidden_columns": FEATURES}, "no_column_left"),
        ({"column": "age", "forbidden_columns": [*FEATURES[1:], "weight"]}, "no_column_left"),
        ({"forbidden_columns": FEATURES}, "no_column_left"),
        ({"positive": "p" * 201}, "invalid_request"),
    ],
)
def test__target__that_cannot_be__is_refused_and_leaves_nothing(
    table: Service, body: dict[str, Any], code: str
) -> None:
    before = table.footprint()
    answer = create(table, **({"name": "fresh"} | body))
    assert (answer.status_code, code_of(answer)) == (422, code), answer.text
    assert table.footprint() == before


def test__target__column_was_a_feature_in_pretraining__says_so(table: Service) -> None:
    ready_encoder(table, "people")
    seen = create(table, name="seen", column="plan").json()["warnings"]
    unseen = create(table, name="unseen", column="churned").json()["warnings"]
    assert any("pretrained with the column 'plan'" in warning for warning in seen)
    assert not any("pretrained with" in warning for warning in unseen)


def test__target__a_column_that_tells_the_label__is_suspected(table: Service) -> None:
    warnings = create(table, name="leaky", column="churned").json()["warnings"]
    assert any("'refund'" in warning for warning in warnings)
    forbidden = create(table, name="careful", column="churned", forbidden_columns=["refund"]).json()[
        "warnings"
    ]
    assert not any("'refund'" in warning for warning in forbidden)


def test__target__name_taken_or_table_missing__is_refused(table: Service) -> None:
    create(table, name="twice")
    again = create(table, name="twice")
    assert (again.status_code, code_of(again)) == (409, "name_taken")
    missing = table.http.post("/v1/tables/nothing/targets", json={"name": "x"})
    assert (missing.status_code, code_of(missing)) == (404, "table_not_found")
    unknown = table.http.get("/v1/tables/people/targets/nothing")
    assert (unknown.status_code, code_of(unknown)) == (404, "target_not_found")


def test__target__deleted__goes_with_its_labels(table: Service) -> None:
    before = table.footprint()
    create(table, name="short", column="churned")
    answer = table.http.delete("/v1/tables/people/targets/short")
    assert answer.json() == {
        "target": "short",
        "heads": 0,
        "label_sets": 1,
        "cancelled_jobs": [],
        "artifacts": 0,
    }
    after = table.footprint()
    assert {k: v for k, v in after.items() if k != "audit"} == {
        k: v for k, v in before.items() if k != "audit"
    }


def test__table_not_ready__nothing_can_be_made_of_it(service: Service) -> None:
    service.register("people", rows_csv(20))
    for answer in (
        create(service, name="t", column="plan"),
        service.http.post("/v1/tables/people/encoders", json={}),
        service.http.get("/v1/tables/people/profile"),
        service.http.patch("/v1/tables/people/columns", json={"columns": {"age": {"kind": "categorical"}}}),
    ):
        assert (answer.status_code, code_of(answer)) == (409, "table_not_ready")
