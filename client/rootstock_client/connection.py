"""Where the service is and which key to show it; the client's one reader of the environment.

What the caller passes wins; then `$ROOTSTOCK_URL` and `$ROOTSTOCK_KEY`; then the service that runs on
`$ROOTSTOCK_HOME` (`serve.json` says where, while it runs), else the default address, and the admin key that
`rootstock serve` left for this user there.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from rootstock_client.errors import ConfigurationError
from rootstock_client.local_service import announced

DEFAULT_URL = "http://127.0.0.1:8321"
_KEY = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True)
class Connection:
    """An address and a key; the key never shows in a repr."""

    url: str
    key: str = field(repr=False)
    is_loopback: bool

    @property
    def key_hint(self) -> str:
        """The public part of the key, for messages."""
        return mask(self.key)


def mask(key: str) -> str:
    """`rs_<public id>_…` of a key; nothing of one that has another form."""
    parts = key.split("_", 2)
    return f"rs_{parts[1]}_…" if len(parts) == 3 and parts[0] == "rs" else "…"


def resolve(url: str | None, key: str | None) -> Connection:
    """The connection for what was passed, completed from the environment.

    Raises:
        ConfigurationError: the address is no http(s) URL, or there is no key for it.
    """
    address = (url or os.environ.get("ROOTSTOCK_URL") or _announced_url() or DEFAULT_URL).rstrip("/")
    is_loopback = _check_address(address)
    secret = key or os.environ.get("ROOTSTOCK_KEY") or (_local_admin_key() if is_loopback else None)
    if not secret:
        raise ConfigurationError(
            "no API key: pass key=…, set ROOTSTOCK_KEY, or start `rootstock serve` as this user, which leaves one in "
            "$ROOTSTOCK_HOME/admin-key (used for addresses of this machine only)",
            code="no_key",
        )
    secret = secret.strip()
    if not _KEY.fullmatch(secret):
        raise ConfigurationError(
            f"an API key is one line of visible ASCII characters; received {len(secret)} characters that are not",
            code="invalid_key",
        )
    return Connection(url=address, key=secret, is_loopback=is_loopback)


def _check_address(address: str) -> bool:
    """Whether the address is one of this machine; refuses what is no plain http(s) URL."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.query or parts.fragment:
        raise ConfigurationError(
            "the address of the service has the form http://host:port or https://host, without user, query or "
            f"fragment; received {len(address)} characters of another form",
            code="invalid_url",
        )
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _announced_url() -> str | None:
    """The service that runs on this home; never an address of another machine, which would get no key anyway."""
    url = (announced(_home()) or {}).get("url")
    if not isinstance(url, str):
        return None
    try:
        return url if _check_address(url) else None
    except ConfigurationError:
        return None


def _home() -> Path:
    home = os.environ.get("ROOTSTOCK_HOME")
    return Path(home).expanduser() if home else Path.home() / ".rootstock"


def _local_admin_key() -> str | None:
    path = _home() / "admin-key"
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
