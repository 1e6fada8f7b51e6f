"""Scratch folders: private, gone when they are left, and swept up by a later run when their owner was killed.

Whoever works in a folder holds a lock on it, which the system takes back when the process ends, however it ends. So a
folder without a lock belongs to nobody.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cybersec_mlops.errors import PlatformError

PREFIX: Final = "cybersec-mlops-scratch-"
_ATTEMPTS: Final = 10
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ROOM: Final = (
    "free some space, or set CYBERSEC_MLOPS_SCRATCH_DIR to a folder with room, and run the same command again"
)
_mine: set[Path] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def scratch_folder(base: Path | None) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards; what killed runs left beside it is removed first.

    Parameters
    ----------
    base : Path, optional
        Where; the system's place for temporary files by default.

    Raises
    ------
    PlatformError
        There is no place for it, or what the block did there found the disk full.
    """
    place = base or Path(tempfile.gettempdir())
    sweep(place)
    folder, held = _make(place)
    with _lock:
        _mine.add(folder)
    try:
        yield folder
    except Exception as error:
        if is_full(error):
            raise PlatformError(f"the scratch folder {folder} is full", hint=_ROOM) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        with _lock:
            _mine.discard(folder)


def is_full(error: Exception) -> bool:
    """Say whether an error means that a disk is full; Polars tells it in its own words.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EIO, "broken"))
    (True, False)
    """
    if isinstance(error, PlatformError):
        return False  # says it already
    return (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error)


def _make(place: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            raise PlatformError(
                f"no scratch folder can be made in {place}: {error.strerror}",
                hint=_ROOM,
            ) from None
        with contextlib.suppress(OSError):  # swept up by another run before it was locked: make another one
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            if _locked(held) is not False and folder.exists():
                return folder, held
            os.close(held)
    raise PlatformError(f"no scratch folder stays in {place}", hint="does something else clean it up?")


def _locked(descriptor: int) -> bool | None:
    """Lock a folder: False where somebody else has, None where this file system knows no locks on folders."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sweep(place: Path) -> list[Path]:
    """Remove the folders of this account in which nobody works any more, and return them."""
    removed = []
    for folder in sorted(place.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):
            found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(found).st_uid == os.geteuid() and _locked(found):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
            finally:
                os.close(found)
    return removed


def remove_mine() -> None:
    """Remove every folder of this process, for an end that does not wait for those who work in them."""
    with _lock:
        for folder in _mine:
            shutil.rmtree(folder, ignore_errors=True)
