"""Bundles: equal files make an equal digest; nothing that was changed is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.artifacts.manifest import bundle_path, load_bundle, put_bundle, read_manifest
from storage.artifacts.memory import MemoryStore
from storage.errors import ArtifactDamaged, ArtifactMissing, StorageError
from storage.ids import new_id

WORKSPACE = new_id("ws")
FILES: dict[str, bytes | Path] = {
    "weights.safetensors": b"\x00" * 100,
    "codec.json": b"{}",
    "parts/a.json": b"[]",
}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put_manifest(store: MemoryStore, **changes: object) -> str:
    manifest = {
        "format": "rootstock-bundle",
        "format_version": 1,
        "kind": "encoder",
        "files": {"a": {"sha256": store.put_bytes(WORKSPACE, b"a"), "num_bytes": 1}},
    }
    return store.put_bytes(WORKSPACE, json.dumps(manifest | changes).encode())


def test__put_bundle__then_load__is_equal(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"rows")
    bundle = put_bundle(store, WORKSPACE, FILES | {"rows.parquet": tmp_path / "rows"}, "snapshot")
    assert load_bundle(store, WORKSPACE, bundle.digest, kind="snapshot") == FILES | {"rows.parquet": b"rows"}
    assert bundle_path(store, WORKSPACE, bundle.digest, "rows.parquet").read_bytes() == b"rows"
    assert dict(bundle.digests) == {found.digest: found.num_bytes for found in store.list(WORKSPACE)}
    assert bundle.num_bytes == sum(size for _, size in bundle.digests)
    store.close()


def test__put_bundle__same_files_in_another_order__same_digest(store: MemoryStore) -> None:
    again = dict(reversed(FILES.items()))
    assert put_bundle(store, WORKSPACE, FILES, "head") == put_bundle(store, WORKSPACE, again, "head")
    assert (
        put_bundle(store, WORKSPACE, FILES, "head").digest
        != put_bundle(store, WORKSPACE, FILES, "encoder").digest
    )


def test__put_bundle__equal_contents_under_two_names__are_one_object(store: MemoryStore) -> None:
    bundle = put_bundle(store, WORKSPACE, {"a": b"same", "b": b"same"}, "head")
    assert len(bundle.digests) == 2
    assert load_bundle(store, WORKSPACE, bundle.digest) == {"a": b"same", "b": b"same"}


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "/x", "a/../b", "a//b", ".hidden", "a\n", "a\0", "x" * 101, "é"]
)
def test__put_bundle__name_that_could_be_a_path__is_refused_before_anything_is_stored(
    store: MemoryStore, name: str
) -> None:
    with pytest.raises(StorageError) as refusal:
        put_bundle(store, WORKSPACE, {"a": b"a", name: b"x"}, "head")
    assert refusal.value.code == "invalid_bundle"
    assert list(store.list(WORKSPACE)) == []


@pytest.mark.parametrize("kind", ["", "Head", "a b", "x\n"])
def test__put_bundle__invalid_kind__is_refused(store: MemoryStore, kind: str) -> None:
    with pytest.raises(StorageError, match="kind"):
        put_bundle(store, WORKSPACE, FILES, kind)
    assert list(store.list(WORKSPACE)) == []


def test__load_bundle__swapped_file__is_detected(store: MemoryStore) -> None:
    bundle = put_bundle(store, WORKSPACE, FILES, "head")
    entry = read_manifest(store, WORKSPACE, bundle.digest).files["codec.json"]
    store._objects[WORKSPACE, entry.sha256] = (b"[]", 0.0)
    with pytest.raises(ArtifactDamaged):
        load_bundle(store, WORKSPACE, bundle.digest)
    with pytest.raises(ArtifactDamaged):
        bundle_path(store, WORKSPACE, bundle.digest, "codec.json")
    store.delete(WORKSPACE, entry.sha256)
    with pytest.raises(ArtifactMissing):
        load_bundle(store, WORKSPACE, bundle.digest)


def test__bundle_path__name_not_in_it__is_missing(store: MemoryStore) -> None:
    bundle = put_bundle(store, WORKSPACE, FILES, "head")
    with pytest.raises(ArtifactMissing):
        bundle_path(store, WORKSPACE, bundle.digest, "../codec.json")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format_version": 2}, "unknown_bundle_version"),
        ({"kind": "head"}, "wrong_bundle_kind"),
        ({"format": "zip"}, "artifact_damaged"),
        ({"files": {"a": {"sha256": "../x", "num_bytes": 1}}}, "artifact_damaged"),
        ({"files": {"a": {"sha256": "a" * 64 + "\n", "num_bytes": 1}}}, "artifact_damaged"),
        ({"files": {"a": {"sha256": "a" * 64, "num_bytes": -1}}}, "artifact_damaged"),
        ({"files": {"a": {"sha256": "a" * 64, "num_bytes": "1"}}}, "artifact_damaged"),
        ({"files": []}, "artifact_damaged"),
        ({"more": 1}, "artifact_damaged"),
    ],
)
def test__load_bundle__not_a_manifest_of_this_version_and_kind__is_refused(
    store: MemoryStore, changes: dict[str, object], code: str
) -> None:
    digest = put_manifest(store, **changes)
    with pytest.raises(ArtifactDamaged) as refusal:
        load_bundle(store, WORKSPACE, digest, kind="encoder")
    assert refusal.value.code == code


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"[]", b"{", b"null", b"\xff" * 10, b"[" * 100_000])
def test__load_bundle__object_that_is_no_manifest__is_refused(store: MemoryStore, data: bytes) -> None:
    with pytest.raises(ArtifactDamaged):
        load_bundle(store, WORKSPACE, store.put_bytes(WORKSPACE, data))


def test__load_bundle__wrong_size_in_the_manifest__is_detected(store: MemoryStore) -> None:
    digest = put_manifest(store, files={"a": {"sha256": store.put_bytes(WORKSPACE, b"abc"), "num_bytes": 2}})
    with pytest.raises(ArtifactDamaged, match="3 bytes"):
        load_bundle(store, WORKSPACE, digest)
    with pytest.raises(ArtifactDamaged, match="3 bytes"):
        bundle_path(store, WORKSPACE, digest, "a")
    store.close()
