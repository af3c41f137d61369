"""What the exit code of `rootstock` says; also the last lines of `rootstock --help`."""

from __future__ import annotations

from enum import IntEnum

from rootstock_client import errors


class ExitCode(IntEnum):
    OK = 0
    FAILURE = 1  # something went wrong that no other code names
    USAGE = 2  # the command line itself is at fault
    NOT_FOUND = 3
    REFUSED = 4  # the service refused: a rule, a conflict, a stale revision
    JOB_FAILED = 5  # a job that was waited for failed or was cancelled
    UNREACHABLE = 6  # no service answers, or it asks to come back later
    NO_ACCESS = 7  # no key, a wrong one, or one without the scope
    INTERRUPTED = 130  # Ctrl-C


HELP = (
    "Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 refused, 5 job failed or cancelled, "
    "6 service unreachable or busy, 7 no access, 130 interrupted."
)

EXIT_CODE_OF: dict[type[errors.RootstockError], ExitCode] = {
    errors.RootstockError: ExitCode.FAILURE,
    errors.ConfigurationError: ExitCode.NO_ACCESS,
    errors.InvalidArgumentError: ExitCode.USAGE,
    errors.ServiceUnreachableError: ExitCode.UNREACHABLE,
    errors.ApiError: ExitCode.REFUSED,
    errors.AuthenticationError: ExitCode.NO_ACCESS,
    errors.AccessDeniedError: ExitCode.NO_ACCESS,
    errors.NotFoundError: ExitCode.NOT_FOUND,
    errors.TooManyRequestsError: ExitCode.UNREACHABLE,
    errors.ServiceUnavailableError: ExitCode.UNREACHABLE,
    errors.ServiceFailedError: ExitCode.FAILURE,
    errors.JobError: ExitCode.JOB_FAILED,
}
"""The most derived class wins."""


def exit_code_of(error: errors.RootstockError) -> ExitCode:
    return next(EXIT_CODE_OF[cls] for cls in type(error).__mro__ if cls in EXIT_CODE_OF)
