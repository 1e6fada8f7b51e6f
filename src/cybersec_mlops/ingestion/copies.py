"""Which files of several are copies of each other, without reading twice what cannot be one."""

from __future__ import annotations

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
        self._first: dict[Hashable, Source | None] = {}
        """The first of each kind; None as soon as it was hashed."""
        self._stored: dict[str, str] = {}
        self._content: dict[str, str] = {}

    def note_on(self, source: Source, known: Hashable) -> str | None:
        """Say of which earlier file this one is a copy, and what a run makes of it; None where it is of none.

        Parameters
        ----------
        source : Source
            The file.
        known : hashable
            What two copies have in common: their format, their rows.
        """
        if known not in self._first:
            self._first[known] = source
            return None
        if (first := self._first[known]) is not None:
            self._compared(first)
            self._first[known] = None
        return self._compared(source)

    def _compared(self, source: Source) -> str | None:
        try:
            stored, content = _hashes(source)
        except DataError:  # it cannot be read any more
            return None
        same, alike = self._stored.get(stored), self._content.get(content)
        self._stored.setdefault(stored, source.name)
        self._content.setdefault(content, source.name)
        if same is not None:
            return f"the same bytes as {same}: a run takes them once"
        if alike is not None:
            return f"the content of {alike}: each of its connections would count twice; leave one out"
        return None


def _hashes(source: Source) -> tuple[str, str]:
    with source.open() as file, HashedReader(iter(partial(file.read, _PIECE_BYTES), b"")) as hashing:
        content = Decompressed(hashing, source=source.name, hashed=True)
        content.drain()
        stored = hashing.sha256()
    return stored, content.sha256 or stored
