"""Global options of one run, and the client made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from app.commands.console import show_json
from app.commands.running_service import RunningService
from rootstock_client.errors import InvalidArgumentError

if TYPE_CHECKING:
    from app.settings import Settings
    from rootstock_client import Client


class InvalidSettings(InvalidArgumentError):
    default_code = "invalid_settings"


@dataclass(frozen=True)
class Session:
    """`--url`, `--key` and `--json` as given on the command line."""

    url: str | None = None
    key: str | None = None
    as_json: bool = False

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the chosen service.

        The address is `--url`, else `$ROOTSTOCK_URL`, else that of the service running on `$ROOTSTOCK_HOME`,
        else where `rootstock serve` would listen; the key is `--key`, else `$ROOTSTOCK_KEY`, else
        `$ROOTSTOCK_ADMIN_KEY` (or its file), else (on this machine) the admin key of `$ROOTSTOCK_HOME`.
        """
        from rootstock_client import Client

        settings = load_settings()
        url = self.url or settings.url or address_of(settings)
        secret = settings.key or settings.admin_key
        key = self.key or (secret.get_secret_value() if secret else None)
        with Client(url, key) as client:
            yield client

    def show(self, value: Any) -> bool:
        """Print `value` as JSON if `--json` was given; False where a person is to be shown something."""
        if self.as_json:
            show_json(value)
        return self.as_json


def session_of(ctx: typer.Context) -> Session:
    session = ctx.find_object(Session)
    return session or Session()


def load_settings(**given: Any) -> Settings:
    """Settings from the environment; `given` (of the command line) come first.

    Raises:
        InvalidSettings: a variable has a value that its setting does not take; the value is not shown.
    """
    # Here, as in other commands: pydantic costs more time than all of `--help`.
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from app.settings import Settings

    try:
        return Settings(**given)
    except ValidationError as error:
        faults = "; ".join(
            f"ROOTSTOCK_{'__'.join(map(str, fault['loc'])).upper() or 'HOST'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise InvalidSettings(f"the settings cannot be used: {faults}") from None
    except (SettingsError, ValueError) as error:  # a secret's file; the message names it, not what is in it
        raise InvalidSettings(f"the settings cannot be used: {error}") from None


def address_of(settings: Settings) -> str:
    """Where the service of this home is, or would be."""
    running = RunningService.find(settings.home)
    if running is not None:
        return running.url
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"
