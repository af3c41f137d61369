"""The byte cache: one load per key however many ask, a budget that holds, errors that are not kept."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from app.serving.byte_cache import ByteCache
from app.serving.metrics import ServingMetrics


def cache_of(budget_bytes: int) -> ByteCache[str, object]:
    return ByteCache(budget_bytes, ServingMetrics().cache("test"))


def sized(value: object, num_bytes: int = 1) -> Callable[[], tuple[object, int]]:
    return lambda: (value, num_bytes)


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test__get__many_threads_ask_for_an_absent_key__loaded_once() -> None:
    cache = cache_of(100)
    started, release = threading.Event(), threading.Event()
    loads: list[object] = []
    answers: list[object] = []

    def load() -> tuple[object, int]:
        loads.append(object())
        started.set()
        assert release.wait(10)
        return loads[-1], 1

    leader = threading.Thread(target=lambda: answers.append(cache.get("a", load)))
    leader.start()
    assert started.wait(10)
    followers = [threading.Thread(target=lambda: answers.append(cache.get("a", load))) for _ in range(8)]
    for thread in followers:
        thread.start()
    release.set()
    for thread in [leader, *followers]:
        thread.join()
    assert len(loads) == 1
    assert answers == loads * 9


def test__get__a_load_that_fails__raises_for_everyone_and_is_tried_again() -> None:
    cache = cache_of(100)
    barrier = threading.Barrier(4)
    errors: list[Exception] = []

    def fail() -> tuple[object, int]:
        raise ValueError("damaged")

    def ask() -> None:
        barrier.wait()
        try:
            cache.get("a", fail)
        except ValueError as error:
            errors.append(error)

    in_threads(4, ask)
    assert len(errors) == 4
    assert "a" not in cache
    assert cache.get("a", sized("repaired")) == "repaired"


def test__get__two_keys_at_once__do_not_wait_for_each_other() -> None:
    cache = cache_of(100)
    first_is_loading, second_is_loaded = threading.Event(), threading.Event()

    def slow() -> tuple[object, int]:
        first_is_loading.set()
        assert second_is_loaded.wait(10)
        return "slow", 1

    thread = threading.Thread(target=lambda: cache.get("slow", slow))
    thread.start()
    assert first_is_loading.wait(10)
    assert cache.get("fast", sized("fast")) == "fast"
    second_is_loaded.set()
    thread.join()
    assert cache.get("slow", sized("never")) == "slow"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), max_size=40))
def test__get__any_sequence__stays_within_the_budget_and_answers_right(asked: list[tuple[str, int]]) -> None:
    cache = cache_of(100)
    for key, num_bytes in asked:
        assert cache.get(key, sized(key, num_bytes)) == key
        assert cache.num_bytes <= 100
    for key in dict(asked):
        cache.drop(key)
    assert cache.num_bytes == 0
    assert len(cache) == 0


def test__get__over_budget__least_recently_used_goes_first() -> None:
    cache = cache_of(3)
    for key in "abc":
        cache.get(key, sized(key))
    cache.get("a", sized("never"))
    cache.get("d", sized("d"))
    assert [key in cache for key in "abcd"] == [True, False, True, True]


def test__get__larger_than_the_budget__answered_and_not_kept() -> None:
    cache = cache_of(10)
    cache.get("small", sized("small"))
    assert cache.get("huge", sized("huge", 11)) == "huge"
    assert "huge" not in cache
    assert "small" in cache


def test__get__evicted_while_in_use__stays_usable() -> None:
    cache = cache_of(1)
    held = cache.get("a", sized(["a"]))
    cache.get("b", sized(["b"]))
    assert "a" not in cache
    assert held == ["a"]
