"""The inference lane: bounded, refusing instead of queueing without end, with threads of its own for torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from app.serving.errors import Overloaded
from app.serving.inference import InferenceLane
from app.serving.metrics import ServingMetrics
from tests.app.serving.records import eventually


@pytest.fixture
def metrics() -> ServingMetrics:
    return ServingMetrics()


@pytest.fixture
def lane(metrics: ServingMetrics) -> Iterator[InferenceLane]:
    lane = InferenceLane(num_threads=2, metrics=metrics, max_waiting=2, max_wait_s=10.0)
    lane.start()
    yield lane
    lane.stop()


def test__run__any_work__result_or_error_comes_back(lane: InferenceLane) -> None:
    assert lane.run(lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="of the work"):
        lane.run(_raise_timeout)
    assert lane.run(lambda: "still alive") == "still alive"


def _raise_timeout() -> None:
    raise TimeoutError("of the work")


def test__run__torch_threads__set_in_the_lane_and_nowhere_else(lane: InferenceLane) -> None:
    before = torch.get_num_threads()
    assert lane.run(torch.get_num_threads) == 2
    assert lane.run(threading.current_thread) is not threading.current_thread()
    assert torch.get_num_threads() == before
    assert lane.run(torch.is_inference_mode_enabled)


def test__run__full_queue__refused_with_retry_after(lane: InferenceLane, metrics: ServingMetrics) -> None:
    release, started = threading.Event(), threading.Event()

    def block() -> None:
        started.set()
        assert release.wait(10)

    waiting = [threading.Thread(target=lambda: lane.run(block)) for _ in range(3)]
    waiting[0].start()
    assert started.wait(10)
    for thread in waiting[1:]:
        thread.start()
    registry = metrics.registry
    assert eventually(lambda: registry.get_sample_value("rootstock_predict_queue") == 2)
    with pytest.raises(Overloaded):
        lane.run(lambda: None)
    release.set()
    for thread in waiting:
        thread.join()
    assert registry.get_sample_value("rootstock_predict_overloaded_total") == 1
    assert lane.run(lambda: "again") == "again"


def test__run__no_answer_in_time__refused_and_never_computed(metrics: ServingMetrics) -> None:
    lane = InferenceLane(num_threads=1, metrics=metrics, max_wait_s=0.05)
    started, release = threading.Event(), threading.Event()
    computed: list[str] = []
    refused: list[str] = []

    def block() -> None:
        started.set()
        release.wait(10)

    def ask(work: Callable[[], None]) -> None:
        try:
            lane.run(work)
        except Overloaded as error:
            refused.append(error.code)

    blocker = threading.Thread(target=ask, args=(block,))
    blocker.start()
    assert started.wait(10)
    ask(lambda: computed.append("late"))
    blocker.join()  # refused too, while its work still runs
    release.set()
    lane.stop()
    assert refused == ["overloaded", "overloaded"]
    assert computed == []


def test__stop__work_in_the_queue__finished_and_later_work_refused_until_it_starts_again(
    metrics: ServingMetrics,
) -> None:
    lane = InferenceLane(num_threads=1, metrics=metrics)
    assert lane.run(lambda: 1) == 1
    lane.stop()
    with pytest.raises(Overloaded):
        lane.run(lambda: 1)
    lane.start()
    assert lane.run(lambda: 2) == 2
    lane.stop()
