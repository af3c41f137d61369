"""docker-compose.yml and Dockerfile as data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api", "worker")


def instructions() -> list[tuple[str, str]]:
    """Keyword and rest of every instruction of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()
    ]


def command_of(service: str) -> list[str]:
    """Arguments of `rootstock`, the image's entry point."""
    return [str(word) for word in SERVICES[service]["command"]]


def health_of(service: str) -> list[str]:
    kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "rootstock")
    return [str(word) for word in arguments]


def environment_of(service: str) -> dict[str, str]:
    return {
        name: re.sub(r"\$\{[A-Z_]+:-(.*?)\}", r"\1", str(value))
        for name, value in SERVICES[service]["environment"].items()
    }
