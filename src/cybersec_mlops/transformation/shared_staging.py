"""Staged parts that travel through the store, where the workers of a run share no folder.

A worker parses into a folder of its own and puts the files below ``staging/`` in SILVER, each under the hash of its
bytes; whoever needs one brings it into a folder of its own, checked. What is there is garbage once its run has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.slices import Slice
from cybersec_mlops.transformation.staging import Staged

PREFIX: Final = "staging"


def new_place(silver: ObjectStore) -> str:
    """Return the uri below which one run puts its staged parts."""
    return silver.uri(f"{PREFIX}/{uuid4().hex}")


def is_shared(place: str) -> bool:
    """Say whether a place is in a store and not a folder.

    >>> is_shared("s3://silver/staging/ab"), is_shared("/tmp/scratch")
    (True, False)
    """
    return "://" in place


def share(staged: Staged, silver: ObjectStore, place: str) -> Staged:
    """Move the files of an original into the store; each is removed from its folder once it is there."""

    def moved(path: str) -> str:
        with Path(path).open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        key = silver.key(f"{place}/{sha256}{Path(path).suffix}")
        uri = silver.put_file(key, Path(path), sha256=sha256).uri
        Path(path).unlink()
        return uri

    return staged.moved(moved, staged.raw_sha256)


def bring(path: str, silver: ObjectStore, folder: Path) -> str:
    """Return where a staged file is in a folder, from the store where it is shared.

    Raises
    ------
    DataError, PlatformError
        As `ObjectStore.fetch`.
    """
    if not is_shared(path):
        return path
    key = silver.key(path)
    local = folder / Path(key).name
    if not local.exists():
        folder.mkdir(parents=True, exist_ok=True)
        silver.fetch(key, local, sha256=local.stem)
    return str(local)


def bring_slice(piece: Slice, silver: ObjectStore, folder: Path) -> Slice:
    """Return a slice whose parts are in a folder."""

    def all_brought(paths: Sequence[str]) -> tuple[str, ...]:
        return tuple(bring(path, silver, folder) for path in paths)

    return replace(
        piece,
        parts=tuple(part._replace(path=bring(part.path, silver, folder)) for part in piece.parts),
        past_paths=all_brought(piece.past_paths),
        joined=tuple((kind, all_brought(paths)) for kind, paths in piece.joined),
    )


def bring_refused(staged: Staged, silver: ObjectStore, folder: Path) -> Staged:
    """Return an original whose refused rows are in a folder."""
    return replace(
        staged, rejected=tuple(replace(part, path=bring(part.path, silver, folder)) for part in staged.rejected)
    )


def bring_seconds(staged: Staged, silver: ObjectStore, folder: Path) -> Staged:
    """Return an original whose table of rows per second, all that the plan reads, is in a folder."""
    return replace(staged, seconds=None if staged.seconds is None else bring(staged.seconds, silver, folder))


def remove(place: str, silver: ObjectStore) -> None:
    """Remove everything that a run put in its place."""
    if is_shared(place):
        for key, _ in silver.list(silver.key(place)):
            silver.delete(key)
