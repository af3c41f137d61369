"""Whether there is room for a job: asked before it is queued, and again before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import InsufficientStorage, InvalidRequest
from app.services.estimates import Estimate
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Shortage:
    """Why a job does not start; the words are for its owner."""

    code: str
    message: str
    details: JsonObject

    def as_json(self) -> JsonObject:
        return {"code": self.code, "message": self.message, "details": self.details}


class Capacity:
    """`folders` are where jobs write on this machine (scratch, a local artifact store); `min_free_bytes` is never
    filled in them. `job_memory_bytes` is what one job may take here; `is_working` whether jobs run here at all."""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        min_free_bytes: int,
        job_memory_bytes: int,
        num_threads: int = 1,
        is_working: bool = True,
    ) -> None:
        self._folders = tuple(folders)
        self._min_free_bytes = min_free_bytes
        self._job_memory_bytes = job_memory_bytes
        self._is_working = is_working
        self.num_threads = num_threads

    def check_disk(self, coming_bytes: int = 0) -> None:
        """Raises: InsufficientStorage `disk_full` when `coming_bytes` more would leave too little."""
        shortage = self.shortage_of_disk(coming_bytes)
        if shortage is not None:
            raise InsufficientStorage(shortage.message, code=shortage.code, details=shortage.details)

    def accept(self, uow: UnitOfWork, kind: str, estimate: Estimate) -> JsonObject:
        """The estimate to queue a job of `kind` with (`uow.jobs.add(..., estimate=...)`).

        Raises: InsufficientStorage `disk_full`; InvalidRequest `would_not_fit`, when no worker that takes such jobs
            has the memory.
        """
        self.check_disk(estimate.disk_bytes)
        allowed = [worker.memory_bytes for worker in uow.workers.list() if kind in worker.kinds]
        if self._is_working:
            allowed.append(self._job_memory_bytes)
        shortage = _shortage_of_memory(estimate.memory_bytes, max(allowed)) if allowed else None
        if shortage is not None:
            raise InvalidRequest(shortage.message, code=shortage.code, details=shortage.details)
        return estimate.as_json()

    def shortage_here(self, estimate: JsonObject | None) -> Shortage | None:
        """Why a job of that estimate should not start on this machine now; None when it may."""
        needed = estimate or {}
        disk = self.shortage_of_disk(int(needed.get("disk_bytes", 0)))
        return disk or _shortage_of_memory(int(needed.get("memory_bytes", 0)), self._job_memory_bytes)

    def shortage_of_disk(self, coming_bytes: int) -> Shortage | None:
        for folder in self._folders:
            free = shutil.disk_usage(_existing(folder)).free
            needed = self._min_free_bytes + coming_bytes
            if free < needed:
                message = (
                    f"{free:,} bytes are free where jobs write, and {needed:,} must be ({coming_bytes:,} for this "
                    f"and {self._min_free_bytes:,} that are always kept free): delete tables or heads that are not "
                    "needed, or give the service a larger disk."
                )
                return Shortage("disk_full", message, {"free_bytes": free, "needed_bytes": needed})
        return None


def _shortage_of_memory(needed: int, allowed: int) -> Shortage | None:
    if needed <= allowed:
        return None
    message = (
        f"The job is estimated to need {needed:,} bytes of memory, and one job may take {allowed:,}: send fewer rows or "
        "columns (give columns that are not needed the role drop), start a worker on a machine with more memory, or "
        "raise ROOTSTOCK_JOB_MEMORY_BYTES where the estimate is wrong."
    )
    return Shortage("would_not_fit", message, {"memory_bytes": needed, "allowed_bytes": allowed})


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it: an artifact store makes its own when it is first written to."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
