"""Where a reader may put a temporary copy of what cannot be read in one pass (Parquet, captures)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

_FOLDER: Final = ContextVar[Path | None]("scratch", default=None)


def scratch() -> Path | None:
    """Return the folder for temporary files here; None is the system's place for them."""
    return _FOLDER.get()


@contextmanager
def scratch_in(folder: Path | None) -> Iterator[None]:
    """Let readers put temporary files into a folder; None leaves what holds.

    >>> with scratch_in(Path("scratch")):
    ...     scratch()
    PosixPath('scratch')
    """
    token = _FOLDER.set(folder or scratch())
    try:
        yield
    finally:
        _FOLDER.reset(token)
