"""What every kind of artifact store must do."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from storage.artifacts import (
    ARTIFACT_STORES,
    ArtifactStore,
    ArtifactStoreConfig,
    LocalStoreConfig,
)
from storage.artifacts.local import LocalStore
from storage.artifacts.memory import MemoryStore
from storage.artifacts.s3 import REVEAL_SECRETS
from storage.artifacts.s3_store import S3Store
from storage.artifacts.store import sha256_hex
from storage.errors import ArtifactDamaged, ArtifactMissing, StorageError, StorageFull
from tests.storage.buckets import S3Server

# Fixed, because they become names of tests, which every test process must collect alike.
WORKSPACE = "ws_01M7Y00000000000000000000A"
OTHER = "ws_01M7Y00000000000000000000B"
LOCAL_ONLY = pytest.mark.parametrize("store", ["local"], indirect=True)


@pytest.fixture(params=[config.model_fields["kind"].default for config in ARTIFACT_STORES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    options: dict[str, object] = {}
    if request.param == "local":
        options = {"root": str(tmp_path / "artifacts")}
    elif request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        options = server.config(tmp_path / "cache").model_dump(context={REVEAL_SECRETS: True})
    built = TypeAdapter(ArtifactStoreConfig).validate_python({"kind": request.param, **options}).build()
    yield built
    built.close()


def damage(store: ArtifactStore, digest: str, data: bytes) -> None:
    """Change the stored bytes behind the store's back."""
    match store:
        case LocalStore():
            next((store._root / WORKSPACE).rglob(digest)).write_bytes(data)
        case MemoryStore():
            store._objects[WORKSPACE, digest] = (data, 0.0)
        case S3Store():
            store._cache.remove(WORKSPACE, digest)  # what is verified is served without asking the bucket
            _s3_key(store, digest).value = data
        case _:
            raise NotImplementedError(type(store))


def age(store: ArtifactStore, digest: str) -> None:
    """Make an object as old as the clock allows."""
    match store:
        case LocalStore():
            os.utime(next((store._root / WORKSPACE).rglob(digest)), (1.0, 1.0))
        case MemoryStore():
            store._objects[WORKSPACE, digest] = (store._objects[WORKSPACE, digest][0], 1.0)
        case S3Store():
            _s3_key(store, digest).last_modified = datetime.fromtimestamp(1.0, UTC).replace(tzinfo=None)
        case _:
            raise NotImplementedError(type(store))


def _s3_key(store: S3Store, digest: str) -> Any:
    from moto.s3.models import s3_backends

    bucket = s3_backends["123456789012"]["aws"].buckets[store._bucket.config["bucket"]]
    return bucket.keys[f"{store._prefix}{WORKSPACE}/{digest}"]


def digests(store: ArtifactStore, workspace_id: str = WORKSPACE) -> list[str]:
    return [found.digest for found in store.list(workspace_id)]


def files_under(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {".lock"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(data=st.binary(max_size=4_000))
def test__put__any_bytes__come_back_by_every_way(store: ArtifactStore, tmp_path: Path, data: bytes) -> None:
    digest = store.put_bytes(WORKSPACE, data)
    assert digest == sha256_hex(data)
    assert store.get_bytes(WORKSPACE, digest) == data
    assert store.local_path(WORKSPACE, digest).read_bytes() == data
    assert store.exists(WORKSPACE, digest)
    (tmp_path / "source").write_bytes(data)
    assert store.put_file(WORKSPACE, tmp_path / "source") == digest


def test__put_file__larger_than_a_chunk__equals_put_bytes(store: ArtifactStore, tmp_path: Path) -> None:
    data = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "source").write_bytes(data)
    digest = store.put_file(WORKSPACE, tmp_path / "source")
    (tmp_path / "source").write_bytes(b"changed afterwards")
    assert store.get_bytes(WORKSPACE, digest) == data
    assert store.put_bytes(OTHER, data) == digest


def test__put__twice__is_one_object_that_is_young_again(store: ArtifactStore) -> None:
    digest = store.put_bytes(WORKSPACE, b"data")
    age(store, digest)
    assert store.put_bytes(WORKSPACE, b"data") == digest
    (found,) = store.list(WORKSPACE)
    assert (found.digest, found.num_bytes) == (digest, 4)
    assert found.modified_at > 1_000


def test__put__by_many_threads__is_one_sound_object(store: ArtifactStore) -> None:
    data = os.urandom(200_000)
    barrier = threading.Barrier(6)
    results: list[str] = []

    def put() -> None:
        barrier.wait(20)
        results.append(store.put_bytes(WORKSPACE, data))

    threads = [threading.Thread(target=put) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert set(results) == {sha256_hex(data)}
    assert len(results) == 6
    assert digests(store) == [sha256_hex(data)]
    assert store.get_bytes(WORKSPACE, results[0]) == data


@pytest.mark.parametrize("data", [b"", b"dat", b"date", b"data and more"])
def test__get__damaged__is_detected_and_healed_by_a_put(store: ArtifactStore, data: bytes) -> None:
    digest = store.put_bytes(WORKSPACE, b"data")
    store.local_path(WORKSPACE, digest)
    damage(store, digest, data)
    with pytest.raises(ArtifactDamaged):
        store.get_bytes(WORKSPACE, digest)
    with pytest.raises(ArtifactDamaged):
        store.local_path(WORKSPACE, digest)
    store.put_bytes(WORKSPACE, b"data")
    assert store.get_bytes(WORKSPACE, digest) == b"data"
    assert store.local_path(WORKSPACE, digest).read_bytes() == b"data"


def test__get__missing__says_so(store: ArtifactStore) -> None:
    for read in (store.get_bytes, store.local_path):
        with pytest.raises(ArtifactMissing):
            read(WORKSPACE, "a" * 64)
    assert not store.exists(WORKSPACE, "a" * 64)
    assert not store.delete(WORKSPACE, "a" * 64)


def test__delete__removes_for_good(store: ArtifactStore) -> None:
    digest, kept = store.put_bytes(WORKSPACE, b"data"), store.put_bytes(WORKSPACE, b"other")
    store.local_path(WORKSPACE, digest)
    assert store.delete(WORKSPACE, digest)
    assert not store.delete(WORKSPACE, digest)
    with pytest.raises(ArtifactMissing):
        store.local_path(WORKSPACE, digest)
    assert digests(store) == [kept]


def test__delete__put_meanwhile__is_spared(store: ArtifactStore) -> None:
    old, young = store.put_bytes(WORKSPACE, b"old"), store.put_bytes(WORKSPACE, b"young")
    age(store, old)
    assert not store.delete(WORKSPACE, young, unmodified_since=1_000.0)
    assert store.delete(WORKSPACE, old, unmodified_since=1_000.0)
    assert digests(store) == [young]


def test__list__is_by_digest_and_complete(store: ArtifactStore) -> None:
    put = {store.put_bytes(WORKSPACE, bytes([n]) * n): n for n in range(20)}
    assert digests(store) == sorted(put)
    assert {found.digest: found.num_bytes for found in store.list(WORKSPACE)} == put
    assert digests(store, OTHER) == []


def test__workspaces__do_not_see_each_other(store: ArtifactStore) -> None:
    digest = store.put_bytes(WORKSPACE, b"data")
    assert not store.exists(OTHER, digest)
    with pytest.raises(ArtifactMissing):
        store.get_bytes(OTHER, digest)
    with pytest.raises(ArtifactMissing):
        store.local_path(OTHER, digest)
    assert not store.delete(OTHER, digest)
    assert store.exists(WORKSPACE, digest)


BAD_WORKSPACES = [
    "",
    ".",
    "..",
    "../x",
    "/etc",
    "ws_x",
    "tbl" + WORKSPACE[2:],
    WORKSPACE + "/..",
    WORKSPACE + "\n",
]
BAD_DIGESTS = [
    "",
    "..",
    "../" * 21 + "x",
    "/etc/passwd",
    "A" * 64,
    "a" * 63,
    "a" * 65,
    "a" * 64 + "\n",
    "a" * 62 + "/a",
    "a" * 63 + "\0",
]


@pytest.mark.parametrize(
    "workspace_id", [*BAD_WORKSPACES, WORKSPACE.lower(), WORKSPACE + "\0", " " + WORKSPACE]
)
def test__any_method__name_that_is_no_workspace__is_refused(
    store: ArtifactStore, tmp_path: Path, workspace_id: str
) -> None:
    (tmp_path / "source").write_bytes(b"x")
    before = files_under(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: store.put_bytes(workspace_id, b"x"),
        lambda: store.put_file(workspace_id, tmp_path / "source"),
        lambda: store.get_bytes(workspace_id, "a" * 64),
        lambda: store.local_path(workspace_id, "a" * 64),
        lambda: store.exists(workspace_id, "a" * 64),
        lambda: store.delete(workspace_id, "a" * 64),
        lambda: list(store.list(workspace_id)),
        lambda: store.remove_leftovers(workspace_id, 0.0),
    ]
    for call in calls:
        with pytest.raises(StorageError) as refusal:
            call()
        assert refusal.value.code == "invalid_artifact_name"
    assert files_under(tmp_path) == before


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test__any_method__name_that_is_no_digest__is_refused(store: ArtifactStore, digest: str) -> None:
    for call in (store.get_bytes, store.local_path, store.exists, store.delete):
        with pytest.raises(StorageError) as refusal:
            call(WORKSPACE, digest)
        assert refusal.value.code == "invalid_artifact_name"


def test__put_file__source_missing__leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_file(WORKSPACE, tmp_path / "none")
    assert digests(store) == []
    assert files_under(tmp_path) == set()


@LOCAL_ONLY
def test__local__files__are_private(store: LocalStore) -> None:
    old_mask = os.umask(0)
    try:
        digest = store.put_bytes(WORKSPACE, b"data")
    finally:
        os.umask(old_mask)
    paths = [store._root, *store._root.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert files_under(store._root) == {digest}


@LOCAL_ONLY
def test__local__put_interrupted__leaves_nothing(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interruption(BaseException):
        pass

    def interrupt(descriptor: int) -> None:
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(Interruption):
            store.put_bytes(WORKSPACE, b"data")
    assert files_under(store._root) == set()


@LOCAL_ONLY
def test__local__disk_full__is_storage_full_and_leaves_nothing(store: LocalStore) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(StorageFull):
            store.put_bytes(WORKSPACE, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_under(store._root) == set()
    assert digests(store) == []


@LOCAL_ONLY
def test__local__leftover_of_a_killed_writer__is_no_object_and_is_removed(store: LocalStore) -> None:
    store.put_bytes(WORKSPACE, b"data")
    leftover = store._root / WORKSPACE / "incoming" / "0123"
    leftover.write_bytes(b"half of an obj")
    assert len(digests(store)) == 1
    assert store.remove_leftovers(WORKSPACE, leftover.stat().st_mtime) == 0
    assert store.remove_leftovers(WORKSPACE, leftover.stat().st_mtime + 1) == 1
    assert not leftover.exists()


@LOCAL_ONLY
def test__local__link_in_place_of_an_object__is_not_followed(store: LocalStore, tmp_path: Path) -> None:
    digest = store.put_bytes(WORKSPACE, b"data")
    path = store.local_path(WORKSPACE, digest)
    (tmp_path / "elsewhere").write_bytes(b"data")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactDamaged):
        store.get_bytes(WORKSPACE, digest)


@LOCAL_ONLY
def test__local__another_process__sees_the_same(store: LocalStore) -> None:
    digest = store.put_bytes(WORKSPACE, b"data")
    again = LocalStoreConfig(root=store._root).build()
    assert again.get_bytes(WORKSPACE, digest) == b"data"


def test__config__unknown_kind_or_field__is_refused() -> None:
    adapter: TypeAdapter[object] = TypeAdapter(ArtifactStoreConfig)
    for wrong in ({"kind": "ftp"}, {"kind": "local"}, {"kind": "memory", "root": "/x"}, {}):
        with pytest.raises(ValueError, match="validation error"):
            adapter.validate_python(wrong)
