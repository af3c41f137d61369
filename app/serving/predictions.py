"""`PredictionService`: from a verified caller and a request to the body of the answer.

Nothing here touches the database unless something is not found. Per request: resolve references in memory, make
one frame per encoder, run every encoder once per distinct view in the inference lane, lay the results out as
columns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from app.errors import ServiceError
from app.schemas.predict import EVERY_TARGET, PredictRequest
from app.schemas.principal import Principal
from app.serving.answers import answer_body
from app.serving.catalog import Catalog
from app.serving.catalog_index import CatalogIndex, Resolution, ResolvedHead
from app.serving.errors import ModelUnavailable, TooManyRows
from app.serving.inference import InferenceLane
from app.serving.metrics import ServingMetrics
from app.serving.model_cache import LoadedEncoder, ModelCache, unavailable
from app.serving.row_cache import RowCache
from models.errors import BundleError, RootstockModelError
from models.features.rows import rows_to_frame
from models.features.schema import ROW_COLUMN
from models.heads import FittedHead
from models.predictor import PredictionBatch
from storage.artifacts import ArtifactStore
from storage.errors import StorageError
from storage.orm.base import JsonObject

MAX_ROWS = 10_000
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one encoder computes for a request: each distinct head once, over one frame."""

    encoder: LoadedEncoder
    head_ids: tuple[str, ...]
    heads: tuple[FittedHead, ...]
    absent: frozenset[str]  # columns that no head of this pass may see
    frame: pl.DataFrame


class PredictionService:
    """Thread-safe; one per process. `start` and `stop` with the process (a first request also starts it)."""

    def __init__(
        self,
        catalog: Catalog,
        store: ArtifactStore,
        *,
        inference_threads: int = 1,
        model_cache_bytes: int = GIB,
        row_cache_bytes: int = GIB,
        max_rows: int = MAX_ROWS,
        max_waiting: int = 64,
        metrics: ServingMetrics | None = None,
    ) -> None:
        self._catalog = catalog
        self._metrics = metrics if metrics is not None else ServingMetrics()
        self._models = ModelCache(store, model_cache_bytes, self._metrics.cache("models"))
        self._rows = RowCache(store, row_cache_bytes, self._metrics.cache("rows"))
        self._lane = InferenceLane(
            num_threads=inference_threads, metrics=self._metrics, max_waiting=max_waiting
        )
        self._max_rows = max_rows

    @property
    def metrics(self) -> ServingMetrics:
        return self._metrics

    def start(self) -> None:
        self._lane.start()

    def stop(self) -> None:
        """Finish the requests that are queued; later ones are refused."""
        self._lane.stop()

    def keep_only(self, index: CatalogIndex) -> None:
        """Hold nothing in memory that the catalog does not know (any more)."""
        self._models.keep_only(index.model_digests)
        self._rows.keep_only(index.snapshot_digests)

    def predict_json(self, principal: Principal, table: str, request: PredictRequest) -> bytes:
        """`predict` as the bytes of a JSON document."""
        return orjson.dumps(self.predict(principal, table, request), option=orjson.OPT_SERIALIZE_NUMPY)

    def predict(self, principal: Principal, table: str, request: PredictRequest) -> JsonObject:
        """The body of the answer, numbers as NumPy arrays (orjson writes them as they are).

        Raises: ReferenceNotFound, HeadNotReady, ResourceConflict, TooManyRows; CatalogStale, Overloaded,
        ModelUnavailable (503); RowError for rows that do not fit the table.
        """
        began_at = time.perf_counter()
        code = "internal_error"
        try:
            body = self._predict(principal.workspace_id, table, request)
            code = "ok"
        except (ServiceError, RootstockModelError) as error:
            code = error.code
            raise
        finally:
            self._metrics.requests.labels(code=code).inc()
            self._metrics.seconds.observe(time.perf_counter() - began_at)
        self._metrics.rows.observe(request.num_rows)
        self._metrics.predictions.inc(request.num_rows * len(body["predictions"]))
        return body

    def _predict(self, workspace_id: str, table: str, request: PredictRequest) -> JsonObject:
        if request.num_rows > self._max_rows:
            raise TooManyRows(
                f"a request carries at most {self._max_rows:,} rows; received {request.num_rows:,}; send several",
                details={"max_rows": self._max_rows},
            )
        resolution = self._catalog.resolve(workspace_id, table, request.targets)
        try:
            return self._answer(workspace_id, resolution, request)
        except ModelUnavailable as error:
            # A version may have been deleted since the catalog was read; then the truth is another answer.
            try:
                self._catalog.refresh()
            except StorageError:
                raise error from None
            current = self._catalog.resolve(workspace_id, table, request.targets)
            if current == resolution:
                raise
            return self._answer(workspace_id, current, request)

    def _answer(self, workspace_id: str, resolution: Resolution, request: PredictRequest) -> JsonObject:
        by_encoder: dict[str, list[ResolvedHead]] = {}
        for resolved in resolution.heads:
            by_encoder.setdefault(resolved.encoder.id, []).append(resolved)
        source = self._source(workspace_id, resolution, request)
        passes = [self._pass(workspace_id, heads, source) for heads in by_encoder.values()]
        batches = self._compute(passes, request.coverage) if passes else []
        results = {
            head_id: (head, prediction)
            for done, batch in zip(passes, batches, strict=True)
            for head_id, head, prediction in zip(done.head_ids, done.heads, batch.predictions, strict=True)
        }
        counts = [(batch, done.absent) for done, batch in zip(passes, batches, strict=True)]
        is_every = EVERY_TARGET in request.targets
        return answer_body(
            resolution,
            request.keys,
            results,
            counts,
            is_every_target=is_every,
            with_sets=request.asks_for_coverage,
        )

    def _pass(self, workspace_id: str, resolved: Sequence[ResolvedHead], source: _Source) -> _Pass:
        encoder = self._models.encoder(workspace_id, resolved[0].encoder)
        entries = {one.head.id: one.head for one in resolved}
        heads = tuple(self._models.head(workspace_id, entry) for entry in entries.values())
        absent = frozenset.intersection(*(frozenset(head.view) for head in heads))
        return _Pass(encoder, tuple(entries), heads, absent, source.frame(encoder, absent))

    def _source(self, workspace_id: str, resolution: Resolution, request: PredictRequest) -> _Source:
        columns = frozenset(column.name for column in resolution.table.columns)
        if request.rows is not None:
            return _SentRows(request, columns)
        return _StoredRows(self._rows, workspace_id, resolution, request, columns)

    def _compute(self, passes: Sequence[_Pass], coverage: float) -> list[PredictionBatch]:
        def work() -> list[PredictionBatch]:
            return [one.encoder.predictor.predict(one.frame, one.heads, coverage=coverage) for one in passes]

        try:
            return self._lane.run(work)
        except BundleError as error:  # a head that does not fit its encoder
            raise unavailable("head", error) from error


class _SentRows:
    """Rows by value, read by the schema of the encoder they are for."""

    def __init__(self, request: PredictRequest, table_columns: frozenset[str]) -> None:
        self._rows = request.rows or []
        self._extra = request.extra
        self._table_columns = table_columns

    def frame(self, encoder: LoadedEncoder, absent: frozenset[str]) -> pl.DataFrame:
        """Raises: RowError for unknown columns and wrong types."""
        newer = self._table_columns.difference(encoder.schema.names)  # columns that came after this encoder
        return rows_to_frame(self._rows, encoder.schema, extra=self._extra, ignored=absent | newer).frame


class _StoredRows:
    """Rows of the current snapshot by key."""

    def __init__(
        self,
        cache: RowCache,
        workspace_id: str,
        resolution: Resolution,
        request: PredictRequest,
        table_columns: frozenset[str],
    ) -> None:
        digest = resolution.table.snapshot_digest
        if digest is None:
            raise ModelUnavailable("the table has no snapshot; register it again", code="snapshot_missing")
        self._cache = cache
        self._workspace_id = workspace_id
        self._digest = digest
        self._table_columns = table_columns
        self._positions = cache.find(workspace_id, digest, request.keys or [])

    def frame(self, encoder: LoadedEncoder, absent: frozenset[str]) -> pl.DataFrame:
        """All encoded columns (`absent` ones are left out by the view): one cache entry serves every head."""
        del absent
        encoded = (column.name for column in encoder.schema.encoded)
        # The ordinal keeps the number of rows where no column is left.
        columns = (ROW_COLUMN, *(name for name in encoded if name in self._table_columns))
        return self._cache.rows(self._workspace_id, self._digest, columns).take(self._positions)


_Source = _SentRows | _StoredRows
