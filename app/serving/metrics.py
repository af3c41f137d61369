"""Prometheus metrics of the prediction path; no label ever carries a table, target or key of a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)


class CacheMetrics:
    """Counters of one named cache."""

    def __init__(self, serving: ServingMetrics, cache: str) -> None:
        self._hits = serving.cache_requests.labels(cache=cache, result="hit")
        self._misses = serving.cache_requests.labels(cache=cache, result="miss")
        self._evictions = serving.cache_evictions.labels(cache=cache)
        self._bytes = serving.cache_bytes.labels(cache=cache)

    def hit(self) -> None:
        self._hits.inc()

    def miss(self) -> None:
        self._misses.inc()

    def evicted(self) -> None:
        self._evictions.inc()

    def resized(self, num_bytes: int) -> None:
        self._bytes.set(num_bytes)


class ServingMetrics:
    """All metrics of one prediction service; the registry is passed in so that tests and processes can have many."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        name = "rootstock_predict"
        self.requests = Counter(
            f"{name}_requests", "Prediction requests by outcome code.", ["code"], registry=self.registry
        )
        self.seconds = Histogram(
            f"{name}_seconds", "Time from parsed request to body.", registry=self.registry, buckets=_SECONDS
        )
        self.rows = Histogram(f"{name}_rows", "Rows per request.", registry=self.registry, buckets=_ROWS)
        self.predictions = Counter(
            f"{name}_predictions", "Rows times heads that were answered.", registry=self.registry
        )
        self.waiting_seconds = Histogram(
            f"{name}_waiting_seconds",
            "Time in the queue of the inference lane.",
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.overloaded = Counter(
            f"{name}_overloaded",
            "Requests refused because the inference queue was full or too slow.",
            registry=self.registry,
        )
        self.cache_requests = Counter(
            f"{name}_cache_requests", "Cache look-ups.", ["cache", "result"], registry=self.registry
        )
        self.cache_evictions = Counter(
            f"{name}_cache_evictions",
            "Entries that left a cache for lack of room.",
            ["cache"],
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            f"{name}_cache_bytes", "Bytes kept by a cache.", ["cache"], registry=self.registry
        )
        self._queue = Gauge(
            f"{name}_queue", "Requests waiting for the inference lane.", registry=self.registry
        )
        self._catalog_age = Gauge(
            "rootstock_catalog_age_seconds",
            "Time since the catalog was last seen to be current.",
            registry=self.registry,
        )

    def cache(self, name: str) -> CacheMetrics:
        return CacheMetrics(self, name)

    def watch_queue(self, length: Callable[[], float]) -> None:
        self._queue.set_function(length)

    def watch_catalog(self, age_s: Callable[[], float]) -> None:
        self._catalog_age.set_function(age_s)
