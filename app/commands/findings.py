"""What a check of `doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    FINE = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    name: str
    health: Health
    text: str

    def as_json(self) -> dict[str, str]:
        return {"check": self.name, "health": self.health.name.lower(), "found": self.text}
