"""`Catalog`: keys, tables, targets, heads and aliases from memory; no database on the way of a prediction.

A poller reads only a revision number, four times a second, and loads everything anew when it has changed. The
new index replaces the old one in one assignment, so a request sees one consistent state. Whatever would be
answered with "not found" or "unknown key" is looked up once more in the database first.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from app.errors import ResourceConflict
from app.schemas.principal import Principal
from app.serving.catalog_index import CatalogIndex, HeadMissing, Resolution
from app.serving.errors import CatalogStale, HeadNotReady, ReferenceNotFound
from app.serving.metrics import ServingMetrics
from storage.engine import Database
from storage.errors import NotFound, StorageError
from storage.repositories.catalog import CatalogKey, CatalogTable

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_S = 0.25
MAX_AGE_S = 300.0
_REFRESH_WAIT_S = 5.0  # a request waits this long for another thread's look at the database
_STALE_RETRY_AFTER_S = 5.0
_NO_DIGEST = secrets.token_bytes(32)  # what the secret of an unknown key id is compared with: never equal


class Catalog:
    """Thread-safe. `start` the poller when the process begins to serve; without one every look-up that finds the
    copy older than a poll interval reads the revision by itself.

    `wall` gives UNIX seconds (expiry of keys), `monotonic` seconds (age of the copy); both are for tests.
    """

    def __init__(
        self,
        database: Database,
        *,
        poll_s: float = POLL_S,
        max_age_s: float = MAX_AGE_S,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        metrics: ServingMetrics | None = None,
    ) -> None:
        self._database = database
        self._poll_s = poll_s
        self._max_age_s = max_age_s
        self._wall = wall
        self._monotonic = monotonic
        self._index: CatalogIndex | None = None
        self._checked_at = float("-inf")  # when the last successful look at the database began
        self._refresh_lock = threading.Lock()
        self._stopping = threading.Event()
        self._poller: threading.Thread | None = None
        self._is_failing = False
        self._listeners: list[Callable[[CatalogIndex], None]] = []
        if metrics is not None:
            metrics.watch_catalog(lambda: self.age_s)

    @property
    def age_s(self) -> float:
        """Seconds since the copy was last seen to be current."""
        return self._monotonic() - self._checked_at

    @property
    def is_fresh(self) -> bool:
        """Whether requests are answered; false when the database has been out of sight for too long."""
        return self._index is not None and self.age_s <= self._max_age_s

    def on_change(self, listener: Callable[[CatalogIndex], None]) -> None:
        """Call `listener` with every new index, in the thread that read it: it must be quick and raise nothing."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Load, and poll from now on. An unreachable database is no error here: requests answer 503 meanwhile."""
        if self._poller is not None:
            return
        self._stopping.clear()
        self._poll_once()
        self._poller = threading.Thread(target=self._poll, name="catalog-poller", daemon=True)
        self._poller.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._poller is not None:
            self._poller.join()
            self._poller = None

    def refresh(self) -> None:
        """Make sure that the copy holds everything committed before this call, e.g. the caller's own write.

        Calls that overlap share one look at the database.

        Raises: StorageError when the database cannot be read; CatalogStale when another thread's look hangs.
        """
        asked_at = self._monotonic()
        if not self._refresh_lock.acquire(timeout=_REFRESH_WAIT_S):
            raise CatalogStale("the database does not answer; send the request again")
        try:
            if self._checked_at > asked_at:
                return  # a look that began after this call has just ended
            began_at = self._monotonic()
            with self._database.reading() as uow:
                index = self._index
                is_new = index is None or uow.catalog.revision() != index.revision
                if index is None or is_new:
                    index = CatalogIndex(uow.catalog.load())
            self._index, self._checked_at = index, began_at
            if is_new:
                for listener in self._listeners:
                    listener(index)
        finally:
            self._refresh_lock.release()

    def notice_own_write(self) -> None:
        """Show this process's own commit at once (`Database.on_catalog_change`); where the database cannot be read
        just now, the poller catches up."""
        if self._index is not None:  # before the first look there is nothing to bring up to date
            self._poll_once()

    def current(self) -> CatalogIndex:
        """The index to answer a request from; hold on to it for the whole request.

        Raises: CatalogStale when it is older than allowed.
        """
        if self._poller is None and self.age_s > self._poll_s:
            self._poll_once()
        index = self._index
        age_s = self.age_s
        if index is None or age_s > self._max_age_s:
            raise CatalogStale(
                f"the database has not been reachable for {self._max_age_s:g} s, so keys and heads may have been "
                "revoked or replaced; send the request again when it is back",
                retry_after_s=_STALE_RETRY_AFTER_S,
            )
        return index

    def authenticate(self, public_id: str, secret: str) -> Principal | None:
        """Who the key is, or None for an unknown, wrong, revoked or expired one.

        The secret is hashed and compared in constant time whether or not the id is known. (An unknown id costs
        a look at the database, so ids can be told apart by time; they are not secret.)

        Raises: CatalogStale.
        """
        index = self.current()
        if index.key(public_id) is None:
            index = self._refreshed()
        return self._principal(index, public_id, secret)

    def authenticate_from_memory(self, public_id: str, secret: str) -> Principal | None:
        """As `authenticate`, without ever waiting for the database, so that an event loop may call it; None also
        where only the database can tell."""
        index = self._index
        if index is None or self._poller is None or not self.is_fresh:
            return None
        return self._principal(index, public_id, secret)

    def _principal(self, index: CatalogIndex, public_id: str, secret: str) -> Principal | None:
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        key = index.key(public_id)
        is_secret_right = hmac.compare_digest(digest, _NO_DIGEST if key is None else key.secret_sha256)
        if key is None or not is_secret_right or self._is_expired(key):
            return None
        return Principal(key.workspace_id, index.workspace_name(key.workspace_id), key.id, key.scopes)

    def table(self, workspace_id: str, name: str) -> CatalogTable:
        """Raises: ReferenceNotFound, ResourceConflict (table_not_ready), CatalogStale."""
        return self._found(lambda index: index.table(workspace_id, name))

    def resolve(self, workspace_id: str, table: str, references: Sequence[str]) -> Resolution:
        """The heads that `references` (`churn`, `churn@alias`, `churn:3`, `*`) of a table lead to.

        Raises: ReferenceNotFound with a code naming what is missing; HeadNotReady; ResourceConflict; CatalogStale.
        """
        try:
            return self._found(lambda index: index.resolve(workspace_id, table, references))
        except HeadMissing as error:
            self._raise_unless_ready(error)
            return self._refreshed().resolve(workspace_id, table, references)

    def _found(self, look_up: Callable[[CatalogIndex], T]) -> T:
        try:
            return look_up(self.current())
        except (ReferenceNotFound, ResourceConflict):
            return look_up(self._refreshed())

    def _refreshed(self) -> CatalogIndex:
        """The index after another look at the database: nothing is called absent from memory alone."""
        try:
            self.refresh()
        except StorageError as error:
            raise CatalogStale(
                f"what the request names is not in memory, and the database cannot be asked ({error.code}); send "
                "the request again",
                retry_after_s=_STALE_RETRY_AFTER_S,
            ) from error
        return self.current()

    def _raise_unless_ready(self, error: HeadMissing) -> None:
        """A version that is not among the ready heads may exist: tell 409 from 404 by its row. Returns where it
        became ready since the last look."""
        reference = error.reference
        assert reference.version is not None
        try:
            with self._database.reading() as uow:
                status = uow.heads.by_version(error.target_id, reference.version).status
        except NotFound:
            raise error from None
        except StorageError as unreadable:
            raise CatalogStale(
                f"the database cannot be asked for the head ({unreadable.code}); send the request again"
            ) from unreadable
        if status != "ready":
            raise HeadNotReady(
                f"head {reference.text!r} is {status}, not ready; "
                + ("wait for its job" if status == "training" else "choose another version"),
                details={"reference": reference.text, "status": status},
            ) from error

    def _is_expired(self, key: CatalogKey) -> bool:
        return key.expires_at is not None and self._wall() >= key.expires_at

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_s):
            self._poll_once()

    def _poll_once(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # the poller must outlive any outage; age tells when it was too long
            if not self._is_failing:
                logger.warning(
                    "the catalog cannot be refreshed (%s); serving from memory", type(error).__name__
                )
            self._is_failing = True
        else:
            if self._is_failing:
                logger.warning("the catalog is being refreshed again")
            self._is_failing = False
