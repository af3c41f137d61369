"""Python client of Rootstock: register a table, pretrain, fine-tune, predict; data frames in and out.

`Client` is where to start; every failure is a `RootstockError` (the tree is drawn in `rootstock_client.errors`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rootstock_client.errors import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    InvalidRequestError,
    JobCancelled,
    JobError,
    JobFailed,
    JobTimeout,
    NotFoundError,
    RootstockError,
    ServiceFailedError,
    ServiceUnavailableError,
    ServiceUnreachableError,
    StaleRevisionError,
    TooManyRequestsError,
    UnexpectedResponseError,
)
from rootstock_client.jobs import ErrorOfJob, Job, JobEvent, Progress
from rootstock_client.server_files import ServerFiles
from rootstock_client.version import __version__

if TYPE_CHECKING:
    from rootstock_client.client import Client
    from rootstock_client.predictions import PredictionSet
    from rootstock_client.transport import RetryPolicy

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "AuthenticationError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ErrorOfJob",
    "InvalidArgumentError",
    "InvalidRequestError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobTimeout",
    "NotFoundError",
    "PredictionSet",
    "Progress",
    "RetryPolicy",
    "RootstockError",
    "ServerFiles",
    "ServiceFailedError",
    "ServiceUnavailableError",
    "ServiceUnreachableError",
    "StaleRevisionError",
    "TooManyRequestsError",
    "UnexpectedResponseError",
    "__version__",
]

_LOADED_WHEN_USED = {
    "Client": "rootstock_client.client",
    "PredictionSet": "rootstock_client.predictions",
    "RetryPolicy": "rootstock_client.transport",
}
"""polars and httpx take longer to import than `rootstock --help` should take, which needs the errors alone."""


def __getattr__(name: str) -> Any:
    module = _LOADED_WHEN_USED.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value
