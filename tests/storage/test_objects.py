from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


def test_delete(store: ObjectStore) -> None:
    store.put_bytes("a", b"x")
    store.delete("a")
    assert not store.exists("a")


def test_ensure_twice_and_on_what_exists(store: ObjectStore) -> None:
    store.put_bytes("a", b"x")
    store.ensure()
    assert store.exists("a")


@pytest.mark.parametrize("streamed", [False, True])
def test_names_that_people_use(store: ObjectStore, streamed: bool) -> None:
    names = ["with blank", "ünï", "a+b", "50%", "q?x=1", "h#sh", "c:d", "e=f&g", "[x]", "tilde~", "it's"]
    for name in names:
        data = name.encode()
        if streamed:
            store.put_chunks(f"k/{name}", iter([data]), sha256=digest(data))
        else:
            store.put_bytes(f"k/{name}", data)
    assert [key for key, _ in store.list("k")] == sorted(f"k/{name}" for name in names)
    for name in names:
        assert store.get_bytes(store.key(store.uri(f"k/{name}"))) == name.encode()


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


# -- what differs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "with blank", "per%20cent", "h#sh", "q?x", "ünï"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    store = ObjectStore.from_url((tmp_path / name).as_uri())
    assert store.folder == tmp_path / name
    assert ObjectStore.from_url(store.url).url == store.url
    store.put_bytes("a", b"x")
    assert (tmp_path / name / "a").read_bytes() == b"x"


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


def test_every_error_is_one_of_ours() -> None:
    store = ObjectStore.from_url("file:///proc/nothing")
    with pytest.raises(CybersecMlopsError):
        store.put_bytes("a", b"x")
