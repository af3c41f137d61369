"""Who is asking: the workspace and scopes that a verified API key stands for."""

from __future__ import annotations

from dataclasses import dataclass

SCOPES = ("tables:read", "tables:write", "finetune", "predict", "promote", "admin")
"""All scopes a key can carry; `admin` stands for every other."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A key that authenticated; everything it reaches is filtered by `workspace_id`."""

    workspace_id: str
    workspace_name: str
    key_id: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key carries `scope`, by name or through `admin`."""
        return scope in self.scopes or "admin" in self.scopes
