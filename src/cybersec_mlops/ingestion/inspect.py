"""What files are and what would become of their rows, without ingesting anything: nothing is written.

Every file is read to its end by its reader, in bounded memory; hosts are counted up to a limit.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, BinaryIO, Final

import polars as pl

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.compression import MAGIC_BYTES, Decompressed, compression_of, decompress
from cybersec_mlops.ingestion.copies import Copies
from cybersec_mlops.ingestion.draft import draft_mapping
from cybersec_mlops.ingestion.parquet_text import read_with
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Batch, Head, Reader, Recognition, Refusal, add_skipped
from cybersec_mlops.ingestion.readers import SHARING, reader_of
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.sniff import SUPPORTED, read_head, recognise
from cybersec_mlops.ingestion.sources import Source, expand
from cybersec_mlops.ingestion.zeek_aggregates import KINDS
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.ingestion.zeek_joined import FORMATS, read_joined, recognise_joined
from cybersec_mlops.simulate.mark import is_synthetic_head

MAX_HOSTS: Final = 1_000_000
"""Distinct addresses that are counted; beyond, `Inspected.hosts` says at least so many."""
MAX_LABELS: Final = 1_000
"""Distinct labels that are listed; the rows of the others are counted together."""
OTHER_LABELS: Final = "(other labels)"
EXAMPLES: Final = 3
"""Rejected rows that are shown for each reason."""


@dataclass(slots=True)
class Inspected:
    """What one file is, and what would become of it."""

    source: str
    """Its name, safe to show."""
    bytes: int
    """Size as it is stored."""
    status: str = "usable"
    """"usable"; "passed over": of another type, ignored in a folder; "refused": it would stop a run."""
    problem: str | None = None
    hint: str | None = None
    compression: str = "none"
    format: str | None = None
    variant: str | None = None
    synthetic: bool = False
    ignored: tuple[str, ...] = ()
    """Columns that are not read."""
    notes: tuple[str, ...] = ()
    read: int = 0
    """Rows in the file: kept, rejected and skipped."""
    kept: int = 0
    first: datetime | None = None
    """Start of the first connection, UTC."""
    last: datetime | None = None
    hosts: int | None = None
    """Distinct addresses; null where the format has none."""
    labels: dict[str, int] = field(default_factory=dict)
    """Kept rows by normalised label; rows without one are not in it."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Rows that would be quarantined, by reason."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """The first rejected rows of each reason: line, reason, field, detail."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows that a rule passes over, by reason."""
    nulled: dict[str, int] = field(default_factory=dict)
    """Values that became null in rows that are kept, by column."""
    draft: str | None = None
    """For a table of no known format: the beginning of a mapping file that would explain it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: times as ISO 8601."""
        values = {name: getattr(self, name) for name in Inspected.__slots__}
        times = {name: values[name].isoformat() if values[name] else None for name in ("first", "last")}
        return {**values, **times, "ignored": list(self.ignored), "notes": list(self.notes)}


def inspect_sources(
    sources: Sequence[str],
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    timezone: str = "UTC",
    mappings: Sequence[Reader] = (),
) -> Iterator[Inspected]:
    """Say of each file that the sources stand for what it is; a fault of one does not keep the others from being read.

    Parameters
    ----------
    sources : sequence of str
        Files, folders, globs or ``s3://`` prefixes.
    format : str, optional
        The format that they must be of.
    timezone : str
        IANA zone of times that do not say theirs.
    mappings : sequence of Reader
        Formats that mapping files make.

    Raises
    ------
    DataError
        A source is not there.
    ConfigError
        There is no such format or zone.
    """
    expansions = [expand(name) for name in sources]
    everything = [source for expansion in expansions for source in expansion.sources]
    shared = cache(partial(_shared, everything))
    beside = cache(lambda: any(_is_conn_log(source) for source in everything))
    copies = Copies()
    for expansion in expansions:
        for item in expansion.skipped:
            yield Inspected(item.name, 0, status="passed over", problem=item.reason)
        for source in expansion.sources:
            found = inspect_source(source, format=format, timezone=timezone, mappings=mappings, shared=shared)
            if found.format is None and found.status != "usable" and format in (None, ZeekConn.name):
                found = _inspect_joined(source, beside) or found
            known = (found.format, found.read, found.kept, found.first, found.last)
            if found.read and (note := copies.note_on(source, known)) is not None:
                found.notes += (note,)
            yield found


def _is_conn_log(source: Source) -> bool:
    try:
        answer = recognise(_head_of(source))
    except DataError:
        return False
    return isinstance(answer, Recognition) and answer.format == ZeekConn.name


def _head_of(source: Source) -> Head:
    with source.open() as file:
        return read_head(decompress(file, source=source.name))


def _inspect_joined(source: Source, beside: Callable[[], bool]) -> Inspected | None:
    """Describe a log that is joined to the connections of another; None where it is none, or there are none."""
    try:
        head = _head_of(source)
        answer = recognise_joined(head)
        if answer is None or not beside():
            return None
        kind = compression_of(_magic_of(source))
        found = Inspected(source.name, source.bytes, compression=kind, format=answer.format, variant=answer.variant)
        found.notes = answer.notes
        with source.open() as file:
            stream = decompress(file, source=source.name)
            for batch in read_joined(stream, main=FORMATS[answer.format], source=source.name):
                used = {f"joined:{kind}": rows for kind, rows in batch.used.items()}
                rows = pl.DataFrame(schema={"ts": pl.Datetime("us", "UTC"), "label": pl.String()})
                _add(found, Batch(rows, batch.rejected, {**batch.skipped, **used}), Counter(found.rejected))
                found.rejected = dict(Counter(found.rejected) + Counter(batch.rejected["reason"].to_list()))
    except DataError:
        return None
    return found


def _inspect_between(found: Inspected, source: Source) -> None:
    """Tell which rows of other logs between the connections are joined to them, as the transformation does."""
    skipped = Counter(found.skipped)
    with source.open() as file:
        for batch in read_joined(decompress(file, source=source.name), main=None, source=source.name):
            skipped.update({**batch.skipped, **{f"joined:{kind}": rows for kind, rows in batch.used.items()}})
            skipped.subtract({f"other_stream:{kind}": rows for kind, rows in batch.given.items()})
            found.rejected = dict(Counter(found.rejected) + Counter(batch.rejected["reason"].to_list()))
    found.skipped = dict(+skipped)
    found.read = found.kept + sum(found.rejected.values()) + sum(found.skipped.values())


def _magic_of(source: Source) -> bytes:
    with source.open() as file:
        return file.read(MAGIC_BYTES)


def inspect_source(
    source: Source,
    *,
    format: str | None = None,  # noqa: A002 - the flag's name
    timezone: str = "UTC",
    mappings: Sequence[Reader] = (),
    shared: Callable[[str], tuple[bytes, ...]] = lambda _: (),
) -> Inspected:
    """Read one file to its end and say what it is.

    `shared` gives what all files of a format have to share (`Recognition.shared`).

    Raises
    ------
    ConfigError
        There is no such format or zone.
    """
    found = Inspected(source.name, source.bytes)
    try:
        with source.open() as file:
            content = Decompressed(file, source=source.name)
            found.compression = content.compression
            head = read_head(io.BufferedReader(content, HEAD_BYTES))
        answer = recognise(head, format=format, mappings=mappings)
        if not isinstance(answer, Recognition):
            _refuse(found, answer, head, source)
            return found
        told = shared(answer.format) if answer.format in SHARING else ()
        reader = reader_of(answer.format, timezone=timezone, mappings=mappings, shared=told)
        with source.open() as file:
            _inspect(found, reader, answer, head, decompress(file, source=source.name))
        if found.format == ZeekConn.name and any(f"other_stream:{kind}" in found.skipped for kind in KINDS):
            _inspect_between(found, source)
    except DataError as error:
        found.status, found.problem, found.hint = "refused", error.message, error.hint or None
    except OSError as error:
        found.status, found.problem = "refused", f"{source.name}: cannot be read: {error.strerror}"
    return found


def _shared(sources: Sequence[Source], format_name: str) -> tuple[bytes, ...]:
    """Return what the files of a format have to share."""
    pieces = set[bytes]()
    for source in sources:
        with suppress(DataError, OSError), source.open() as file:
            content = Decompressed(file, source=source.name)
            answer = recognise(read_head(io.BufferedReader(content, HEAD_BYTES)))
            if isinstance(answer, Recognition) and answer.format == format_name:
                pieces.update(answer.shared)
    return tuple(sorted(pieces))


def _refuse(found: Inspected, answer: Refusal, head: Head, source: Source) -> None:
    passed = answer.passable and not source.explicit
    found.status = "passed over" if passed else "refused"
    found.problem, found.hint = answer.message, answer.hint or SUPPORTED
    found.draft = draft_mapping(head)


def _inspect(found: Inspected, reader: Reader, answer: Recognition, head: Head, stream: BinaryIO) -> None:
    found.format, found.variant = answer.format, answer.variant
    found.ignored, found.notes = tuple(printable(name, 60) for name in answer.ignored), answer.notes
    found.synthetic = is_synthetic_head(head.data)
    hosts, reasons = _Hosts(), Counter[str]()
    for batch in read_with(reader, stream, source=found.source):
        _add(found, batch, reasons)
        hosts.add(batch.rows)
    found.rejected = dict(reasons)
    found.hosts = hosts.count


def _add(found: Inspected, batch: Batch, reasons: Counter[str]) -> None:
    found.read += batch.read
    found.kept += batch.rows.height
    add_skipped(found.skipped, batch.skipped)
    for name, count in batch.nulled.items():
        found.nulled[name] = found.nulled.get(name, 0) + count
    first, last = batch.rows["ts"].min(), batch.rows["ts"].max()
    if isinstance(first, datetime) and isinstance(last, datetime):
        found.first = first if found.first is None else min(found.first, first)
        found.last = last if found.last is None else max(found.last, last)
    labels = batch.rows["label"]
    labelled = labels.null_count() < len(labels)
    counted = labels.drop_nulls().value_counts(name="rows").sort(["rows", "label"], descending=[True, False])
    for label, count in counted.iter_rows() if labelled else ():
        name = label if label in found.labels or len(found.labels) < MAX_LABELS else OTHER_LABELS
        found.labels[name] = found.labels.get(name, 0) + count
    for group in batch.rejected.partition_by("reason", maintain_order=True) if batch.rejected.height else ():
        reason = group["reason"][0]
        shown = group.head(max(0, EXAMPLES - reasons[reason])).select("raw_line", "reason", "field", "detail")
        found.examples += shown.rename({"raw_line": "line"}).to_dicts()
        reasons[reason] += group.height


class _Hosts:
    """Distinct addresses, as hashes, up to a limit."""

    def __init__(self) -> None:
        self._seen = pl.Series(dtype=pl.UInt64)

    def add(self, rows: pl.DataFrame) -> None:
        if len(self._seen) < MAX_HOSTS:
            found = (rows[name].drop_nulls().hash().alias("") for name in ("orig_h", "resp_h"))
            self._seen = pl.concat([self._seen, *found]).unique().head(MAX_HOSTS)

    @property
    def count(self) -> int | None:
        return len(self._seen) or None
