"""Damaged, deleted and swapped artifacts: a declared error, never a wrong prediction."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.serving.catalog import Catalog
from app.serving.errors import ModelUnavailable, ReferenceNotFound
from app.serving.predictions import PredictionService
from models.bundle import EncoderBundle
from models.features.schema import Task
from tests.app.serving.stand_ins import Clock
from tests.app.serving.world import World


def damage(path: Path) -> None:
    """Flip one bit in the middle, keeping size and times out of it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def encoder_of(world: World, version: int) -> str:
    return list(world.bundles)[version - 1]


def head_of(world: World, target: str, version: int) -> str:
    with world.database.reading() as uow:
        return uow.heads.by_version(world.targets[target].id, version).id


def test__predict__any_damaged_file_of_the_encoder__unavailable_with_a_code(own_world: World) -> None:
    stored = own_world.stored[encoder_of(own_world, 1)]
    originals = {digest: own_world.object_path(digest).read_bytes() for digest, _ in stored.digests}
    for digest, original in originals.items():
        damage(own_world.object_path(digest))
        with pytest.raises(ModelUnavailable) as refused:
            own_world.body(own_world.service(), targets=["churn"], keys=[1_000])
        assert refused.value.code == "artifact_damaged"
        assert refused.value.retry_after_s
        own_world.object_path(digest).write_bytes(original)
    assert own_world.body(own_world.service(), targets=["churn"], keys=[1_000])


def test__predict__one_damaged_head__others_are_served(own_world: World) -> None:
    for digest, _ in own_world.stored[head_of(own_world, "churn", 1)].digests:
        damage(own_world.object_path(digest))
    service = own_world.service()
    with pytest.raises(ModelUnavailable):
        own_world.body(service, targets="*", keys=[1_000])
    assert own_world.answer(service, targets=["level", "churn@challenger"], keys=[1_000])["predictions"]


def test__predict__damaged_snapshot__keys_refused_and_rows_served(own_world: World) -> None:
    largest = max(own_world.snapshot_bundle.digests, key=lambda item: item[1])[0]
    damage(own_world.object_path(largest))
    service = own_world.service()
    with pytest.raises(ModelUnavailable) as refused:
        own_world.body(service, targets=["churn"], keys=[1_000])
    assert refused.value.code == "artifact_damaged"
    assert own_world.answer(service, targets=["churn"], rows=[{}])["predictions"]


def test__predict__damaged_after_it_was_loaded__served_from_memory(own_world: World) -> None:
    service = own_world.service()
    before = own_world.body(service, targets="*", keys=[1_000])
    for bundle in [*own_world.stored.values(), own_world.snapshot_bundle]:
        for digest, _ in bundle.digests:
            own_world.object_path(digest).unlink(missing_ok=True)
    assert own_world.body(service, targets="*", keys=[1_000]) == before


def test__predict__head_of_another_encoder_in_its_place__refused(own_world: World) -> None:
    first, second = encoder_of(own_world, 1), encoder_of(own_world, 2)
    challenger = own_world.stored[head_of(own_world, "churn", 2)]
    with own_world.database.reading() as uow:
        encoder = uow.encoders.get(first)
    assert encoder is not None
    assert first != second
    own_world.records.head(
        own_world.targets["bare"], encoder, digest=challenger.digest, view=["churned"], alias="champion"
    )
    with pytest.raises(ModelUnavailable) as refused:
        own_world.body(own_world.service(), targets=["bare"], keys=[1_000])
    assert refused.value.code == "head_does_not_fit"


def test__predict__encoder_bundle_where_a_head_should_be__refused(own_world: World) -> None:
    with own_world.database.reading() as uow:
        encoder = uow.encoders.get(encoder_of(own_world, 1))
    assert encoder is not None
    assert encoder.manifest_digest is not None
    own_world.records.head(
        own_world.targets["bare"], encoder, digest=encoder.manifest_digest, view=["churned"], alias="champion"
    )
    with pytest.raises(ModelUnavailable) as refused:
        own_world.body(own_world.service(), targets=["bare"], keys=[1_000])
    assert refused.value.code == "wrong_bundle_kind"


def test__predict__head_deleted_behind_the_catalogs_back__not_found_instead_of_unavailable(
    own_world: World,
) -> None:
    catalog = Catalog(own_world.database, monotonic=Clock())  # time stands still: nothing is polled
    service = PredictionService(catalog, own_world.store)
    own_world.body(service, targets=["level"], keys=[1_000])  # the catalog is loaded; churn:2 is not
    with own_world.database.writing() as uow:
        uow.targets.delete(own_world.targets["churn"])
    for digest, _ in own_world.stored[head_of_deleted(own_world)].digests:
        own_world.object_path(digest).unlink()
    with pytest.raises(ReferenceNotFound) as refused:
        own_world.body(service, targets=["churn:2"], keys=[1_000])
    assert refused.value.code == "target_not_found"


def head_of_deleted(world: World) -> str:
    """The second head that was stored is version 2 of `churn`."""
    return [model_id for model_id in world.stored if model_id.startswith("head_")][1]


def test__predict__many_first_requests_at_once__the_encoder_is_loaded_once(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int] = []
    from_files = EncoderBundle.from_files

    def counted(files: dict[str, bytes]) -> EncoderBundle:
        loads.append(1)
        return from_files(files)

    monkeypatch.setattr(EncoderBundle, "from_files", staticmethod(counted))
    service = own_world.service()
    barrier = threading.Barrier(8)
    bodies: list[bytes] = []

    def ask() -> None:
        barrier.wait()
        bodies.append(own_world.body(service, targets=["churn", "level"], keys=[1_000]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(set(bodies)) == 1
    assert len(bodies) == 8


def test__predict__new_champion__served_and_the_old_version_still_addressable(own_world: World) -> None:
    service = own_world.service()
    with own_world.database.reading() as uow:
        encoder = uow.encoders.get(encoder_of(own_world, 1))
    assert encoder is not None
    own_world.body(service, targets=["churn"], keys=[1_000])
    own_world.head("churn", encoder, Task.BINARY, ("No", "Yes"), seed=9, alias="champion")
    answer = own_world.answer(service, targets=["churn:3", "churn:1"], keys=[1_000])
    assert answer["predictions"]["churn:3"]["head"] == 3
    assert own_world.answer(service, targets=["churn"], keys=[1_000])["predictions"]["churn"]["head"] == 3
