"""What a large file leaves in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from queue import SimpleQueue

import pytest

from cybersec_mlops.storage import page_cache
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.page_cache import WriteBehind, forget

KIB = 1 << 10
MIB = 1 << 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is large here."""
    monkeypatch.setattr(page_cache, "LARGE_BYTES", MIB)
    monkeypatch.setattr(page_cache, "_BEHIND_BYTES", 256 * KIB)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[tuple[int, int, int]]:
    """What the kernel is asked for."""
    calls = SimpleQueue[tuple[int, int, int]]()
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *asked: calls.put(asked))
    return calls


def resident(path: Path) -> list[bool]:
    """Which pages of a file are in memory; see mincore(2)."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        count = -(-len(pages) // mmap.PAGESIZE)
        found = (ctypes.c_ubyte * count)()
        view = (ctypes.c_char * len(pages)).from_buffer(pages)
        assert ctypes.CDLL(None).mincore(view, ctypes.c_size_t(len(pages)), found) == 0
        del view
    return [bool(one & 1) for one in found]


def on_disk(path: Path) -> Path:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    if not all(resident(path)):
        pytest.skip("a file system that keeps nothing in memory")
    return path


@pytest.mark.usefixtures("small")
def test_what_is_read_of_a_large_object_does_not_stay_in_memory(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    reference = store.put_bytes("a", os.urandom(8 * MIB))
    path = on_disk(tmp_path / "a")
    assert store.holds(reference)
    if all(resident(path)):
        pytest.skip("a file system in memory")
    assert not any(resident(path))


def test_what_is_read_of_a_small_object_stays(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    reference = store.put_bytes("a", os.urandom(8 * MIB))
    path = on_disk(tmp_path / "a")
    assert store.holds(reference)
    assert all(resident(path))


def test_what_was_forgotten_is_read_again_from_the_disk(tmp_path: Path) -> None:
    data = os.urandom(3 * MIB + 1)
    (tmp_path / "a").write_bytes(data)
    with on_disk(tmp_path / "a").open("rb") as file:
        forget(file.fileno(), len(data))
        assert file.read() == data


@pytest.mark.usefixtures("small")
def test_a_large_file_is_forgotten_behind_its_writer(told: SimpleQueue[tuple[int, int, int]], tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming:
        for _ in range(16):
            incoming.write(b"a" * 100 * KIB)
        asked = [told.get(timeout=60), told.get(timeout=60)]
    # the first piece with which it is large, and when enough has come since
    assert asked == [(0, 1100 * KIB, os.POSIX_FADV_DONTNEED), (0, 1400 * KIB, os.POSIX_FADV_DONTNEED)]
    assert told.empty()


def test_a_small_file_is_not_forgotten(told: SimpleQueue[tuple[int, int, int]], tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        behind = WriteBehind(file.fileno())
        behind.wrote(60 * MIB)
        behind.close()
    assert told.empty()


@pytest.mark.usefixtures("small")
def test_a_system_that_cannot_forget_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    with Incoming(tmp_path) as incoming:
        incoming.write(b"a" * 2 * MIB)
        incoming.keep("a")
    assert (tmp_path / "a").stat().st_size == 2 * MIB
