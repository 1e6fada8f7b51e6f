from __future__ import annotations

import hashlib
import threading

import pytest

from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.audit.registry import ModelRegistry
from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.storage.reference import Reference


def bundle(name: str) -> Reference:
    return Reference(f"s3://models/{name}", hashlib.sha256(name.encode()).hexdigest(), 10)


@pytest.fixture
def registry(database_url: str) -> ModelRegistry:
    return ModelRegistry(AuditLog.open(database_url))


def fill(registry: ModelRegistry, *names: str) -> None:
    for name in names:
        registry.register("ctu", bundle(name), run_id=f"run-{name}", metrics={"roc_auc": 0.9})


def promote(registry: ModelRegistry, version: int | None) -> None:
    registry.set_alias("ctu", "champion", version, run_id="r", reason="better")


def test_versions_count_up_per_dataset(registry: ModelRegistry) -> None:
    assert [registry.register("ctu", bundle(name), run_id="r") for name in "ab"] == [1, 2]
    assert registry.register("kdd", bundle("a"), run_id="r") == 1
    assert registry.versions("nothing") == []
    first, second = registry.versions("ctu")
    assert (first.version, first.sha256, first.uri, first.run_id) == (1, bundle("a").sha256, bundle("a").uri, "r")
    assert Reference.from_dict(second.bundle) == bundle("b")


def test_the_same_bundle_keeps_its_version(registry: ModelRegistry) -> None:
    fill(registry, "a", "b", "a")
    assert [version.version for version in registry.versions("ctu")] == [1, 2]
    assert registry.versions("ctu")[0].metrics == {"roc_auc": 0.9}


def test_promotion_and_rollback_are_audited(registry: ModelRegistry) -> None:
    fill(registry, "a", "b")
    assert registry.champion("ctu") is None
    promote(registry, 1)
    promote(registry, 2)
    registry.set_alias("ctu", "champion", 1, run_id="r9", reason="too many alerts")
    champion = registry.champion("ctu")
    assert champion is not None
    assert (champion.version, champion.aliases) == (1, ("champion",))
    events = registry.audit.events(phase="promotion")
    assert [event.parameters["kind"] for event in events] == ["promotion", "promotion", "rollback"]
    last = events[-1]
    assert (last.run_id, last.parameters["reason"]) == ("r9", "too many alerts")
    assert last.inputs == [bundle("b").to_dict()]
    assert last.outputs == {"bundle": bundle("a").to_dict(), "version": 1}
    assert registry.audit.verify() == []


def test_aliases_are_apart_and_can_be_taken_away(registry: ModelRegistry) -> None:
    fill(registry, "a", "b")
    promote(registry, 1)
    registry.set_alias("ctu", "challenger", 1, run_id="r", reason="trial")
    assert registry.get("ctu", 1).aliases == ("challenger", "champion")
    registry.set_alias("ctu", "challenger", None, run_id="r", reason="over")
    assert registry.challenger("ctu") is None
    assert registry.get("ctu", "champion").version == 1
    assert registry.get("ctu", "2").version == 2


def test_the_same_promotion_again_is_nothing_new(registry: ModelRegistry) -> None:
    fill(registry, "a")
    promote(registry, 1)
    assert registry.set_alias("ctu", "champion", 1, run_id="r", reason="again") is None
    assert len(registry.audit.events(phase="promotion")) == 1


def test_what_does_not_exist_is_said(registry: ModelRegistry) -> None:
    fill(registry, "a")
    with pytest.raises(DataError, match="no model version 7"):
        promote(registry, 7)
    with pytest.raises(DataError, match="'best' is not an alias"):
        registry.set_alias("ctu", "best", 1, run_id="r", reason="")
    for version in (7, "champion"):
        with pytest.raises(DataError, match=f"no model {version}"):
            registry.get("ctu", version)


def test_the_predecessor_is_the_champion_of_that_time(registry: ModelRegistry) -> None:
    fill(registry, "a", "b", "c", "never")
    for version in (1, 2, 3, 1):
        promote(registry, version)

    def before(name: str) -> int | None:
        found = registry.predecessor(bundle(name).sha256)
        return None if found is None else found.version

    assert [before(name) for name in ("a", "b", "c", "never")] == [None, 1, 2, None]


def test_a_promotion_decided_against_another_champion_is_refused(registry: ModelRegistry) -> None:
    fill(registry, "a", "b")
    registry.set_alias("ctu", "champion", 1, run_id="r", reason="first", expected=None)
    with pytest.raises(PlatformError, match="is now version 1, not nobody"):
        registry.set_alias("ctu", "champion", 2, run_id="r", reason="late", expected=None)
    registry.set_alias("ctu", "champion", 2, run_id="r", reason="in time", expected=1)
    assert registry.get("ctu", "champion").version == 2


def test_registrations_and_promotions_at_once_are_one_after_the_other(registry: ModelRegistry) -> None:
    refused = []

    def work(name: str) -> None:
        version = registry.register("ctu", bundle(name), run_id=name)
        try:
            registry.set_alias("ctu", "champion", version, run_id=name, reason="", expected=None)
        except PlatformError:
            refused.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [version.version for version in registry.versions("ctu")] == [1, 2, 3, 4]
    assert len(refused) == 3
    assert registry.champion("ctu") is not None
    assert registry.audit.verify() == []
