"""What can go wrong on the prediction path, each under its HTTP family of `app.errors`.

ResourceNotFound   ReferenceNotFound   a table, target, alias, version or key that is not there
ResourceConflict   HeadNotReady        the reference leads to a head that is not `ready`
TooLarge           TooManyRows
Unavailable        CatalogStale        no sight of the database for too long
                   Overloaded          the inference queue is full or too slow
                   ModelUnavailable    a stored model is damaged or gone; never answered by guessing
"""

from __future__ import annotations

from app.errors import ResourceConflict, ResourceNotFound, TooLarge, Unavailable

DAMAGED_RETRY_AFTER_S = 60.0
"""A damaged artifact waits for an operator; clients should not hammer."""


class ReferenceNotFound(ResourceNotFound):
    default_code = "reference_not_found"


class HeadNotReady(ResourceConflict):
    default_code = "head_not_ready"


class TooManyRows(TooLarge):
    default_code = "too_many_rows"


class CatalogStale(Unavailable):
    default_code = "catalog_stale"


class Overloaded(Unavailable):
    default_code = "overloaded"


class ModelUnavailable(Unavailable):
    default_code = "model_unavailable"
