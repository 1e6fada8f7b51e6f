"""The steps of the ingestion phase: originals, byte for byte, into RAW under their hash, with a receipt beside each.

A file is read twice: first to hash it, to recognise it and to see that it can be read to its end, so that nothing is
written of a file that is cut off; then to store it. Neither pass holds more than a piece of it in memory. A large one
that a folder cannot have yet is written beside its objects in the first pass, and thrown away where it is not sound.
Whoever wants to look at the content of a large new one, to parse it, gets it in the first pass.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import parquet
from cybersec_mlops.ingestion.compression import Decompressed, decompress
from cybersec_mlops.ingestion.mappings import NamedMapping, store_mapping
from cybersec_mlops.ingestion.originals import (
    Original,
    object_key,
    read_manifest,
    write_manifest,
    write_receipt,
)
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Head, Recognition, Refusal
from cybersec_mlops.ingestion.sniff import SUPPORTED, read_head, recognise, refused
from cybersec_mlops.ingestion.sources import Skipped, Source, expand, stream_of
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.ingestion.zeek_joined import recognise_joined
from cybersec_mlops.simulate.mark import is_synthetic_head
from cybersec_mlops.storage.incoming import Incoming
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.storage.streams import CHANGED_HINT, HashedReader, read_ahead

CHUNK_BYTES: Final = 1 << 20
"""A piece of a file: read, hashed and counted while it is in the processor's cache."""

ONE_PASS_BYTES: Final = 32 << 20
"""Smaller files are in memory when they are read again, and many: looking for each one's size would cost more."""

LISTED_OBJECTS: Final = 10_000
"""Objects of RAW among which one of the same size is looked for; of so many a listing takes longer than it can save."""

Settle = Callable[[Original | None], None]
"""Called with an original once it is stored, or with None where it could not be."""

Onlooker = Callable[[Original, BinaryIO], Settle]
"""Reads the content of an original while it is stored, as far as it wants to.

The `Original` has no hash and no sizes yet. What it raises ends the storing."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the sources stand for."""

    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...] = ()


def find_sources(
    sources: Sequence[str],
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    mappings: Sequence[NamedMapping] = (),
) -> Found:
    """Return the files to ingest; those found in folders that are of another type are passed over, with the reason.

    Raises
    ------
    DataError
        A source that is not there, a file that almost is of a known format, or nothing usable in all of them.
    """
    used, skipped = dict[str, Source](), list[Skipped]()
    beside: list[tuple[Source, JoinedLog]] = []
    connections = False
    for name in sources:
        expansion = expand(name)
        skipped += expansion.skipped
        for source in expansion.sources:
            answer = _answer(source, format, mappings)
            connections |= isinstance(answer, Recognition) and answer.format == ZeekConn.name
            if isinstance(answer, JoinedLog):
                beside.append((source, answer))
            elif isinstance(answer, Recognition) or source.explicit:  # whose error is told when it is stored
                _take(used, source)
            elif answer.passable:
                skipped.append(Skipped(source.name, answer.message))
            else:
                raise refused(answer, source=source.name)
    for source, log in beside:
        if connections or source.explicit:
            _take(used, replace(source, joined=connections))
        else:
            skipped.append(Skipped(source.name, log.otherwise.message))
    if not used:
        raise DataError(
            "no file that can be used" + (f": {_summary(skipped)}" if skipped else " was named"),
            source=", ".join(sources)[:300] or None,
            hint=f"supported are: {SUPPORTED}",
        )
    return Found(tuple(used.values()), tuple(skipped))


def _take(used: dict[str, Source], source: Source) -> None:
    if source.place not in used or source.explicit:
        used[source.place] = source


def _summary(skipped: list[Skipped]) -> str:
    shown = "; ".join(f"{item.name} {item.reason}" for item in skipped[:3])
    return f"{shown}; and {len(skipped) - 3} more" if len(skipped) > 3 else shown


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """A log that is joined to connections, where there are any."""

    recognition: Recognition
    otherwise: Refusal
    """What it is without a conn log beside it."""


def _answer(
    source: Source,
    format: str | None,  # noqa: A002
    mappings: Sequence[NamedMapping],
) -> Recognition | Refusal | JoinedLog:
    with source.open() as file:
        head = read_head(decompress(file, source=source.name))
    return what_is(head, format=format, mappings=mappings)


def what_is(
    head: Head,
    *,
    format: str | None = None,  # noqa: A002
    mappings: Sequence[NamedMapping] = (),
) -> Recognition | Refusal | JoinedLog:
    """Say what a file of this beginning is; see `recognise`."""
    answer = recognise(head, format=format, mappings=[one.reader for one in mappings])
    if isinstance(answer, Recognition) or format not in (None, ZeekConn.name):
        return answer
    joined = recognise_joined(head)
    return answer if joined is None else JoinedLog(joined, answer)


def store_original(
    source: Source,
    raw: ObjectStore,
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    mappings: Sequence[NamedMapping] = (),
    onlooker: Onlooker | None = None,
) -> Original:
    """Bring one file into RAW, byte for byte, unless the same bytes are there.

    The onlooker sees those that are large and cannot be there yet, in the pass in which they are hashed.

    Raises
    ------
    DataError
        It cannot be read, cannot be decompressed to its end, is of no known format, or changed while it was read.
    PlatformError
        The store failed.
    """
    settled = list[Settle]()
    try:
        original = write_receipt(_stored(source, raw, format, mappings, onlooker, settled), raw)
    except Exception:
        for settle in settled:
            settle(None)
        raise
    for settle in settled:
        settle(original)
    return original


def _stored(
    source: Source,
    raw: ObjectStore,
    format: str | None,  # noqa: A002
    mappings: Sequence[NamedMapping],
    onlooker: Onlooker | None,
    settled: list[Settle],
) -> Original:
    def look(draft: Original, content: BinaryIO) -> None:
        assert onlooker is not None
        settled.append(onlooker(draft, content))

    new = (raw.folder is not None or onlooker is not None) and _is_large_and_new(source, raw)
    seen = look if new and onlooker is not None else None
    if new and raw.folder is not None:
        return _received(source, raw, raw.folder, format, mappings, seen)
    original = _inspected(source, raw, nullcontext, format, mappings, seen)
    if raw.holds(original.reference):
        return original
    with source.open() as file:
        raw.put_chunks(object_key(original.sha256), _chunks(file, source), sha256=original.sha256, source=source.name)
    return replace(original, stored=True)


def _is_large_and_new(source: Source, raw: ObjectStore) -> bool:
    if not source.measured or source.bytes < ONE_PASS_BYTES:
        return False
    known = list(raw.list("objects", most=LISTED_OBJECTS))
    return len(known) < LISTED_OBJECTS and all(size != source.bytes for _, size in known)


def _received(
    source: Source,
    raw: ObjectStore,
    folder: Path,
    format: str | None,  # noqa: A002
    mappings: Sequence[NamedMapping],
    look: Callable[[Original, BinaryIO], None] | None,
) -> Original:
    with Incoming(folder) as incoming:
        # written and hashed in two threads, each of which takes as long as the other
        original = _inspected(source, raw, lambda pieces: read_ahead(incoming.copied(pieces)), format, mappings, look)
        if original.bytes != source.bytes:
            raise DataError(
                f"has {original.bytes} bytes, expected {source.bytes}", source=source.name, hint=CHANGED_HINT
            )
        incoming.keep(object_key(original.sha256))
    return replace(original, stored=True)


def inspect_original(
    source: Source,
    raw: ObjectStore,
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    mappings: Sequence[NamedMapping] = (),
) -> Original:
    """Read a file to its end and say what it is; nothing is written.

    Raises
    ------
    DataError
        As `store_original`.
    """
    return _inspected(source, raw, nullcontext, format, mappings)


def _inspected(
    source: Source,
    raw: ObjectStore,
    passing: Callable[[Iterator[bytes]], AbstractContextManager[Iterator[bytes]]],
    format: str | None,  # noqa: A002
    mappings: Sequence[NamedMapping],
    look: Callable[[Original, BinaryIO], None] | None = None,
) -> Original:
    with source.open() as file, passing(_chunks(file, source)) as pieces, HashedReader(pieces) as hashing:
        content = Decompressed(hashing, source=source.name, hashed=True)
        beginning = io.BufferedReader(content, HEAD_BYTES)  # kept, since it closes the content when it goes
        head = read_head(beginning)
        found = what_is(head, format=format, mappings=mappings)
        answer = (found.recognition if source.joined else found.otherwise) if isinstance(found, JoinedLog) else found
        if not isinstance(answer, Recognition):
            raise refused(answer, source=source.name)
        draft = Original(
            sha256="",
            uri="",
            bytes=0,
            format=answer.format,
            variant=answer.variant,
            compression=content.compression,
            source_name=source.name,
            lines=0,
            decompressed_bytes=0,
            synthetic=is_synthetic_head(head.data),
            ignored=answer.ignored,
            notes=answer.notes,
            mapping=next((one.sha256 for one in mappings if one.reader.name == answer.format), None),
            shared=tuple(piece.hex() for piece in answer.shared),
        )
        if look is not None and not parquet.is_parquet(head.data):  # whose end was looked at, so that it is through
            _show(chain([head.data, beginning.peek()], content.pieces()), partial(look, draft))
        content.drain()
        sha256 = hashing.sha256()
    return replace(
        draft,
        sha256=sha256,
        uri=raw.uri(object_key(sha256)),
        bytes=hashing.bytes,
        lines=content.lines,
        decompressed_bytes=content.bytes,
        content=content.sha256 or sha256,
    )


def _show(pieces: Iterator[bytes], look: Callable[[BinaryIO], None]) -> None:
    """Let somebody read a file; that it cannot be read is raised, whatever they make of it."""
    failed = list[Exception]()

    def watched() -> Iterator[bytes]:
        try:
            yield from pieces
        except Exception as error:
            failed.append(error)
            raise

    look(stream_of(watched()))
    if failed:
        raise failed[0]


def _chunks(file: BinaryIO, source: Source) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", source=source.name) from error


def ingest(
    sources: Sequence[str],
    raw: ObjectStore,
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    mappings: Sequence[NamedMapping] = (),
    onlooker: Onlooker | None = None,
) -> tuple[Reference, tuple[Original, ...], Found]:
    """Bring everything that the sources stand for into RAW.

    The onlooker sees what `store_original` lets it see.

    Returns
    -------
    tuple
        The manifest's reference, the originals in the order of the sources, and what was found and passed over.

    Raises
    ------
    DataError, PlatformError
        As `find_sources` and `store_original`.
    """
    for mapping in mappings:
        store_mapping(mapping, raw)
    found = find_sources(sources, format=format, mappings=mappings)
    originals = tuple(
        store_original(source, raw, format=format, mappings=mappings, onlooker=onlooker) for source in found.sources
    )
    return write_manifest(originals, raw), originals, found


@contextmanager
def open_original(original: Original, raw: ObjectStore) -> Iterator[BinaryIO]:
    """Give the decompressed content of an original, straight from the store; no copy is made.

    What was read is known to be what the hash names when the context is left without an error, not before.

    Raises
    ------
    DataError
        It is not in RAW, or cannot be decompressed.
    PlatformError
        The store failed, or the bytes do not match the hash.
    """
    with raw.reading(object_key(original.sha256), sha256=original.sha256) as file:
        stream = decompress(file, source=original.source_name)  # closing it would close the file
        yield stream


__all__ = [
    "Found",
    "find_sources",
    "ingest",
    "inspect_original",
    "open_original",
    "read_manifest",
    "store_original",
    "write_manifest",
]
