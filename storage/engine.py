"""`Database`: the way in. Units of work to read and to write, and the check of the schema's revision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from storage import migrate
from storage.clock import now
from storage.connection import BEGIN_OPTION, LOCK_TIMEOUT_S, open_engine
from storage.translation import translated
from storage.unit_of_work import UnitOfWork

__all__ = ["Database", "now"]


class Database:
    """Thread-safe. Open one per process (never before a fork), and dispose of it at the end.

    Example:
        >>> database = Database.open("sqlite:////path/rootstock.db")  # doctest: +SKIP
        >>> with database.writing() as uow:  # doctest: +SKIP
        ...     workspace = uow.workspaces.get_or_create("default")
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if engine.dialect.name == "postgresql":
            self._reader = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writer = engine.execution_options(isolation_level="READ COMMITTED")
        else:
            self._reader = engine.execution_options(**{BEGIN_OPTION: "read"})
            self._writer = engine.execution_options(**{BEGIN_OPTION: "write"})
        self._catalog_listeners: list[Callable[[], None]] = []

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, lock_timeout_s: int = LOCK_TIMEOUT_S) -> Database:
        """Open the database behind `url`; it is not migrated (`storage.migrate.upgrade`).

        Raises:
            StorageError: the URL cannot be used; see `storage.connection.open_engine`.
        """
        return cls(open_engine(url, pool_size=pool_size, lock_timeout_s=lock_timeout_s))

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit through this object that changed the catalog, in the writer's thread
        and before `writing` returns; it must not raise. (Other processes poll the revision.)"""
        self._catalog_listeners.append(listener)

    @contextmanager
    def reading(self) -> Iterator[UnitOfWork]:
        """A read-only unit of work in which all queries see one state of the database.

        Raises:
            DatabaseBusy, SchemaOutOfDate, …: as `storage.translation` says.
        """
        session = self._session(self._reader)
        try:
            yield UnitOfWork(session)
            if session.new or session.dirty or session.deleted:
                raise RuntimeError("A reading unit of work was asked to write; use `Database.writing()`.")
        except SQLAlchemyError as error:
            raise translated(error) from None
        finally:
            session.close()

    @contextmanager
    def writing(self) -> Iterator[UnitOfWork]:
        """A unit of work that commits at its end, and rolls back everything on any exception.

        Keep it short: on SQLite it holds the one write lock from its beginning. Never open a second one inside.

        Raises:
            Conflict, DatabaseBusy, StorageFull, …: as `storage.translation` says.
        """
        session = self._session(self._writer)
        try:
            # SQLite's lock is to be held before anything is read and compared.
            session.connection()
            uow = UnitOfWork(session)
            yield uow
            uow.before_commit()
            session.commit()
        except SQLAlchemyError as error:
            raise translated(error) from None
        finally:
            session.close()  # rolls back what was not committed
        if uow.has_changed_catalog:
            for listener in self._catalog_listeners:
                listener()

    def check_schema(self) -> None:
        """Raises SchemaOutOfDate unless the database is at the newest revision this version knows."""
        try:
            with self._reader.connect() as connection:
                migrate.check_revision(connection)
        except SQLAlchemyError as error:
            raise translated(error) from None

    def dispose(self) -> None:
        """Close all idle connections."""
        self._engine.dispose()

    @staticmethod
    def _session(bind: Engine) -> Session:
        return Session(bind, expire_on_commit=False)
