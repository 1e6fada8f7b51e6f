"""Originals parsed while ingestion stores them: what is hashed, stored and parsed are the same bytes, read once.

Otherwise the transformation reads an original again from RAW, and hashes it again to know that it is the same. Without
SHA instructions that is a tenth of the processor time of both phases, and while an original is hashed, which is done by
one core, the others have nothing to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from cybersec_mlops.ingestion.ingest import Onlooker, Settle
from cybersec_mlops.ingestion.originals import Original
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.staging import Staged, keep_parsed, stage_content


def parsing(raw: ObjectStore, scratch: Path, *, timezone: str = "UTC") -> Onlooker:
    """Return what parses originals that are being stored, for `stage_original` to find.

    Parameters
    ----------
    raw : ObjectStore
        The RAW layer.
    scratch : Path
        Where it is put; `stage_original` is told as `parsed`.
    timezone : str
        IANA zone of times that do not say theirs.
    """

    def look(draft: Original, content: BinaryIO) -> Settle:
        folder = scratch / f"storing-{uuid4().hex}"
        staged: Staged | None = None
        with _given_up(folder):
            folder.mkdir()
            staged = stage_content(draft, content, raw, folder, timezone=timezone)
        if staged is None:
            shutil.rmtree(folder, ignore_errors=True)
            return _forget
        return partial(_settle, staged, folder, timezone)

    return look


def _forget(_: Original | None) -> None:
    """Nothing was parsed."""


def _settle(staged: Staged, folder: Path, timezone: str, original: Original | None) -> None:
    """Put what was parsed where it is looked for; of the same bytes under two names, the first."""
    if original is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    target = folder.parent / original.sha256
    with _given_up(folder):
        moved = staged.moved(lambda path: str(target / Path(path).name), original.sha256)
        keep_parsed(moved, folder, timezone=timezone)
        folder.rename(target)


@contextmanager
def _given_up(folder: Path) -> Iterator[None]:
    """Leave nothing of what fails: the transformation does it again, and tells what it meets."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever a reader, a full disk or a missing object may raise
        shutil.rmtree(folder, ignore_errors=True)
