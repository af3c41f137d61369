"""The one place that knows all parts: settings become a container of open resources and services."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from app.jobs import JOB_KINDS
from app.schemas.principal import Principal
from app.services.aliases import AliasService
from app.services.api_keys import KeyService
from app.services.capacity import Capacity
from app.services.columns import ColumnService
from app.services.decisions import DecisionService
from app.services.encoders import EncoderService
from app.services.erasures import ErasureService
from app.services.event_tail import EventTail
from app.services.head_reports import HeadReportService
from app.services.heads import HeadService
from app.services.housekeeping import Housekeeper
from app.services.jobs import JobService
from app.services.keys_to_label import KeysToLabelService
from app.services.label_counts import LabelCounter
from app.services.label_publishing import LabelPublisher
from app.services.label_sets import LabelSetService
from app.services.labels import LabelService
from app.services.proposals import ProposalService
from app.services.refits import RefitService
from app.services.restoring import RestoreService
from app.services.rollbacks import RollbackService
from app.services.snapshots import SnapshotService
from app.services.sources import SourceService
from app.services.table_reports import TableReportService
from app.services.tables import TableService
from app.services.targets import TargetService
from app.services.workspaces import ensure_first_key
from app.serving.catalog import Catalog
from app.serving.metrics import ServingMetrics
from app.serving.predictions import PredictionService
from app.settings import Settings
from storage import migrate
from storage.artifacts import ArtifactStore, LocalStoreConfig
from storage.engine import Database


@dataclass(frozen=True)
class Container:
    """What a process needs to serve or to work. Threads start with `start` only; `close` when the process ends.

    `first_key` is the text of the admin key if this process made it; show it to a terminal, nowhere else.
    """

    settings: Settings
    database: Database
    store: ArtifactStore
    registry: CollectorRegistry
    catalog: Catalog
    predictions: PredictionService
    events: EventTail
    capacity: Capacity
    housekeeper: Housekeeper
    tables: TableService
    sources: SourceService
    snapshots: SnapshotService
    restoring: RestoreService
    erasures: ErasureService
    columns: ColumnService
    proposals: ProposalService
    encoders: EncoderService
    targets: TargetService
    labels: LabelService
    label_sets: LabelSetService
    keys_to_label: KeysToLabelService
    decisions: DecisionService
    heads: HeadService
    head_reports: HeadReportService
    table_reports: TableReportService
    refits: RefitService
    aliases: AliasService
    rollbacks: RollbackService
    jobs: JobService
    keys: KeyService
    first_key: str | None = None

    def start(self) -> None:
        """Start the threads of a serving process."""
        self.catalog.start()
        self.predictions.start()
        self.events.start()
        self.housekeeper.start()

    def stop(self) -> None:
        """Stop them; safe to call twice."""
        self.events.stop()
        self.predictions.stop()
        self.housekeeper.stop()
        self.catalog.stop()

    def close(self) -> None:
        self.store.close()
        self.database.dispose()

    def is_still_valid(self, principal: Principal) -> bool:
        """Whether the key that authenticated earlier is neither revoked nor expired by now."""
        key = self.catalog.current().key(principal.key_id)
        return key is not None and (key.expires_at is None or key.expires_at > time.time())


def _private_directory(path: Path) -> None:
    """Make a folder that only its owner can enter, also where it existed with wider permissions."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def _first_key(database: Database, settings: Settings) -> str | None:
    chosen = None if settings.admin_key is None else settings.admin_key.get_secret_value()
    return ensure_first_key(database, settings.admin_key_file, chosen)


def _capacity(settings: Settings, *, is_working: bool) -> Capacity:
    store = settings.artifacts
    folders = [settings.scratch_dir] if is_working else []
    if isinstance(store, LocalStoreConfig):
        folders.append(store.root)
    return Capacity(
        folders,
        min_free_bytes=settings.min_free_disk_bytes,
        job_memory_bytes=settings.job_memory_bytes,
        num_threads=settings.worker_threads,
        is_working=is_working,
    )


def build_container(settings: Settings, *, with_serving: bool = True) -> Container:
    """Prepare the home folder, migrate the database, open everything; starts no thread.

    `with_serving` false is for a process that only works: no key is made, and the caches of the prediction path
    stay empty.
    """
    for path in (settings.home, settings.scratch_dir, settings.uploads_dir):
        _private_directory(path)
    migrate.upgrade(settings.database_url)
    database = Database.open(settings.database_url, pool_size=settings.database_pool_size)
    database.check_schema()
    first_key = _first_key(database, settings) if with_serving else None
    store = settings.artifacts.build()
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    catalog = Catalog(
        database, poll_s=settings.catalog_poll_s, max_age_s=settings.catalog_max_age_s, metrics=metrics
    )
    database.on_catalog_change(catalog.notice_own_write)
    predictions = PredictionService(
        catalog,
        store,
        inference_threads=settings.inference_threads,
        model_cache_bytes=settings.model_cache_bytes,
        row_cache_bytes=settings.row_cache_bytes,
        max_rows=settings.max_rows_per_request,
        max_waiting=settings.max_waiting_predictions,
        metrics=metrics,
    )
    capacity = _capacity(settings, is_working=settings.embedded_worker or not with_serving)
    publisher = LabelPublisher(database, store, folder=settings.uploads_dir)
    columns = ColumnService(database, store)
    counter = LabelCounter(database, publisher)
    tables = TableService(database, store, capacity, max_upload_bytes=settings.max_upload_bytes)
    snapshots = SnapshotService(database, store, capacity, max_upload_bytes=settings.max_upload_bytes)
    proposals = ProposalService(database, store, columns)
    encoders = EncoderService(database, store, capacity)
    targets = TargetService(database, store, counter)
    heads = HeadService(database, store, capacity, counter)
    catalog.on_change(predictions.keep_only)
    catalog.on_change(publisher.forget_snapshots)
    return Container(
        settings=settings,
        database=database,
        store=store,
        registry=registry,
        catalog=catalog,
        predictions=predictions,
        events=EventTail(database, poll_s=settings.events_poll_s, max_followers=settings.max_event_streams),
        capacity=capacity,
        housekeeper=Housekeeper(
            database,
            store,
            uploads=settings.uploads_dir,
            idempotency_ttl_s=settings.idempotency_ttl_s,
            job_retention_s=settings.job_retention_s,
        ),
        tables=tables,
        sources=SourceService(
            settings.source_folders,
            uploads=settings.uploads_dir,
            max_bytes=settings.max_upload_bytes,
            min_free_bytes=settings.min_free_disk_bytes,
        ),
        snapshots=snapshots,
        restoring=RestoreService(database, store),
        erasures=ErasureService(database, store, capacity),
        columns=columns,
        proposals=proposals,
        encoders=encoders,
        targets=targets,
        labels=LabelService(
            database,
            publisher,
            max_labels=settings.max_labels_per_request,
            max_file_labels=settings.max_labels_per_file,
        ),
        label_sets=LabelSetService(database, store, publisher),
        keys_to_label=KeysToLabelService(database, publisher, predictions),
        decisions=DecisionService(database, store),
        heads=heads,
        head_reports=HeadReportService(database, store, heads, targets, encoders),
        table_reports=TableReportService(tables, proposals, snapshots, encoders, targets, heads),
        refits=RefitService(database, capacity, counter),
        aliases=AliasService(database),
        rollbacks=RollbackService(database),
        jobs=JobService(
            database, store, {kind: job.resumes_from_checkpoint for kind, job in JOB_KINDS.items()}
        ),
        keys=KeyService(database),
        first_key=first_key,
    )
