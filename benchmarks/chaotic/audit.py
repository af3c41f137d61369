"""The account after the storm: what was acknowledged is there once, and nothing else is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from app.settings import Settings
from app.worker.scratch import sweep_scratch
from benchmarks.chaotic.clients import FINISHED, Ledger
from storage.engine import Database
from storage.orm import Encoder, Head, Job, JobEvent, LabelSet, Snapshot, Table, Target
from storage.sweep import sweep

ACCIDENTS = frozenset({"attempts_exhausted", "process_killed", "executor_lost", "killed"})
"""What a job may fail with that was killed three times; anything else is a fault of ours."""


class Audit:
    """Reads the database and the store directly, when all processes have stopped."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._database = Database.open(settings.database_url)
        self._store = settings.artifacts.build()

    def close(self) -> None:
        self._store.close()
        self._database.dispose()

    def run(self) -> dict[str, Any]:
        """Figures for the summary; violations go to the ledger."""
        for violation in (*self._jobs(), *self._versions(), *self._tables(), *self._labels()):
            self._ledger.violation(violation)
        swept, violations = self._objects()
        for violation in violations:
            self._ledger.violation(violation)
        jobs = self._all(Job)
        return {
            "jobs": dict(Counter(f"{job.kind} {job.status}" for job in jobs)),
            "attempts": dict(Counter(str(job.attempt) for job in jobs)),
            "tables": len(self._all(Table)),
            "encoders": len(self._all(Encoder)),
            "heads": len(self._all(Head)),
            "orphan_objects_swept": swept,
        }

    def _jobs(self) -> Iterator[str]:
        jobs = {job.id: job for job in self._all(Job)}
        endings: Counter[str] = Counter()
        for event in self._all(JobEvent):
            endings[event.job_id] += event.type in FINISHED
        for job in jobs.values():
            if job.status not in FINISHED:
                yield f"{job.kind} job {job.id} has not ended: {job.status}"
            elif endings[job.id] != 1:
                yield f"{job.kind} job {job.id} ended {endings[job.id]} times"
            if job.status == "failed" and (job.error or {}).get("code") not in ACCIDENTS:
                yield f"{job.kind} job {job.id} failed: {(job.error or {}).get('code')}"
        for lost in self._ledger.jobs.keys() - jobs.keys():
            yield f"job {lost} was acknowledged and is not there"
        for extra in jobs.keys() - self._ledger.jobs.keys():
            yield f"{jobs[extra].kind} job {extra} was acknowledged to nobody"

    def _versions(self) -> Iterator[str]:
        jobs = {job.id: job for job in self._all(Job)}
        for kind, work in ((Encoder, "pretrain"), (Head, "finetune")):
            made = Counter(version.job_id for version in self._all(kind))
            for version in self._all(kind):
                job = jobs.get(version.job_id or "")
                if job is None or job.kind != work:
                    yield f"{kind.__name__} {version.id} has no job"
                elif (version.status == "ready") != (job.status == "succeeded"):
                    yield f"{kind.__name__} {version.id} is {version.status}, its job {job.status}"
            for job in jobs.values():
                if job.kind == work and made[job.id] != 1:
                    yield f"{work} job {job.id} made {made[job.id]} versions"

    def _tables(self) -> Iterator[str]:
        jobs = {job.id: job for job in self._all(Job)}
        tables = {table.name: table for table in self._all(Table)}
        snapshots = Counter(snapshot.table_id for snapshot in self._all(Snapshot))
        for name, job_id in self._ledger.tables.items():
            is_there = name in tables and tables[name].status == "ready"
            if job_id in jobs and is_there != (jobs[job_id].status == "succeeded"):
                yield f"table {name}: there {is_there}, its job {jobs[job_id].status}"
        for name, table in tables.items():
            if name not in self._ledger.tables:
                yield f"table {name} was acknowledged to nobody"
            if snapshots[table.id] != 1:
                yield f"table {name} has {snapshots[table.id]} snapshots"

    def _labels(self) -> Iterator[str]:
        tables = {table.id: table.name for table in self._all(Table)}
        targets = {target.id: tables[target.table_id] for target in self._all(Target)}
        sets = Counter(targets[label_set.target_id] for label_set in self._all(LabelSet))
        for table in self._ledger.label_posts.keys() | sets.keys():
            if sets[table] != self._ledger.label_posts[table]:
                yield f"{table}: {sets[table]} label sets for {self._ledger.label_posts[table]} requests"

    def _objects(self) -> tuple[int, list[str]]:
        """A sweep removes what killed writers left; then what is stored is what is referred to."""
        violations = []
        time.sleep(0.01)
        report = sweep(self._database, self._store, older_than_s=0.0)
        sweep_scratch(self._database, self._settings.scratch_dir)
        with self._database.reading() as uow:
            workspaces = [workspace.id for workspace in uow.workspaces.list()]
            referenced = {(ws, digest) for ws in workspaces for digest in uow.artifacts.all_digests(ws)}
        stored = {(ws, found.digest) for ws in workspaces for found in self._store.list(ws)}
        if stored - referenced:
            violations.append(f"{len(stored - referenced)} orphan objects after a sweep")
        if referenced - stored:
            violations.append(f"{len(referenced - stored)} objects are referred to and gone")
        left = sorted(path.name for path in self._settings.scratch_dir.iterdir())
        if left:
            violations.append(f"{len(left)} work folders are left of ended jobs")
        return report.num_objects, violations

    def _all(self, kind: Any) -> list[Any]:
        with self._database.reading() as uow:
            return list(uow.session.query(kind))
