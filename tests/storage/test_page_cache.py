"""What a large file leaves in memory."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.storage import page_cache
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.page_cache import WriteBehind, forget

KIB = 1 << 10
MIB = 1 << 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is large here."""
    monkeypatch.setattr(page_cache, "CACHED_BYTES", MIB)
    monkeypatch.setattr(page_cache, "_BEHIND_BYTES", 256 * KIB)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What the kernel is asked for."""
    calls: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(("flush", 0, 0)))
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, __: calls.append(("forget", start, size)))
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


def check_dropped(path: Path) -> None:
    pages = resident(path)
    if all(pages):
        pytest.skip("a file system in memory")
    assert all(pages[: MIB // mmap.PAGESIZE])
    assert not any(pages[3 * MIB // mmap.PAGESIZE :])  # a page of 2 MiB is dropped as a whole or not at all


@pytest.mark.usefixtures("small")
def test_only_the_beginning_of_a_large_file_stays_in_memory(tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming:
        for _ in range(80):
            incoming.write(os.urandom(100 * KIB))
        incoming.keep("a")
    check_dropped(tmp_path / "a")


@pytest.mark.usefixtures("small")
def test_what_is_read_of_a_large_object_does_not_stay_either(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    reference = store.put_bytes("a", os.urandom(8 * MIB))
    with (tmp_path / "a").open("r+b") as file:
        os.fsync(file.fileno())  # what is not on the disk yet cannot be dropped
    assert store.holds(reference)
    check_dropped(tmp_path / "a")


@pytest.mark.usefixtures("small")
def test_the_disk_is_waited_for_piece_by_piece_and_at_the_end(told: list[tuple[str, int, int]], tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        behind = WriteBehind(file.fileno())
        for _ in range(6):
            behind.wrote(256 * KIB)
        behind.finish()
        behind.close()
    beyond = [("flush", 0, 0), ("forget", MIB, 256 * KIB), ("flush", 0, 0), ("forget", MIB, 512 * KIB)]
    assert told == [*beyond, *beyond[2:]]


def test_a_small_file_is_not_waited_for(told: list[tuple[str, int, int]], tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        behind = WriteBehind(file.fileno())
        behind.wrote(900 * MIB)
        behind.finish()
        forget(file.fileno(), 900 * MIB)
        behind.close()
    assert told == []


@pytest.mark.usefixtures("small")
def test_a_disk_that_is_full_when_it_is_flushed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with Incoming(tmp_path) as incoming:
        incoming.write(b"a" * 2 * MIB)
        with pytest.raises(PlatformError, match="no space left"):
            incoming.keep("a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_system_that_cannot_forget_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    with Incoming(tmp_path) as incoming:
        incoming.write(b"a" * 2 * MIB)
        incoming.keep("a")
    assert (tmp_path / "a").stat().st_size == 2 * MIB
