"""Prometheus metrics of the HTTP layer; labels are declared routes, never paths or names of a client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class HttpMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rootstock_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "rootstock_http_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["method", "route"],
            registry=registry,
            buckets=_SECONDS,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """`status` 0 is an answer that was never started (the client left)."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)
