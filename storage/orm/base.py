"""Declarative base with portable column types and constraint names that Alembic can address.

Times are UNIX seconds in UTC as floats, always taken from the database's clock (`storage.clock.now`).
Kinds that grow (job kinds, head kinds, statuses) are text; configurations and reports are JSON.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Dialect, MetaData, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

JsonObject = dict[str, Any]


class Json(TypeDecorator[Any]):
    """A JSON document as text, given back exactly; None is NULL.

    Not the databases' own types, which change documents: SQLite's JSON turns the scalar 1.0 into 1 and large
    integers into floats (its affinity is numeric); JSONB turns 1e308 into an integer, sorts keys and refuses NUL.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Raises ValueError for NaN and infinities, TypeError for what JSON does not know."""
        return None if value is None else json.dumps(value, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
