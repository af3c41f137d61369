"""Version of this client, sent as `User-Agent`; equal to the one in pyproject.toml (held by a test)."""

__version__ = "0.1.0"
