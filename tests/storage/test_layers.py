from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore

NAMES = ["raw", "silver", "models", "eval"]


def test_the_layer_is_appended_where_there_is_no_place_for_it(tmp_path: Path) -> None:
    layers = Layers.open(f"file://{tmp_path}/store/")
    assert {name: store.url for name, store in layers.stores().items()} == {
        name: f"file://{tmp_path}/store/{name}" for name in NAMES
    }
    layers.ensure()
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == sorted(NAMES)


def test_the_layer_goes_where_its_place_is() -> None:
    layers = Layers.open("memory://mlops-{layer}-prod")
    assert [store.url for store in layers.stores().values()] == [f"memory://mlops-{name}-prod" for name in NAMES]


def test_a_layer_can_be_elsewhere() -> None:
    layers = Layers.open("memory://x/{layer}", {"raw": "memory://archive", "eval": ""})
    assert (layers.raw.url, layers.eval.url) == ("memory://archive", "memory://x/eval")


@pytest.mark.parametrize(
    ("template", "overrides", "message"),
    [
        ("memory://x", {"bronze": "memory://y"}, "'bronze' is not a layer"),
        ("memory://x", {"raw": "memory://x/silver"}, "share a place"),
        ("memory://x", {"raw": "memory://x/silver/raw"}, "share a place"),
        ("x", {}, "is not a store"),
    ],
)
def test_what_cannot_be(template: str, overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Layers.open(template, overrides)


def test_the_store_of_a_location() -> None:
    layers = Layers.open("memory://where")
    assert layers.store_of(layers.models.uri("a/b")) is layers.models
    for uri in ("memory://where/modelsx/a", "memory://where/models", "s3://b/k", ""):
        with pytest.raises(DataError, match="none of the four layers"):
            layers.store_of(uri)


def test_a_store_that_was_moved_is_told_and_found_by_a_link(tmp_path: Path) -> None:
    stored = Layers.open(f"file://{tmp_path}/old").raw.put_bytes("a", b"x")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Layers.open(f"file://{tmp_path}/new")
    for asked in (moved.store_of, moved.raw.key):
        with pytest.raises(DataError) as caught:
            asked(stored.uri)
        assert "link the old folder's name" in caught.value.hint
    (tmp_path / "old").symlink_to(tmp_path / "new")
    assert Layers.open(f"file://{tmp_path}/old").raw.holds(stored)


@pytest.mark.services
def test_four_buckets(s3: object) -> None:
    template = s3.url("{layer}")  # type: ignore[attr-defined]
    layers = Layers.open(template)
    layers.ensure()
    layers.ensure()
    for store in layers.stores().values():
        assert store.holds(store.put_bytes("k", b"x"))
        assert ObjectStore.from_url(store.url).exists("k")
