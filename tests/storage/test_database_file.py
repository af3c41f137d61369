from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage import migrate
from storage.engine import Database
from storage.errors import StorageError

WRITE = """
import sys
from storage.engine import Database
database = Database.open(sys.argv[1])
with database.writing() as uow:
    uow.workspaces.get_or_create("written-elsewhere")
database.dispose()
"""


def test__database__opened_again_in_the_same_process__still_sees_what_other_processes_write(
    tmp_path: Path,
) -> None:
    """A descriptor closed in between would drop this process's locks, and the other would delete its log."""
    url = f"sqlite:///{tmp_path}/rootstock.db"
    migrate.upgrade(url)
    database = Database.open(url)
    with database.writing() as uow:
        uow.workspaces.get_or_create("written-here")
    with Database.open(url).reading() as uow:
        uow.workspaces.list()
    subprocess.run([sys.executable, "-c", WRITE, url], check=True, timeout=60)
    with database.reading() as uow:
        names = {workspace.name for workspace in uow.workspaces.list()}
    database.dispose()
    assert {"written-here", "written-elsewhere"} <= names


def test__database__in_place_of_a_folder__is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Database.open(f"sqlite:///{tmp_path}")
    assert caught.value.code == "database_unreadable"
