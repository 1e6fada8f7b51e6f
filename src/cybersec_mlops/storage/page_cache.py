"""Large objects past the kernel's page cache, as MinIO writes and reads its own (O_DIRECT, minio/minio#7479).

What a log is copied to and read from once would otherwise take as much memory from everything else on the machine, and
a virtual machine pays for memory that it had not used: its hypervisor hands it out page by page (docs/scale.md). So
what the disk has of a large object is dropped behind the writer and behind the reader, and the same pages are used
again. Nothing waits until the disk has something, at most until its queue takes it: of a slow one less is dropped.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

LARGE_BYTES: Final = 64 << 20
"""What is smaller stays in memory: it is likely to be read again."""

_BEHIND_BYTES: Final = 32 << 20
"""What is written before the disk is told to begin with it."""


def forget(descriptor: int, end: int) -> None:
    """Let the kernel send a large file's bytes up to `end` to the disk, and drop what it holds of those that are there.

    All of them each time: of the large pages that a piece shares with the next one the kernel drops none. Nothing
    happens where there is no such call (macOS), and to what is in memory only (tmpfs). See posix_fadvise(2).
    """
    if hasattr(os, "posix_fadvise") and os.fstat(descriptor).st_size >= LARGE_BYTES:
        os.posix_fadvise(descriptor, 0, end, os.POSIX_FADV_DONTNEED)


class WriteBehind:
    """Forgets what is written to a file, in a thread of its own.

    Parameters
    ----------
    descriptor : int
        The file, open for writing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     behind = WriteBehind(file.fileno())
    ...     behind.wrote(file.write(b"abc"))
    ...     behind.close()
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = self._told = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-behind")

    def wrote(self, count: int) -> None:
        """Say that so many bytes more were written."""
        self._written += count
        if self._written - self._told >= _BEHIND_BYTES:
            self._told = self._written
            self._thread.submit(forget, self._descriptor, self._written)

    def close(self) -> None:
        """Wait until nothing is under way, so that the file can be closed."""
        self._thread.shutdown(cancel_futures=True)
