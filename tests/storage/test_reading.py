"""What every store gives: whole objects, verified ones, names that do not leave it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError, PlatformError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference

OTHER, DAMAGED = (hashlib.sha256(data).hexdigest() for data in (b"other", b"damaged"))


@pytest.mark.parametrize(
    "read",
    [
        lambda store, folder: store.get_bytes("a", sha256=OTHER),
        lambda store, folder: store.fetch("a", folder / "out", sha256=OTHER),
    ],
)
def test_a_damaged_object_is_never_given(
    store: ObjectStore, tmp_path: Path, read: Callable[[ObjectStore, Path], object]
) -> None:
    store.put_bytes("a", b"damaged")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PlatformError, match=f"expected {OTHER}, found {DAMAGED}") as caught:
        read(store, tmp_path)
    assert caught.value.hint
    assert sorted(tmp_path.iterdir()) == before


def test_holds_wants_place_size_and_hash(store: ObjectStore) -> None:
    reference = store.put_bytes("a", b"hello")
    assert not store.holds(Reference(store.uri("b"), reference.sha256, 5))
    assert not store.holds(Reference(reference.uri, reference.sha256, 6))
    assert not store.holds(Reference(reference.uri, OTHER, 5))
    with pytest.raises(DataError, match="is not in"):
        store.holds(Reference("memory://elsewhere/a", reference.sha256, 5))


def test_what_is_not_there_is_said(store: ObjectStore, tmp_path: Path) -> None:
    assert not store.exists("a")
    assert store.size("a") is None
    for read in (
        lambda: store.get_bytes("a"),
        lambda: list(store.chunks("a")),
        lambda: store.get_range("a", 0, 1),
        lambda: store.fetch("a", tmp_path / "out"),
    ):
        with pytest.raises(DataError, match="/a is not in"):
            read()
    assert not (tmp_path / "out").exists()
    store.delete("a")


def test_more_bytes_than_the_limit_are_not_read(store: ObjectStore) -> None:
    store.put_bytes("a", b"hello")
    with pytest.raises(DataError, match="5 bytes, more than the 4"):
        store.get_bytes("a", limit=4)


def test_list_is_sorted_and_by_folder(store: ObjectStore) -> None:
    for key in ("b/2", "a", "b/1", "bc/1"):
        store.put_bytes(key, key.encode())
    assert list(store.list()) == [("a", 1), ("b/1", 3), ("b/2", 3), ("bc/1", 4)]
    assert list(store.list("b")) == list(store.list("b/")) == [("b/1", 3), ("b/2", 3)]
    assert list(store.list("nothing")) == []


def test_list_goes_beyond_a_page(store: ObjectStore) -> None:
    for number in range(1005):
        store.put_bytes(f"many/{number:04}", b"")
    assert [key for key, _ in store.list("many")] == [f"many/{number:04}" for number in range(1005)]
    assert 10 <= len(list(store.list("many", most=10))) <= 1000


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\x00b", "a\nb", "\x7f"]
)
def test_a_key_cannot_leave_the_store(store: ObjectStore, key: str) -> None:
    for action in (
        lambda: store.uri(key),
        lambda: store.put_bytes(key, b""),
        lambda: store.get_bytes(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(DataError, match="is not a key of"):
            action()


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
def test_uri_and_key_are_opposites(parts: list[str]) -> None:
    store = ObjectStore.from_url("memory://laws")
    key = "/".join(parts)
    try:
        uri = store.uri(key)
    except DataError:
        return
    assert store.key(uri) == key
    assert ".." not in key.split("/")


def test_a_store_that_was_never_written_to_is_empty(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}/nothing")
    assert not store.exists("a")
    assert list(store.list()) == []
    assert not (tmp_path / "nothing").exists()


def test_an_unfinished_file_is_not_listed(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    (tmp_path / "a#1").write_bytes(b"half")  # what a killed process leaves behind
    assert list(store.list()) == []
    assert not store.exists("a")


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    store = ObjectStore.from_url("memory://target")
    store.put_bytes("a", b"x")
    with pytest.raises(PlatformError, match="cannot write"):
        store.fetch("a", tmp_path / "no" / "such" / "folder")
