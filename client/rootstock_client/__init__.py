"""Python client of Rootstock: register a table, pretrain, fine-tune, predict; data frames in and out.

`Client` is where to start; every failure is a `RootstockError` (the tree is drawn in `rootstock_client.errors`).
"""

from rootstock_client.client import Client
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
from rootstock_client.predictions import PredictionSet
from rootstock_client.transport import RetryPolicy
from rootstock_client.version import __version__

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
    "ServiceFailedError",
    "ServiceUnavailableError",
    "ServiceUnreachableError",
    "StaleRevisionError",
    "TooManyRequestsError",
    "UnexpectedResponseError",
    "__version__",
]
