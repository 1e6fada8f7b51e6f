"""Large files past the kernel's page cache, as MinIO writes and reads its objects (O_DIRECT, minio/minio#7479).

A log of several gigabytes that is copied would otherwise take as much memory from everything else on the machine, and
a virtual machine pays for memory that it had not used: four gigabytes were stored in 15 s instead of 6
(docs/scale.md). A small one stays where it is, since the next step reads it.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

CACHED_BYTES: Final = 1 << 30
"""So much of the beginning of a file may stay in memory."""

_BEHIND_BYTES: Final = 64 << 20
"""What is written before the disk is waited for; twice as much may be in memory."""


def forget(descriptor: int, end: int) -> None:
    """Let the kernel drop what it holds of a file from `CACHED_BYTES` to byte `end`, and is on the disk.

    All of it each time: of the large pages that a piece shares with the next one the kernel drops none. Nothing happens
    where there is no such call (macOS), and to what is in memory only (tmpfs).
    """
    if end > CACHED_BYTES and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, CACHED_BYTES, end - CACHED_BYTES, os.POSIX_FADV_DONTNEED)


class WriteBehind:
    """Flushes what is written to a file beyond `CACHED_BYTES`, in a thread of its own, and forgets it.

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
    ...     behind.finish()
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = self._begun = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-behind")
        self._flushing: Future[None] | None = None

    def wrote(self, count: int) -> None:
        """Say that so many bytes more were written.

        Raises
        ------
        OSError
            The disk did not take what was written before.
        """
        self._written += count
        if self._written > CACHED_BYTES and self._written - self._begun >= _BEHIND_BYTES:
            self._flush()

    def finish(self) -> None:
        """Flush the rest of a file of more than `CACHED_BYTES`: it is on the disk.

        Raises
        ------
        OSError
            As `wrote`.
        """
        if self._flushing is not None:
            self._flush()
            self._flushing.result()

    def close(self) -> None:
        """Wait for what is on its way, so that the file can be closed."""
        self._thread.shutdown()

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.result()
        self._begun = self._written
        self._flushing = self._thread.submit(self._through, self._written)

    def _through(self, end: int) -> None:
        os.fsync(self._descriptor)
        forget(self._descriptor, end)
