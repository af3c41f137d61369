"""What only a store behind a network can go through: cut uploads, outages, faults, a cache on disk."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.errors import to_problem
from storage.artifacts import S3StoreConfig
from storage.artifacts.read_cache import KEEP_S, ReadCache
from storage.artifacts.s3 import REVEAL_SECRETS
from storage.artifacts.s3_store import _WHOLE_BYTES, S3Store
from storage.artifacts.store import sha256_hex
from storage.errors import ArtifactDamaged, StorageFull, StoreUnavailable
from tests.storage.buckets import ACCESS_KEY_ID, SECRET_ACCESS_KEY, S3Server, answer, changed, cut_after
from tests.storage.readers import WORKSPACE, read_all

UNREACHABLE = "http://127.0.0.1:9"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>secret-answer</Message></Error>"


@pytest.fixture
def config(s3: S3Server, tmp_path: Path) -> S3StoreConfig:
    return s3.config(tmp_path / "cache")


@pytest.fixture
def store(config: S3StoreConfig) -> Iterator[S3Store]:
    store = config.build()
    yield store
    store.close()


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file that goes up in parts."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1 << 16) * (1 + (_WHOLE_BYTES >> 16)))
    return path


def digests(store: S3Store) -> list[str]:
    return [found.digest for found in store.list(WORKSPACE)]


def test__put_file__large__goes_up_in_parts_and_comes_back(
    store: S3Store, s3: S3Server, large_file: Path
) -> None:
    for _ in range(2):
        digest = store.put_file(WORKSPACE, large_file)
        assert digest == sha256_hex(large_file.read_bytes())
    assert len([one for one in s3.requests if one[0] == "PUT"]) >= 4
    assert store.local_path(WORKSPACE, digest).read_bytes() == large_file.read_bytes()


@pytest.mark.parametrize("num_good", [1, 2, 3])
def test__put_file__interrupted__leaves_nothing_to_see(
    store: S3Store, config: S3StoreConfig, s3: S3Server, large_file: Path, num_good: int
) -> None:
    def truth(application: Any, environ: Any, start: Any) -> Any:
        return application(environ, start)

    s3.faults = [truth] * num_good + [answer("403 Forbidden")] * 50
    with pytest.raises(StoreUnavailable) as refusal:
        store.put_file(WORKSPACE, large_file)
    assert refusal.value.code == "store_access_denied"
    s3.faults.clear()
    assert digests(store) == []
    assert not s3.keys(config.bucket)
    assert store.put_file(WORKSPACE, large_file) == digests(store)[0]


def test__put_file__changed_meanwhile__stores_nothing(store: S3Store, s3: S3Server, large_file: Path) -> None:
    def change(application: Any, environ: Any, start: Any) -> Any:
        with large_file.open("r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"other data")
        return application(environ, start)

    s3.faults = [change]
    with pytest.raises(StoreUnavailable) as refusal:
        store.put_file(WORKSPACE, large_file)
    assert refusal.value.code == "artifact_source_changed"
    assert digests(store) == []


def test__put__large_and_small_by_many_threads__is_one_sound_object_each(
    config: S3StoreConfig, large_file: Path
) -> None:
    stores = [config.build() for _ in range(3)]
    barrier = threading.Barrier(3)
    failures: list[Exception] = []

    def put(store: S3Store) -> None:
        barrier.wait(20)
        try:
            store.put_file(WORKSPACE, large_file)
            store.put_bytes(WORKSPACE, b"small")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert set(digests(stores[0])) == {sha256_hex(large_file.read_bytes()), sha256_hex(b"small")}
    assert stores[0].local_path(WORKSPACE, sha256_hex(b"small")).read_bytes() == b"small"


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Slow Down", "502 Bad Gateway"])
def test__any_call__transient_fault__is_tried_again(store: S3Store, s3: S3Server, status: str) -> None:
    faults = [answer(status, SLOW_DOWN)] * 2
    s3.faults = [*faults]
    digest = store.put_bytes(WORKSPACE, b"data")
    for call in (
        lambda: store.get_bytes(WORKSPACE, digest),
        lambda: store.exists(WORKSPACE, digest),
        lambda: store.local_path(WORKSPACE, digest),
        lambda: digests(store),
    ):
        s3.faults = [*faults]
        assert call()
        assert not s3.faults


def test__any_call__store_down__says_so_in_time(config: S3StoreConfig, tmp_path: Path) -> None:
    down = config.model_copy(update={"endpoint": UNREACHABLE, "max_retries": 2}).build()
    (tmp_path / "source").write_bytes(b"x")
    before = time.monotonic()
    for call in (
        lambda: down.put_bytes(WORKSPACE, b"data"),
        lambda: down.put_file(WORKSPACE, tmp_path / "source"),
        lambda: down.get_bytes(WORKSPACE, "a" * 64),
        lambda: down.local_path(WORKSPACE, "a" * 64),
        lambda: down.exists(WORKSPACE, "a" * 64),
        lambda: down.delete(WORKSPACE, "a" * 64),
        lambda: digests(down),
    ):
        with pytest.raises(StoreUnavailable) as refusal:
            call()
        assert refusal.value.code == "store_unavailable"
        assert UNREACHABLE not in refusal.value.message
        problem = to_problem(refusal.value)
        assert problem is not None
        assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
    assert time.monotonic() - before < 20


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (answer("503 Slow Down", SLOW_DOWN), StoreUnavailable, "store_unavailable"),
        (answer("403 Forbidden", b"<Error><Code>InvalidAccessKeyId</Code></Error>"), StoreUnavailable, "store_access_denied"),
        (answer("401 Unauthorized"), StoreUnavailable, "store_access_denied"),
        (answer("404 Not Found", b"<Error><Code>NoSuchBucket</Code></Error>"), StoreUnavailable, "store_bucket_missing"),
        (answer("507 Insufficient Storage", b"<Error><Code>XMinioStorageFull</Code></Error>"), StorageFull, "storage_full"),
        (answer("400 Bad Request", b"<Error><Code>QuotaExceeded</Code></Error>"), StorageFull, "storage_full"),
    ],
)  # fmt: skip
def test__put__refused__names_the_remedy_and_nothing_else(
    store: S3Store, s3: S3Server, fault: Any, error: type[Exception], code: str
) -> None:
    s3.faults = [fault] * 10
    with pytest.raises(error) as refusal:
        store.put_bytes(WORKSPACE, b"data")
    assert refusal.value.code == code  # type: ignore[attr-defined]
    for said in (str(refusal.value), repr(refusal.value.__cause__)):
        assert not any(
            secret in said for secret in (ACCESS_KEY_ID, SECRET_ACCESS_KEY, "secret-answer", "http")
        )


def test__bucket__missing__is_told_apart_from_a_missing_object(s3: S3Server) -> None:
    store = s3.config(bucket="no-such-bucket").build()
    with pytest.raises(StoreUnavailable) as refusal:
        store.get_bytes(WORKSPACE, "a" * 64)
    assert refusal.value.code == "store_bucket_missing"
    with pytest.raises(StoreUnavailable) as refusal:
        digests(store)
    assert refusal.value.code == "store_bucket_missing"


def test__download__truncated__is_never_kept(store: S3Store, s3: S3Server, large_file: Path) -> None:
    digest = store.put_file(WORKSPACE, large_file)
    for fault in (changed(lambda body: body[:-1]), changed(lambda body: body[:-1] + b"\0")):
        s3.faults = [fault] * 10
        with pytest.raises(ArtifactDamaged):
            store.local_path(WORKSPACE, digest)
        with pytest.raises(ArtifactDamaged):
            store.get_bytes(WORKSPACE, digest)
        s3.faults = [fault]  # wrong on the way only once: asked again
        assert store.local_path(WORKSPACE, digest).read_bytes() == large_file.read_bytes()
        store._cache.remove(WORKSPACE, digest)
    assert not list((store._cache._root() / "incoming").iterdir())


def test__download__cut__is_resumed_or_refused(store: S3Store, s3: S3Server, large_file: Path) -> None:
    digest = store.put_file(WORKSPACE, large_file)
    s3.faults = [cut_after(1_000)]
    try:
        path = store.local_path(WORKSPACE, digest)
    except StoreUnavailable:
        path = store.local_path(WORKSPACE, digest)
    assert path.read_bytes() == large_file.read_bytes()


class TestCache:
    def test__second_read__asks_nobody(self, store: S3Store, s3: S3Server) -> None:
        digest = store.put_bytes(WORKSPACE, b"data")
        path = store.local_path(WORKSPACE, digest)
        s3.requests.clear()
        assert store.local_path(WORKSPACE, digest) == path
        assert store.get_bytes(WORKSPACE, digest) == b"data"
        assert s3.requests == []

    @pytest.mark.parametrize("wrong", [b"", b"date", b"data and more"])
    def test__copy__damaged__is_fetched_again(self, config: S3StoreConfig, wrong: bytes) -> None:
        store = config.build()
        digest = store.put_bytes(WORKSPACE, b"data")
        path = store.local_path(WORKSPACE, digest)
        path.write_bytes(wrong)
        assert store.get_bytes(WORKSPACE, digest) == b"data"
        assert config.build().local_path(WORKSPACE, digest).read_bytes() == b"data"
        path.unlink()
        path.symlink_to("/etc/hostname")
        assert store.local_path(WORKSPACE, digest).read_bytes() == b"data"
        assert not path.is_symlink()

    def test__files__are_private(self, store: S3Store, config: S3StoreConfig) -> None:
        old_mask = os.umask(0)
        try:
            store.local_path(WORKSPACE, store.put_bytes(WORKSPACE, b"data"))
        finally:
            os.umask(old_mask)
        assert config.cache_dir is not None
        for path in (config.cache_dir, *config.cache_dir.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path

    def test__budget__keeps_the_youngest(self, tmp_path: Path) -> None:
        cache = ReadCache(tmp_path / "cache", max_bytes=3_000)
        objects = {sha256_hex(data): data for data in (bytes([n]) * 1_000 for n in range(4))}
        long_ago = time.time() - 10 * KEEP_S
        for age, (digest, data) in enumerate(list(objects.items())[:3]):
            path = cache.keep(WORKSPACE, digest, [data])
            assert path is not None
            os.utime(path, (long_ago + age, path.stat().st_mtime))
        first, second, third, fourth = objects
        os.utime(tmp_path / "cache" / WORKSPACE / first, (long_ago + 99, 1.0))
        assert cache.digests(WORKSPACE) == {first, second, third}
        cache.keep(WORKSPACE, fourth, [objects[fourth]])
        assert cache.digests(WORKSPACE) == {first, third, fourth}
        assert cache.find(WORKSPACE, second) is None

    def test__budget__spares_what_was_just_handed_out(self, tmp_path: Path) -> None:
        cache = ReadCache(tmp_path / "cache", max_bytes=0)
        for n in range(3):
            data = bytes([n]) * 10
            path = cache.keep(WORKSPACE, sha256_hex(data), [data])
            assert path is not None
        assert len(cache.digests(WORKSPACE)) == 3

    def test__leftovers__of_killed_and_of_other_machines__go(self, config: S3StoreConfig) -> None:
        here = config.build()
        there = config.model_copy(update={"cache_dir": None}).build()
        digest, kept = here.put_bytes(WORKSPACE, b"data"), here.put_bytes(WORKSPACE, b"kept")
        copy = here.local_path(WORKSPACE, digest)
        here.local_path(WORKSPACE, kept)
        there.delete(WORKSPACE, digest)
        assert config.cache_dir is not None
        unfinished = config.cache_dir / "incoming" / "0123"
        unfinished.write_bytes(b"half of an obj")
        assert here.remove_leftovers(WORKSPACE, unfinished.stat().st_mtime + 1) == 2
        assert not copy.exists()
        assert not unfinished.exists()
        assert here._cache.digests(WORKSPACE) == {kept}
        there.close()

    def test__many_processes__read_one_cache(self, config: S3StoreConfig) -> None:
        store = config.build()
        expected = {store.put_bytes(WORKSPACE, bytes([n]) * 10_000): n for n in range(6)}
        context = multiprocessing.get_context("spawn")
        revealed = config.model_dump(mode="json", context={REVEAL_SECRETS: True})
        with context.Pool(2) as pool:
            found = pool.starmap(read_all, [(revealed, list(expected))] * 2)
        assert found == [[bytes([n]) for n in expected.values()]] * 2


class TestConfig:
    @pytest.mark.parametrize(
        "changes",
        [
            {"bucket": "Upper"}, {"bucket": "a/b"}, {"bucket": "ab\n"}, {"bucket": "x"}, {"bucket": None},
            {"prefix": "/a"}, {"prefix": "a/"}, {"prefix": "../x"}, {"prefix": "a//b"}, {"prefix": "."},
            {"endpoint": "ftp://x"}, {"endpoint": "store:9000"}, {"endpoint": "https://"},
            {"endpoint": "https://user:pw@host"}, {"endpoint": "https://host?x=1"}, {"endpoint": "http://host"},
            {"access_key_id": "AKID"}, {"secret_access_key": "geheim"}, {"cache_bytes": -1}, {"unknown": 1},
        ],
    )  # fmt: skip
    def test__value__that_is_none__is_refused_without_showing_it(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as refusal:
            S3StoreConfig(**{"bucket": "bucket", **changes})
        assert "geheim" not in str(refusal.value)

    def test__endpoint__without_tls__only_where_it_is_said(self) -> None:
        assert S3StoreConfig(bucket="bucket", endpoint="http://store:9000/", allow_http=True).endpoint == (
            "http://store:9000"
        )

    def test__secrets__are_shown_to_nobody_but_our_own_processes(self) -> None:
        config = S3StoreConfig(
            bucket="bucket", access_key_id=SecretStr("AKID"), secret_access_key=SecretStr("geheim")
        )
        for text in (repr(config), str(config), config.model_dump_json(), repr(config.build()._bucket)):
            assert "geheim" not in text
            assert "AKID" not in text
        again = S3StoreConfig.model_validate_json(config.model_dump_json(context={REVEAL_SECRETS: True}))
        assert again == config
