"""Which files of several are copies of each other, without reading twice what cannot be one."""

from __future__ import annotations

import io
from collections.abc import Hashable
from functools import partial
from typing import Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.compression import Decompressed
from cybersec_mlops.ingestion.sources import Source
from cybersec_mlops.storage.streams import HashedReader

_PIECE_BYTES: Final = 1 << 20


class Copies:
    """Files and what is known of them; only those of which the same is known are read again, and hashed."""

    def __init__(self) -> None:
        self._known: dict[Hashable, list[Source]] = {}
        self._hashes: dict[str, tuple[str, str]] = {}

    def note_on(self, source: Source, known: Hashable) -> str | None:
        """Say of which earlier file this one is a copy, and what a run makes of it; None where it is of none.

        Parameters
        ----------
        source : Source
            The file.
        known : hashable
            What two copies have in common: their format, their rows.
        """
        others = self._known.setdefault(known, [])
        for other in others:
            mine, its = self._hashed(source), self._hashed(other)
            if mine is None or its is None:
                continue
            if mine[0] == its[0]:
                return f"the same bytes as {other.name}: a run takes them once"
            if mine[1] == its[1]:
                return f"the content of {other.name}: each of its connections would count twice; leave one out"
        others.append(source)
        return None

    def _hashed(self, source: Source) -> tuple[str, str] | None:
        """Return the hashes of a file and of its content; None where it cannot be read any more."""
        if source.place not in self._hashes:
            try:
                self._hashes[source.place] = _hashes(source)
            except DataError:
                return None
        return self._hashes[source.place]


def _hashes(source: Source) -> tuple[str, str]:
    with source.open() as file, HashedReader(iter(partial(file.read, _PIECE_BYTES), b"")) as hashing:
        content = Decompressed(io.BufferedReader(hashing, _PIECE_BYTES), source=source.name, hashed=True)
        content.drain()
        stored = hashing.sha256()
    return stored, content.sha256 or stored
