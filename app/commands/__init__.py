"""The subcommands of `rootstock`; a new one is a file here and a line below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from app.commands.alias import alias
from app.commands.demo import demo
from app.commands.doctor import doctor
from app.commands.encoders import encoders, pretrain
from app.commands.erase import erase, erasures
from app.commands.heads import finetune, heads
from app.commands.health import health
from app.commands.jobs import jobs
from app.commands.keys import keys
from app.commands.labels import label, labels
from app.commands.openapi import openapi
from app.commands.predict import predict
from app.commands.refit import refit
from app.commands.register import register
from app.commands.report import report
from app.commands.serve import serve
from app.commands.snapshots import snapshots
from app.commands.tables import columns, profile, tables
from app.commands.targets import target, targets
from app.commands.worker import worker

STORY = "From a table to predictions"
LOOK = "Look at and change"
RUN = "Run the service"

COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    STORY: {
        "demo": demo,
        "register": register,
        "pretrain": pretrain,
        "target": target,
        "label": label,
        "finetune": finetune,
        "refit": refit,
        "predict": predict,
    },
    LOOK: {"profile": profile, "columns": columns, "report": report, "erase": erase},
    RUN: {"serve": serve, "worker": worker, "doctor": doctor, "health": health, "openapi": openapi},
}
GROUPS: dict[str, dict[str, typer.Typer]] = {
    LOOK: {
        "tables": tables,
        "snapshots": snapshots,
        "targets": targets,
        "labels": labels,
        "encoders": encoders,
        "erasures": erasures,
        "heads": heads,
        "alias": alias,
        "jobs": jobs,
    },
    RUN: {"keys": keys},
}
