"""References to stored objects, and the removal of those that have none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storage.artifacts.local import LocalStore
from storage.artifacts.manifest import put_bundle
from storage.engine import Database
from storage.errors import ArtifactMissing
from storage.sweep import SweepReport, find_unreferenced, sweep


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "artifacts")


@pytest.fixture
def workspace_id(database: Database) -> str:
    with database.writing() as uow:
        return uow.workspaces.get_or_create("default").id


def test__artifacts__each_owner_counts_once(database: Database, workspace_id: str) -> None:
    with database.writing() as uow:
        other = uow.workspaces.get_or_create("other").id
        for owner in ("enc_1", "enc_1", "enc_2"):
            uow.artifacts.add(workspace_id, "a" * 64, 10, owner)
        uow.artifacts.add(workspace_id, "b" * 64, 2**40, "enc_1")
        uow.artifacts.add(other, "a" * 64, 10, "enc_3")
    with database.reading() as uow:
        assert uow.artifacts.references(workspace_id, "a" * 64) == 2
        assert uow.artifacts.all_digests(workspace_id) == {"a" * 64, "b" * 64}
        assert uow.artifacts.used_bytes(workspace_id) == 10 + 2**40
        assert uow.artifacts.used_bytes("ws_none") == 0
    with database.writing() as uow:
        assert uow.artifacts.unreferenced(workspace_id, ["a" * 64, "c" * 64]) == {"c" * 64}
        assert uow.artifacts.remove_owner("enc_1") == ["b" * 64]
        assert uow.artifacts.remove_owner("enc_1") == []
        assert uow.artifacts.remove_owner("enc_2") == ["a" * 64]
        assert uow.artifacts.references(other, "a" * 64) == 1


def test__artifacts__thousands_of_one_owner__are_removed(database: Database, workspace_id: str) -> None:
    digests = [f"{number:064x}" for number in range(2_500)]
    with database.writing() as uow:
        for digest in digests[:50]:
            uow.artifacts.add(workspace_id, digest, 1, "enc_1")
        assert uow.artifacts.unreferenced(workspace_id, digests) == set(digests[50:])
        assert uow.artifacts.remove_owner("enc_1") == digests[:50]


def test__sweep__old_and_unreferenced__is_removed_and_nothing_else(
    database: Database, store: LocalStore, workspace_id: str
) -> None:
    used = put_bundle(store, workspace_id, {"a": b"shared", "b": b"b"}, "encoder")
    with database.writing() as uow:
        for digest, num_bytes in used.digests:
            uow.artifacts.add(workspace_id, digest, num_bytes, "enc_1")
    unused = put_bundle(store, workspace_id, {"a": b"shared", "c": b"cc"}, "encoder")
    assert find_unreferenced(database, store, workspace_id) == []
    assert sweep(database, store) == SweepReport(0, 0, 0)
    found = find_unreferenced(database, store, workspace_id, older_than_s=-60.0)
    assert {one.digest for one in found} == {digest for digest, _ in unused.digests} - {
        d for d, _ in used.digests
    }
    report = sweep(database, store, older_than_s=-60.0)
    assert (report.num_objects, report.num_bytes) == (2, sum(one.num_bytes for one in found))
    assert {one.digest for one in store.list(workspace_id)} == {digest for digest, _ in used.digests}


def test__sweep__put_again_after_it_looked__is_spared(
    database: Database, store: LocalStore, workspace_id: str
) -> None:
    digest = store.put_bytes(workspace_id, b"data")
    (found,) = find_unreferenced(database, store, workspace_id, older_than_s=0.0)
    store.put_bytes(workspace_id, b"data")
    assert not store.delete(workspace_id, digest, unmodified_since=found.modified_at)
    assert store.exists(workspace_id, digest)


def test__hold__excludes_a_deletion_until_the_reference_is_seen(
    database: Database, store: LocalStore, workspace_id: str
) -> None:
    """Who refers checks that the object is there; who deletes waits, then sees the reference."""
    digest = store.put_bytes(workspace_id, b"data")
    is_held, may_commit = threading.Event(), threading.Event()

    def refer() -> None:
        with database.writing() as uow:
            uow.artifacts.hold()
            assert store.exists(workspace_id, digest)
            is_held.set()
            assert may_commit.wait(20)
            uow.artifacts.add(workspace_id, digest, 4, "enc_1")

    def delete() -> None:
        sweep(database, store, older_than_s=-60.0)

    threads = [threading.Thread(target=refer), threading.Thread(target=delete)]
    threads[0].start()
    assert is_held.wait(20)
    threads[1].start()
    threads[1].join(0.2)
    assert store.exists(workspace_id, digest)
    may_commit.set()
    for thread in threads:
        thread.join(30)
    assert store.get_bytes(workspace_id, digest) == b"data"


def test__hold__after_a_deletion__sees_it_gone(
    database: Database, store: LocalStore, workspace_id: str
) -> None:
    digest = store.put_bytes(workspace_id, b"data")
    sweep(database, store, older_than_s=-60.0)
    with database.writing() as uow:
        uow.artifacts.hold()
        assert not store.exists(workspace_id, digest)
    with pytest.raises(ArtifactMissing):
        store.get_bytes(workspace_id, digest)
