"""The catalog: who a key is, what a reference leads to, how fast changes are seen, what an outage does."""

from __future__ import annotations

import threading
import time

import pytest

from app.errors import ResourceConflict
from app.serving.catalog import Catalog
from app.serving.errors import CatalogStale, HeadNotReady, ReferenceNotFound
from storage.engine import Database
from tests.app.serving.records import Records, eventually
from tests.app.serving.stand_ins import Clock, FlakyDatabase


@pytest.fixture
def flaky(database: Database) -> FlakyDatabase:
    return FlakyDatabase(database)


def test__authenticate__right_and_wrong_secrets__known_only_with_the_right_one(
    database: Database, records: Records
) -> None:
    workspace_id = records.workspace("one")
    key = records.key(workspace_id, scopes=["predict", "tables:read"])
    catalog = Catalog(database)
    principal = catalog.authenticate(key.public_id, key.secret)
    assert principal is not None
    assert (principal.workspace_id, principal.workspace_name) == (workspace_id, "one")
    assert principal.may("predict")
    assert not principal.may("admin")
    assert catalog.authenticate(key.public_id, key.secret[:-1]) is None
    assert catalog.authenticate(key.public_id, "") is None
    assert catalog.authenticate(key.public_id, "\udcff") is None
    assert catalog.authenticate("nobody", key.secret) is None


def test__authenticate__expired_by_the_wall_clock__refused(database: Database, records: Records) -> None:
    wall = Clock(5_000.0)
    key = records.key(records.workspace(), expires_at=5_010.0)
    catalog = Catalog(database, wall=wall)
    assert catalog.authenticate(key.public_id, key.secret) is not None
    wall.now = 5_010.0
    assert catalog.authenticate(key.public_id, key.secret) is None


def test__authenticate__key_made_or_revoked_elsewhere__effective_within_a_second(
    database: Database, records: Records
) -> None:
    workspace_id = records.workspace()
    catalog = Catalog(database)
    catalog.start()
    try:
        key = records.key(workspace_id)  # known at once: an unknown key is looked up once more
        assert catalog.authenticate(key.public_id, key.secret) is not None
        records.revoke(workspace_id, key)
        revoked_at = time.monotonic()
        assert eventually(lambda: catalog.authenticate(key.public_id, key.secret) is None)
        assert time.monotonic() - revoked_at < 1.0
    finally:
        catalog.stop()


def test__authenticate__revoked_without_a_poller__seen_after_the_poll_interval(
    database: Database, records: Records
) -> None:
    clock = Clock()
    workspace_id = records.workspace()
    key = records.key(workspace_id)
    catalog = Catalog(database, monotonic=clock)
    assert catalog.authenticate(key.public_id, key.secret) is not None
    records.revoke(workspace_id, key)
    clock.now += 0.3
    assert catalog.authenticate(key.public_id, key.secret) is None


def test__current__database_unreachable__serves_for_five_minutes_then_stale(
    flaky: FlakyDatabase, records: Records
) -> None:
    clock = Clock()
    workspace_id = records.workspace()
    key = records.key(workspace_id)
    catalog = Catalog(flaky, monotonic=clock)
    catalog.refresh()
    flaky.is_cut = True
    clock.now += 299.0
    assert catalog.authenticate(key.public_id, key.secret) is not None
    freshness = [catalog.is_fresh]
    clock.now += 2.0
    with pytest.raises(CatalogStale) as stale:
        catalog.authenticate(key.public_id, key.secret)
    assert stale.value.retry_after_s
    freshness.append(catalog.is_fresh)
    flaky.is_cut = False
    assert catalog.authenticate(key.public_id, key.secret) is not None
    freshness.append(catalog.is_fresh)
    assert freshness == [True, False, True]


def test__unknown_things__database_unreachable__unavailable_instead_of_not_found(
    flaky: FlakyDatabase, records: Records
) -> None:
    workspace_id = records.workspace()
    catalog = Catalog(flaky)
    catalog.refresh()
    flaky.is_cut = True
    with pytest.raises(CatalogStale):
        catalog.authenticate("nobody", "x")
    with pytest.raises(CatalogStale):
        catalog.resolve(workspace_id, "nothing", ["a"])


def test__known_things__any_number_of_requests__no_reads_of_the_database(
    flaky: FlakyDatabase, records: Records
) -> None:
    workspace_id = records.workspace()
    key = records.key(workspace_id)
    table, snapshot = records.table(workspace_id)
    target = records.target(table)
    records.head(target, records.encoder(table, snapshot), alias="champion")
    catalog = Catalog(flaky, monotonic=Clock())
    catalog.refresh()
    before = flaky.num_reads
    for _ in range(10):
        assert catalog.authenticate(key.public_id, key.secret) is not None
        assert catalog.resolve(workspace_id, "customers", ["churn", "*", "churn:1"]).heads
    assert flaky.num_reads == before


def test__refresh__many_at_once__share_looks_at_the_database(flaky: FlakyDatabase) -> None:
    catalog = Catalog(flaky)
    catalog.refresh()
    before = flaky.num_reads
    barrier = threading.Barrier(16)

    def ask() -> None:
        barrier.wait()
        catalog.refresh()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flaky.num_reads - before < 16


def test__resolve__every_form_of_reference__leads_to_its_head(database: Database, records: Records) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id)
    encoder = records.encoder(table, snapshot)
    newer = records.encoder(table, snapshot)
    churn, plan, bare = records.target(table), records.target(table, "plan"), records.target(table, "bare")
    first = records.head(churn, encoder, alias="champion")
    second = records.head(churn, newer, alias="challenger")
    third = records.head(plan, encoder, alias="champion")
    catalog = Catalog(database)

    def ids(*references: str) -> dict[str, str]:
        heads = catalog.resolve(workspace_id, "customers", references).heads
        return {resolved.reference: resolved.head.id for resolved in heads}

    assert ids("churn") == {"churn": first.id}
    assert ids("churn@champion", "churn@challenger") == {
        "churn@champion": first.id,
        "churn@challenger": second.id,
    }
    assert ids("churn:1", "churn:2", "plan") == {"churn:1": first.id, "churn:2": second.id, "plan": third.id}
    assert ids("*") == {"churn": first.id, "plan": third.id}
    assert ids("*", "churn:2") == {"churn": first.id, "plan": third.id, "churn:2": second.id}
    resolution = catalog.resolve(workspace_id, "customers", ["*"])
    assert resolution.skipped == {bare.name: "no_champion"}
    assert [resolved.encoder.version for resolved in resolution.heads] == [1, 1]
    assert ids("churn", "churn") == {"churn": first.id}


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("nothing", "target_not_found"),
        ("../x", "target_not_found"),
        ("churn@nobody", "alias_not_found"),
        ("churn:99", "head_not_found"),
        ("churn:999999999", "head_not_found"),
        ("bare", "alias_not_found"),
    ],
)
def test__resolve__what_is_not_there__says_which_reference(
    database: Database, records: Records, reference: str, code: str
) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id)
    records.head(records.target(table), records.encoder(table, snapshot), alias="champion")
    records.target(table, "bare")
    with pytest.raises(ReferenceNotFound) as refused:
        Catalog(database).resolve(workspace_id, "customers", ["churn", reference])
    assert refused.value.code == code
    assert refused.value.details["reference"] == reference


def test__resolve__head_in_training__not_ready_and_not_missing(database: Database, records: Records) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id)
    records.head(records.target(table), records.encoder(table, snapshot), is_ready=False)
    with pytest.raises(HeadNotReady) as refused:
        Catalog(database).resolve(workspace_id, "customers", ["churn:1"])
    assert refused.value.details == {"reference": "churn:1", "status": "training"}


def test__resolve__table_still_registering__conflict_until_it_is_ready(
    database: Database, records: Records
) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id, is_ready=False)
    catalog = Catalog(database)
    with pytest.raises(ResourceConflict, match="registering"):
        catalog.table(workspace_id, "customers")
    records.mark_ready(table, snapshot)
    assert catalog.table(workspace_id, "customers").id == table.id


def test__resolve__another_workspaces_table__as_if_it_were_not_there(
    database: Database, records: Records
) -> None:
    one, two = records.workspace("one"), records.workspace("two")
    table, snapshot = records.table(one)
    records.head(records.target(table), records.encoder(table, snapshot), alias="champion")
    catalog = Catalog(database)
    assert catalog.resolve(one, "customers", ["churn"]).heads
    for references in (["churn"], ["*"], ["churn:1"]):
        with pytest.raises(ReferenceNotFound) as refused:
            catalog.resolve(two, "customers", references)
        assert refused.value.code == "table_not_found"


def test__resolve__alias_moved_elsewhere__seen_by_the_poller(database: Database, records: Records) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id)
    target, encoder = records.target(table), records.encoder(table, snapshot)
    records.head(target, encoder, alias="champion")
    catalog = Catalog(database)
    catalog.start()
    try:
        assert catalog.resolve(workspace_id, "customers", ["churn"]).heads[0].head.version == 1
        records.head(target, encoder, alias="champion")
        assert eventually(
            lambda: catalog.resolve(workspace_id, "customers", ["churn"]).heads[0].head.version == 2
        )
    finally:
        catalog.stop()


def test__refresh__after_an_own_write__is_seen_at_once(database: Database, records: Records) -> None:
    workspace_id = records.workspace()
    table, snapshot = records.table(workspace_id)
    target, encoder = records.target(table), records.encoder(table, snapshot)
    first, second = records.head(target, encoder, alias="champion"), records.head(target, encoder)
    catalog = Catalog(database, monotonic=Clock())  # no poll: time stands still
    assert catalog.resolve(workspace_id, "customers", ["churn"]).heads[0].head.id == first.id
    records.alias(target, "champion", second)
    assert catalog.resolve(workspace_id, "customers", ["churn"]).heads[0].head.id == first.id
    catalog.refresh()
    assert catalog.resolve(workspace_id, "customers", ["churn"]).heads[0].head.id == second.id


def test__own_write__seen_before_the_write_returns(database: Database, records: Records) -> None:
    workspace_id = records.workspace()
    key = records.key(workspace_id)
    catalog = Catalog(database, monotonic=Clock())  # no poll: time stands still
    database.on_catalog_change(catalog.notice_own_write)
    assert catalog.authenticate(key.public_id, key.secret) is not None
    records.revoke(workspace_id, key)
    assert catalog.authenticate(key.public_id, key.secret) is None


def test__own_write__that_fails__tells_nobody(database: Database, records: Records) -> None:
    told: list[int] = []
    database.on_catalog_change(lambda: told.append(1))

    def fail() -> None:
        with database.writing() as uow:
            uow.workspaces.get_or_create("default")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert told == []
    records.workspace()
    assert told == [1]
