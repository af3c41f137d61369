"""First start: the default workspace and its first key."""

from __future__ import annotations

import os
from pathlib import Path

from app.services.api_keys import add_chosen_key, mint_key
from storage.engine import Database

DEFAULT_WORKSPACE = "default"
FIRST_KEY_NAME = "admin"


def ensure_first_key(database: Database, key_file: Path, chosen: str | None = None) -> str | None:
    """Make the default workspace and, if it never had a key, an admin key left in `key_file` (0600).

    Safe when several processes start at once, on one database and homes of their own: one of them makes the key,
    and only its home has the file. The file is written inside the transaction that adds the key, so neither exists
    without the other unless the commit itself fails; such a file is overwritten by the next start.

    `chosen` is the text of an admin key that the operator keeps elsewhere: it is added unless a key of that public
    id was ever there (one that was revoked stays revoked), and no file is written.
    Returns the key's text when it was generated now, for a terminal to show; None otherwise.

    Raises: InvalidRequest (invalid_admin_key) when `chosen` does not have the form of a key.
    """
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create(DEFAULT_WORKSPACE)
        uow.workspaces.lock(workspace.id)
        if chosen is not None:
            add_chosen_key(uow, workspace.id, FIRST_KEY_NAME, chosen)
            return None
        if uow.keys.list(workspace.id):
            return None
        _, text = mint_key(uow, workspace.id, FIRST_KEY_NAME, ["admin"], None)
        _write_private(key_file, text + "\n")
        return text


def _write_private(path: Path, text: str) -> None:
    """Replace `path` by a file that was never readable by others, not even for a moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
