"""What a column's name suggests. Names only tip the balance between kinds that the values allow."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IDENTIFIERS = frozenset({"id", "ids", "uuid", "guid", "key", "nbr", "identifier", "rowid", "rownum"})
_CODES = frozenset({"id", "code", "cd"})
_POSTAL = frozenset({"zip", "zipcode", "postal", "postcode", "postalcode", "plz"})
_MOMENTS = frozenset(
    {"date", "datetime", "day", "time", "timestamp", "ts", "at", "created", "updated", "epoch", "unix"}
)
_BIRTHS = frozenset({"birth", "birthday", "birthdate", "dob", "born"})
_WEIGHTS = frozenset({"weight", "weights", "wgt", "fnlwgt"})


def words_of(name: str) -> tuple[str, ...]:
    """`customerID` → (customer, id); `RatecodeID` → (ratecode, id); lower case, split at case and marks."""
    return tuple(word.lower() for word in _WORD.findall(name))


def names_identifier(name: str) -> bool:
    words = words_of(name)
    return bool(words) and (words[-1] in _IDENTIFIERS or words[0] in ("uuid", "guid"))


def names_code(name: str) -> bool:
    """`payment_code`, `RatecodeID`: numbers that stand for something."""
    words = words_of(name)
    return bool(words) and words[-1] in _CODES


def names_postal_code(name: str) -> bool:
    return any(word in _POSTAL for word in words_of(name))


def names_weight(name: str) -> bool:
    words = words_of(name)
    return bool(words) and words[-1] in _WEIGHTS


def names_moment(name: str) -> bool:
    """`signup_date`, `created_at`: a point in time."""
    return any(word in _MOMENTS for word in words_of(name))


def names_birth(name: str) -> bool:
    return any(word in _BIRTHS for word in words_of(name))
