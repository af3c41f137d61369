"""Keys as an erasure keeps them: a code that only who has salt and key can make."""

from __future__ import annotations

import hmac


def key_hmac(salt: bytes, key: str) -> bytes:
    """HMAC-SHA256 of a canonical key, 32 bytes."""
    return hmac.digest(salt, key.encode(), "sha256")
