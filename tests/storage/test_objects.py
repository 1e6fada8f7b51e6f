from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, PlatformError
from cybersec_mlops.storage import objects
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference

OTHER = hashlib.sha256(b"other").hexdigest()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- laws that every store keeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000])
def test_what_is_put_is_got(store: ObjectStore, data: bytes) -> None:
    reference = store.put_bytes("folder/name.bin", data)
    assert reference == Reference(f"{store.url}/folder/name.bin", digest(data), len(data))
    assert store.get_bytes("folder/name.bin", sha256=reference.sha256) == data
    assert store.size("folder/name.bin") == len(data)
    assert store.holds(reference)


def test_a_file_of_many_parts_comes_back_whole(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)  # the smallest that S3 allows
    monkeypatch.setattr(objects, "CHUNK_BYTES", 1 << 20)
    data = bytes(range(256)) * (12 << 12)
    (tmp_path / "in").write_bytes(data)
    reference = store.put_file("big", tmp_path / "in", sha256=digest(data))
    assert reference.bytes == len(data) == 12 << 20
    store.fetch("big", tmp_path / "out", sha256=reference.sha256)
    assert (tmp_path / "out").read_bytes() == data
    assert [len(chunk) for chunk in store.chunks("big", size=5 << 20)] == [5 << 20, 5 << 20, 2 << 20]


@pytest.mark.parametrize("overwrite", [False, True])
def test_large_bytes_come_back_whole(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    data = bytes(range(256)) * (6 << 12)
    key = f"objects/{digest(data)}"
    store.put_bytes(key, b"damaged", overwrite=True)
    for _ in range(2):
        reference = store.put_bytes(key, memoryview(data), sha256=digest(data), overwrite=overwrite)
        assert reference == Reference(store.uri(key), digest(data), len(data))
        assert store.holds(reference)
    assert list(store.list()) == [(key, len(data))]


def test_a_file_without_a_known_hash_is_hashed_first(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"hello")
    assert store.put_file("a", tmp_path / "in").sha256 == digest(b"hello")


def test_the_same_bytes_again_are_fine(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"hello")
    first = store.put_bytes("a", b"hello")
    assert store.put_bytes("a", b"hello") == first
    assert store.put_file("a", tmp_path / "in", sha256=first.sha256) == first
    assert store.put_chunks("a", iter([b"hel", b"lo"]), sha256=first.sha256) == first


def test_other_bytes_under_a_plain_name_are_refused(store: ObjectStore) -> None:
    store.put_bytes("name", b"first")
    with pytest.raises(DataError, match="already holds other bytes"):
        store.put_bytes("name", b"second")
    assert store.get_bytes("name") == b"first"
    store.put_bytes("name", b"second", overwrite=True)
    assert store.get_bytes("name") == b"second"


def test_a_damaged_object_is_replaced_under_its_hash(store: ObjectStore) -> None:
    key = f"objects/{digest(b'right')}"
    puts: list[Callable[[], Reference]] = [
        lambda: store.put_bytes(key, b"right"),
        lambda: store.put_chunks(key, iter([b"right"]), sha256=digest(b"right")),
    ]
    for put in puts:
        store.put_bytes(key, b"wrong", overwrite=True)
        assert store.holds(put())


def test_a_stream_with_another_hash_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"hello")
    with pytest.raises(DataError, match=f"in: has SHA-256 {digest(b'hello')}, expected {OTHER}"):
        store.put_file("a", tmp_path / "in", sha256=OTHER)
    assert not store.exists("a")
    assert list(store.list()) == []


def test_a_stream_that_fails_raises_its_own_error_and_leaves_nothing(store: ObjectStore) -> None:
    class SourceError(ValueError): ...

    def failing() -> Iterator[bytes]:
        yield b"x" * (20 << 20)
        raise SourceError("the source broke")

    with pytest.raises(SourceError, match="the source broke"):
        store.put_chunks("a", failing(), sha256=OTHER)
    assert not store.exists("a")


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
    with pytest.raises(PlatformError, match=f"expected {OTHER}, found {digest(b'damaged')}") as caught:
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


def test_delete(store: ObjectStore) -> None:
    store.put_bytes("a", b"x")
    store.delete("a")
    assert not store.exists("a")


def test_ensure_twice_and_on_what_exists(store: ObjectStore) -> None:
    store.put_bytes("a", b"x")
    store.ensure()
    assert store.exists("a")


def test_names_that_people_use(store: ObjectStore) -> None:
    names = ["with blank", "ünï", "a+b", "50%", "q?x=1", "h#sh", "c:d", "e=f&g", "[x]", "tilde~", "it's"]
    for name in names:
        store.put_bytes(f"k/{name}", name.encode())
    assert [key for key, _ in store.list("k")] == sorted(f"k/{name}" for name in names)
    for name in names:
        assert store.get_bytes(store.key(store.uri(f"k/{name}"))) == name.encode()


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


def test_the_same_address_is_the_same_store(store: ObjectStore) -> None:
    store.put_bytes("a", b"x")
    again = ObjectStore.from_url(store.url)
    assert (again.url, again.get_bytes("a")) == (store.url, b"x")
    assert ObjectStore.from_url(f"{store.url}/").url == store.url


def test_a_store_inside_another(store: ObjectStore) -> None:
    if store.url.startswith("memory:"):
        pytest.skip("each memory URL is a store of its own")
    inner = ObjectStore.from_url(f"{store.url}/in/ner")
    inner.put_bytes("a", b"x")
    assert list(inner.list()) == [("a", 1)]
    assert list(store.list()) == [("in/ner/a", 1)]


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


# -- what differs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "with blank", "per%20cent", "h#sh", "q?x", "ünï"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    store = ObjectStore.from_url((tmp_path / name).as_uri())
    assert store.folder == tmp_path / name
    assert ObjectStore.from_url(store.url).url == store.url
    store.put_bytes("a", b"x")
    assert (tmp_path / name / "a").read_bytes() == b"x"


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


@pytest.mark.parametrize(
    "url", ["", "x", "/folder", "file://", "file://relative/x", "file:///a/../b", "s3://", "http://h/x", "gs://b"]
)
def test_addresses_that_are_no_store(url: str) -> None:
    with pytest.raises(ConfigError):
        ObjectStore.from_url(url)


def test_an_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        ObjectStore.from_url("https://me:hunter2@host/x")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PlatformError):
        ObjectStore.from_url(f"file://{tmp_path}/file/store").ensure()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.log: cannot be read: No such file"):
        ObjectStore.from_url("memory://x").put_file("a", tmp_path / "missing.log")


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    store = ObjectStore.from_url("memory://target")
    store.put_bytes("a", b"x")
    with pytest.raises(PlatformError, match="cannot write"):
        store.fetch("a", tmp_path / "no" / "such" / "folder")


def test_every_error_is_one_of_ours() -> None:
    store = ObjectStore.from_url("file:///proc/nothing")
    with pytest.raises(CybersecMlopsError):
        store.put_bytes("a", b"x")
