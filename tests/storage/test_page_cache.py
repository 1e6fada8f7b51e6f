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
from cybersec_mlops.storage.page_cache import forget

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
    """Bring a file to the disk; it is all in memory as well."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    assert all(resident(path))
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder whose files can be dropped from memory."""
    probe = tmp_path / "probe"
    probe.write_bytes(bytes(4 * MIB))
    with on_disk(probe).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if any(resident(probe)):
        pytest.skip("a file system in memory")
    return tmp_path / "store"


@pytest.mark.usefixtures("small")
def test_what_is_read_of_a_large_object_does_not_stay_in_memory(disk: Path) -> None:
    store = ObjectStore.from_url(f"file://{disk}")
    reference = store.put_bytes("a", os.urandom(8 * MIB))
    path = on_disk(disk / "a")
    assert store.holds(reference)
    assert not any(resident(path))
    assert store.holds(reference)  # from the disk


def test_what_is_read_of_a_small_object_stays(disk: Path) -> None:
    store = ObjectStore.from_url(f"file://{disk}")
    reference = store.put_bytes("a", os.urandom(8 * MIB))
    path = on_disk(disk / "a")
    assert store.holds(reference)
    assert all(resident(path))


@pytest.mark.usefixtures("small")
def test_a_large_file_is_forgotten_behind_its_writer(told: SimpleQueue[tuple[int, int, int]], tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming:
        for _ in range(12):
            incoming.write(b"a" * 100 * KIB)
        asked = [told.get(timeout=60)]
        while asked[-1][1] < 1200 * KIB:  # of what was told before it is asked for only where the file is large by then
            asked.append(told.get(timeout=60))
    assert asked == [(0, end, os.POSIX_FADV_DONTNEED) for _, end, _ in asked]
    assert {end for _, end, _ in asked} <= {300 * KIB, 600 * KIB, 900 * KIB, 1200 * KIB}
    assert told.empty()


def test_a_small_file_is_not_forgotten(told: SimpleQueue[tuple[int, int, int]], tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb", buffering=0) as file:
        file.write(bytes(MIB))
        forget(file.fileno(), MIB)
    assert told.empty()


@pytest.mark.usefixtures("small")
def test_a_system_that_cannot_forget_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    with Incoming(tmp_path) as incoming:
        incoming.write(b"a" * 2 * MIB)
        incoming.keep("a")
    assert (tmp_path / "a").stat().st_size == 2 * MIB
