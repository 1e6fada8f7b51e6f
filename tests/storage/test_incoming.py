from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.objects import ObjectStore


def test_what_is_not_kept_is_gone(tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming:
        assert list(incoming.copied([b"a", b"bc"])) == [b"a", b"bc"]
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"abc"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    store.put_bytes("objects/ab", b"damaged")
    with Incoming(tmp_path) as incoming:
        list(incoming.copied([b"sound"]))
        incoming.keep("objects/ab")
    assert store.get_bytes("objects/ab") == b"sound"


def test_a_store_does_not_list_what_is_not_there_yet(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    with Incoming(tmp_path) as incoming:
        list(incoming.copied([b"a"]))
        assert list(store.list()) == []


def test_others_may_read_what_they_may_read_of_the_stores_own(tmp_path: Path) -> None:
    store = ObjectStore.from_url(f"file://{tmp_path}")
    store.put_bytes("other", b"a")
    with Incoming(tmp_path) as incoming:
        incoming.keep("own")
    assert (tmp_path / "own").stat().st_mode == (tmp_path / "other").stat().st_mode


class Full(io.RawIOBase):
    """A file on a disk that has no room left."""

    def write(self, data: Any, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Incoming(tmp_path) as incoming, monkeypatch.context() as full:
        full.setattr(incoming, "_file", Full())
        with pytest.raises(PlatformError, match="no space left"):
            list(incoming.copied([b"a"]))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PlatformError, match="cannot write"), Incoming(tmp_path / "file"):
        pass
