"""Reports over HTTP, of heads that were really fitted on a table with hostile names."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.routes.service import Service, code_of
from tests.app.web_pages import Page

SCRIPT = "<script>alert(1)</script>"
BRACES = "{{7919*7907}}{% raw %}"
BRACES_RENDERED = str(7919 * 7907)  # long: a score or a count may well hold two given digits
QUOTES = "\"'><img src=x onerror=alert(2)>"
LONG = "long-" * 40
TURNED = "\u202egnp.exe ערך"
HOSTILE = [SCRIPT, BRACES, QUOTES, LONG, TURNED]
TARGETS = "/v1/tables/hostile/targets"
HEAD_PARTS = ("Metrics", "Columns that matter", "Against other heads", "Where it comes from")


def hostile_csv(num_rows: int = 320) -> bytes:
    draw = random.Random(5)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", *HOSTILE, "amount", "kind", "churned"])
    for row in range(num_rows):
        cells = [draw.choice([SCRIPT, BRACES, "plain"]), draw.choice(HOSTILE), draw.choice(["a", QUOTES])]
        numbers = [draw.gauss(0, 1), draw.gauss(5, 2)]
        amount = 3 * numbers[0] + draw.gauss(0, 1)
        kind = cells[0] if draw.random() < 0.8 else draw.choice([SCRIPT, BRACES, "plain"])
        churned = SCRIPT if numbers[0] + draw.gauss(0, 0.5) > 0 else QUOTES
        writer.writerow(
            [f"p{row}", *cells, *(f"{number:.4f}" for number in numbers), f"{amount:.3f}", kind, churned]
        )
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A table whose names and values attack, with a head of each task and one of zero_shot."""
    service = Service(tmp_path_factory.mktemp("reports") / "home")
    try:
        fit_heads(service)
        yield service
    finally:
        service.close()


def fit_heads(service: Service) -> None:
    roles = {"id": {"role": "key"}, "churned": {"role": "target"}, "amount": {"role": "target"}}
    answer = service.register("hostile", hostile_csv(), columns=roles)
    assert answer.status_code == 202, answer.text
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    service.http.post("/v1/tables/hostile/encoders", json={"max_seconds": 1}).raise_for_status()
    service.work()
    for name, column in (("churn", "churned"), ("amount", "amount"), ("kind", "kind")):
        service.http.post(TARGETS, json={"name": name, "column": column}).raise_for_status()
    rule = {"rule": "threshold", "threshold": 0.3}
    service.http.put(f"{TARGETS}/churn/decision", json=rule).raise_for_status()
    for body in (
        {"targets": ["churn", "amount", "kind"], "max_seconds": 6},
        {"targets": ["kind"], "max_seconds": 2, "head": {"kind": "zero_shot"}},
    ):
        answer = service.http.post("/v1/tables/hostile/fine-tunes", json=body)
        assert answer.status_code == 202, answer.text
        service.work()
        assert service.job(answer)["status"] == "succeeded", service.job(answer)


def page_of(service: Service, path: str) -> Page:
    answer = service.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return Page(answer.text)


def numbers_in(value: Any) -> list[float]:
    """Values with their ends, as `models.evaluation` writes them."""
    if not isinstance(value, dict):
        return []
    mine = [value[name] for name in ("value", "low", "high") if isinstance(value.get(name), float)]
    return mine + [number for part in value.values() for number in numbers_in(part)]


@pytest.mark.parametrize(("target", "version"), [("churn", 1), ("amount", 1), ("kind", 1), ("kind", 2)])
def test__head_report__every_task_and_kind__is_whole_safe_and_says_what_the_api_says(
    hostile: Service, target: str, version: int
) -> None:
    path = f"{TARGETS}/{target}/heads/{version}"
    head = hostile.http.get(path).json()
    page = page_of(hostile, f"{path}/report")
    assert set(HEAD_PARTS) <= set(page.headings)
    assert head["verdict"].split("(")[0].strip() in page.text
    expected = numbers_in(head["metrics"]) + numbers_in(head["baselines"])
    assert set(expected) <= set(page.numbers)
    for warning in head["report"]["warnings"]:
        assert warning in page.text
    for column in head["report"]["importance"]["columns"]:
        assert column["drop"] in page.numbers
    assert head["report"]["lineage"]["job"] in page.text


def test__head_report__binary_with_a_rule__shows_confusion_under_it(hostile: Service) -> None:
    page = page_of(hostile, f"{TARGETS}/churn/heads/1/report")
    assert "Confusion under the decision rule" in page.headings
    assert "Calibration of class" in page.text
    found = hostile.http.get(f"{TARGETS}/churn/decision").json()
    assert set(numbers_in(found["metrics"])) <= set(page.numbers)


def test__head_report__regression__shows_residuals_and_coverage(hostile: Service) -> None:
    page = page_of(hostile, f"{TARGETS}/amount/heads/1/report")
    assert "Residuals" in page.text
    assert "Do its promises hold" in page.headings
    assert "Mean width" in page.text


@pytest.mark.parametrize("target", ["churn", "amount"])
def test__head_report__promises_and_control__as_in_the_answer(hostile: Service, target: str) -> None:
    page = page_of(hostile, f"{TARGETS}/{target}/heads/1/report")
    report = hostile.http.get(f"{TARGETS}/{target}/heads/1").json()["report"]
    size = "mean_size" if target == "churn" else "mean_width"
    assert [point["asked"] for point in report["coverage"]] == [0.5, 0.8, 0.9, 0.95]
    assert {point[size] for point in report["coverage"]} <= set(page.numbers)
    control = report["permutation_control"]
    if "reason" in control:  # on a busy machine there may be no time for it
        assert control["reason"] in page.text
    else:
        assert {control["value"], control["chance"]} <= set(page.numbers)
    assert "Control: labels that mean nothing" in page.headings


def test__importance__of_a_head__names_the_column_that_decides(hostile: Service) -> None:
    found = hostile.http.get(f"{TARGETS}/amount/heads/1").json()["report"]["importance"]
    assert found["on"] == "fitted"
    assert found["columns"][0]["column"] == LONG
    assert found["columns"][0]["drop"] > 0.1


def test__table_report__hostile_names__are_escaped_and_complete(hostile: Service) -> None:
    page = page_of(hostile, "/v1/tables/hostile/report")
    for text in (SCRIPT, BRACES, QUOTES):
        assert text in page.text  # as text: Page fails on any tag that does not belong
    assert BRACES_RENDERED not in page.text
    profile = hostile.http.get("/v1/tables/hostile/profile").json()
    for entry in profile["columns"].values():
        assert entry["nulls"] in page.numbers
        assert entry["distinct"] in page.numbers
    champion = hostile.http.get(f"{TARGETS}/churn/heads/1").json()
    assert champion["metrics"]["auc"]["value"] in page.numbers
    assert {"Targets", "Columns", "Split", "Snapshots", "Encoder", "Proposals", "Warnings"} <= set(
        page.headings
    )


def test__table_report__nothing_but_rows__says_what_is_not_there(service: Service) -> None:
    service.ready_table("people")
    page = page_of(service, "/v1/tables/people/report")
    assert "no encoder is active" in page.text
    assert "None yet." in page.text


def test__table_report__registering__is_a_conflict(service: Service) -> None:
    service.register("people", b"a,b\n1,2\n3,4\n")
    assert code_of(service.http.get("/v1/tables/people/report")) == "table_not_ready"


def test__head_report__training_and_failed__is_a_conflict(hostile: Service) -> None:
    answer = hostile.http.post(f"{TARGETS}/churn/heads", json={"max_seconds": 1})
    version = answer.json()["head"]["version"]
    waiting = hostile.http.get(f"{TARGETS}/churn/heads/{version}/report")
    assert (waiting.status_code, code_of(waiting)) == (409, "head_not_ready")
    job = answer.headers["location"]
    hostile.http.post(f"{job}/cancel").raise_for_status()
    hostile.work()
    ended = hostile.http.get(f"{TARGETS}/churn/heads/{version}/report")
    assert (ended.status_code, code_of(ended)) == (409, "head_not_ready")
    assert code_of(hostile.http.get(f"{TARGETS}/churn/heads/99/report")) == "head_not_found"


def test__report__scope_predict_alone__is_refused(hostile: Service) -> None:
    key = hostile.key_of("default", "predict")
    with hostile.client(key) as http:
        assert http.get("/v1/tables/hostile/report").status_code == 403
