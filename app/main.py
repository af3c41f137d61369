"""The ASGI application: routes behind the gate, and the threads that live as long as it serves."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CollectorRegistry
from starlette.responses import HTMLResponse, Response

from app.dependencies import authenticate
from app.executors import Executor
from app.routes import KEYED, KEYED_V1, PUBLIC
from app.routes.edge.gate import Gate, GateRules
from app.routes.edge.metrics import HttpMetrics
from app.routes.edge.openapi import DOCS_POLICY, build_openapi, docs_page
from app.routes.edge.problems import API_PREFIX, install_problem_handlers
from app.routes.edge.responses import json_response
from app.wiring import Container
from app.worker.supervisor import EMBEDDED_NICENESS, Worker
from models.heads import SLOW_LIBRARIES

DESCRIPTION = (
    "One pretrained encoder per table; a light, versioned head for every target; predictions for all targets from "
    "one encoder pass. Errors are RFC 9457 problem documents with a stable code."
)


def create_app(container: Container, executor: Executor | None = None) -> FastAPI:
    """The service on an open container; its threads run from the application's start to its stop.

    `executor`: one that the embedded worker is to use and to close. The caller closes the container afterwards.
    """
    app = routed_app()
    app.state.executor = executor
    http_registry = CollectorRegistry()
    app.state.container = container
    app.state.http_registry = http_registry
    app.add_middleware(Gate, rules=GateRules.of(container.settings), metrics=HttpMetrics(http_registry))
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document without a container, as committed in docs/openapi.json."""
    document: dict[str, Any] = routed_app().openapi()
    return document


def routed_app() -> FastAPI:
    """All routes without a container or gate: what is described and walked, not what is served."""
    app = FastAPI(
        title="Rootstock",
        version=version("rootstock"),
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
    )
    install_problem_handlers(app)
    for router in PUBLIC:
        app.include_router(router)
    for prefix, routers in (("", KEYED), (API_PREFIX, KEYED_V1)):
        for router in routers:
            app.include_router(router, prefix=prefix, dependencies=[Depends(authenticate)])
    _serve_documents(app)
    return app


def _serve_documents(app: FastAPI) -> None:
    """`/openapi.json` and `/docs`, public: they say what the source says."""

    @cache  # half a second of work that most processes are never asked for
    def document() -> dict[str, Any]:
        return build_openapi(app)

    def openapi_json() -> Response:
        return json_response(document())

    def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(document()), headers={"Content-Security-Policy": DOCS_POLICY})

    app.openapi = document  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", openapi_json, include_in_schema=False, response_model=None)
    app.add_api_route("/docs", docs, include_in_schema=False, response_model=None)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    container: Container = app.state.container
    await run_in_threadpool(container.start)
    stop_worker = threading.Event()
    worker: threading.Thread | None = None
    if container.settings.embedded_worker:
        embedded = Worker(
            container,
            num_slots=container.settings.worker_slots,
            niceness=EMBEDDED_NICENESS,
            executor=app.state.executor,
        )
        worker = threading.Thread(target=embedded.run, args=(stop_worker,), name="embedded-worker")
        worker.start()
    libraries = threading.Thread(target=_import_slow_libraries, name="slow-libraries")
    libraries.start()
    try:
        yield
    finally:
        stop_worker.set()
        await run_in_threadpool(libraries.join)
        if worker is not None:
            await run_in_threadpool(worker.join)
        await run_in_threadpool(container.stop)


def _import_slow_libraries() -> None:
    """Beside the first requests, or the first one for a head of trees would wait for them."""
    for name in SLOW_LIBRARIES:
        importlib.import_module(name)


__all__ = ["create_app", "openapi_document", "routed_app"]
