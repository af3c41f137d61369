"""A prediction is the same bits in any company, from any cache, after any restart; and what a head must not see
cannot move it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.serving.predictions import PredictionService
from app.settings import Settings
from storage import migrate
from storage.engine import Database
from tests.app.serving.world import World, build_world, json_rows
from tests.platforms import Platform

EVERY = ["churn", "churn@challenger", "level", "spend", "active"]


def per_row(answer: dict[str, Any], reference: str) -> list[Any]:
    """What is said of each row, comparable with ==."""
    prediction = answer["predictions"][reference]
    if "value" in prediction:
        return list(zip(prediction["value"], prediction["interval"], strict=True))
    return list(zip(prediction["label"], prediction["probabilities"], strict=True))


@pytest.fixture(scope="module")
def world(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """On either platform, instead of the one of this folder."""
    settings = Settings(home=tmp_path_factory.mktemp("world"), **platform.settings)
    migrate.upgrade(settings.database_url)
    database, store = Database.open(settings.database_url), settings.artifacts.build()
    yield build_world(settings.home, database, store)
    store.close()
    database.dispose()


@pytest.fixture(scope="module")
def expected(world: World, service: PredictionService) -> dict[str, list[Any]]:
    """Every row of the table in one request for every target."""
    answer = world.answer(service, targets=EVERY, keys=world.frame["_key"].to_list())
    return {reference: per_row(answer, reference) for reference in EVERY}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    positions=st.lists(st.integers(0, 299), min_size=1, max_size=70),
    references=st.lists(st.sampled_from(EVERY), min_size=1, unique=True),
    by_keys=st.booleans(),
)
def test__predict__any_rows_and_targets_in_any_company__the_same_bits(
    world: World,
    service: PredictionService,
    expected: dict[str, list[Any]],
    positions: list[int],
    references: list[str],
    by_keys: bool,
) -> None:
    if by_keys:
        answer = world.answer(service, targets=references, keys=[1_000 + position for position in positions])
    else:
        answer = world.answer(service, targets=references, rows=json_rows(world.frame[positions]))
    for reference in references:
        assert per_row(answer, reference) == [expected[reference][position] for position in positions]


def test__predict__every_row_alone__the_same_bits(
    world: World, service: PredictionService, expected: dict[str, list[Any]]
) -> None:
    for position in range(60):
        for reference in EVERY:
            answer = world.answer(service, targets=[reference], keys=[1_000 + position])
            assert per_row(answer, reference) == [expected[reference][position]]


def test__predict__concurrent_requests__the_same_bits(world: World, expected: dict[str, list[Any]]) -> None:
    service = world.service(inference_threads=2)
    rng = np.random.default_rng(0)
    jobs = [(rng.integers(0, 300, size), EVERY[size % 5]) for size in range(1, 49)]
    wrong: list[int] = []
    barrier = threading.Barrier(8)

    def ask(worker: int) -> None:
        barrier.wait()
        for number in range(worker, len(jobs), 8):
            positions, reference = jobs[number]
            answer = world.answer(service, targets=[reference], keys=(1_000 + positions).tolist())
            if per_row(answer, reference) != [expected[reference][position] for position in positions]:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service.stop()
    assert wrong == []


def test__predict__cold_and_warm_and_without_caches__equal_bodies(world: World) -> None:
    request = {"targets": EVERY, "keys": list(range(1_000, 1_050))}
    service = world.service()
    cold, warm = world.body(service, **request), world.body(service, **request)
    uncached = world.service(model_cache_bytes=0, row_cache_bytes=0)
    for _ in range(2):
        assert world.body(uncached, **request) == warm
    assert cold == warm
    service.stop()
    uncached.stop()


def test__predict__after_a_restart__equal_bodies(world: World) -> None:
    request = {"targets": "*", "rows": json_rows(world.frame.head(33))}
    before = world.service()
    body = world.body(before, **request)
    before.stop()
    after = world.service()
    assert world.body(after, **request) == body
    after.stop()


@pytest.mark.parametrize(
    ("reference", "column", "values"),
    [
        ("active", "active", [True, False, None, "neither", 7.5]),  # not even read
        ("spend", "balance", [0.0, 1e12, None]),
        ("churn", "churned", ["Yes", "No", None, "maybe"]),
        ("spend", "churned", ["Yes", "No"]),
        ("churn", "id", [5, 6]),
    ],
)
def test__predict__columns_a_head_must_not_see__change_nothing(
    world: World, service: PredictionService, reference: str, column: str, values: list[Any]
) -> None:
    rows = json_rows(world.frame.head(5))
    untouched = per_row(world.answer(service, targets=[reference], rows=rows), reference)
    for value in values:
        changed = [{**row, column: value} for row in rows]
        assert per_row(world.answer(service, targets=[reference], rows=changed), reference) == untouched
        if column != reference:  # otherwise it is an input of the other head, and must be of its type
            with_others = world.answer(service, targets=[reference, "level"], rows=changed)
            assert per_row(with_others, reference) == untouched
    without = [{name: cell for name, cell in row.items() if name != column} for row in rows]
    assert per_row(world.answer(service, targets=[reference], rows=without), reference) == untouched


def test__predict__a_column_the_head_sees__changes_something(
    world: World, service: PredictionService
) -> None:
    rows = json_rows(world.frame.head(5))
    changed = [{**row, "balance": 1e6, "active": not row["active"]} for row in rows]
    for reference in ("churn", "level"):
        one = per_row(world.answer(service, targets=[reference], rows=rows), reference)
        assert per_row(world.answer(service, targets=[reference], rows=changed), reference) != one
