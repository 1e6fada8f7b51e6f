"""An object as a file that can be read at any place: for formats that say at their end what they hold."""

from __future__ import annotations

import io
from typing import BinaryIO, Final

from cybersec_mlops.storage.objects import ObjectStore

RANGE_BYTES: Final = 1 << 20
"""What one request brings."""


def open_ranged(store: ObjectStore, key: str, size: int) -> BinaryIO:
    """Open an object of `size` bytes; each read is a bounded and retried request, nothing is verified.

    While it is read: `DataError` where the object is gone, `PlatformError` where the store fails.

    >>> store = ObjectStore.from_url("memory://ranged")
    >>> _ = store.put_bytes("a", b"0123456789")
    >>> with open_ranged(store, "a", 10) as file:
    ...     file.seek(-3, io.SEEK_END), file.read()
    (7, b'789')
    """
    return io.BufferedReader(_Ranges(store, key, size), RANGE_BYTES)


class _Ranges(io.RawIOBase):
    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"negative place {offset}")
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        end = min(self._at + len(buffer), self._size)
        if self._at >= end:
            return 0
        found = self._store.get_range(self._key, self._at, end)
        buffer[: len(found)] = found
        self._at = end
        return len(found)
