"""Originals parsed into Arrow files on scratch: the form in which the transformation can look at them by time.

A staged part holds one batch of a reader, so that memory stays bounded however large an original is. It is not
compressed, so that a slice maps it into memory instead of reading it: that costs room on scratch, and halves the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from cybersec_mlops.connections import REJECTED_SCHEMA
from cybersec_mlops.ingestion.ingest import open_original
from cybersec_mlops.ingestion.mappings import reader_for
from cybersec_mlops.ingestion.originals import Original
from cybersec_mlops.ingestion.parquet_text import read_with
from cybersec_mlops.ingestion.reader import Batch, add_skipped
from cybersec_mlops.ingestion.scratch import scratch_in
from cybersec_mlops.ingestion.zeek_aggregates import KINDS
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.ingestion.zeek_joined import FORMATS, read_joined
from cybersec_mlops.storage.objects import ObjectStore

REFUSED_ROWS: Final = 100_000
"""Refused rows that are held until they make a file."""
_COUNTS_AT_ONCE: Final = 16
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class StagedPart:
    """One file on scratch: an Arrow file of rows, or a Parquet file of refused ones."""

    path: str
    rows: int
    timed_rows: int
    """Rows that have a time."""
    first_us: int | None
    last_us: int | None
    """Range of the times, in microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Staged:
    """One original, parsed: where its rows are and what became of every row that was read."""

    raw_sha256: str
    format: str
    synthetic: bool
    parts: tuple[StagedPart, ...]
    rejected: tuple[StagedPart, ...]
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined rows by reason."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows that are not connections, by rule."""
    native: dict[str, str] = field(default_factory=dict)
    """The columns that its format has beside the canonical ones: name to Polars dtype."""
    shortcuts: dict[str, str] = field(default_factory=dict)
    """Columns that are known to give the label away in its format, and why."""
    seconds: str | None = None
    """Arrow file of how many rows each ``second`` since the epoch has (``len``); None where no row has a time."""
    joined: dict[str, list[str]] = field(default_factory=dict)
    """Kind of log to the Parquet files with what it says of connections (`zeek_aggregates`)."""

    @property
    def kept(self) -> int:
        """Rows that go to SILVER."""
        return sum(part.rows for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        parts = {name: [_part_to_dict(part) for part in getattr(self, name)] for name in ("parts", "rejected")}
        return {**{name: getattr(self, name) for name in Staged.__slots__}, **parts}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Staged:
        """Read the JSON form."""
        parts = {name: tuple(StagedPart(**part) for part in value[name]) for name in ("parts", "rejected")}
        return cls(**{**value, **parts})


def _part_to_dict(part: StagedPart) -> dict[str, Any]:
    return {name: getattr(part, name) for name in StagedPart.__slots__}


def stage_original(
    original: Original, raw: ObjectStore, folder: Path, *, timezone: str = "UTC", compress: bool = False
) -> Staged:
    """Parse one RAW original into parts in a folder of its own.

    Parameters
    ----------
    original : Original
        Which object, and its format.
    raw : ObjectStore
        The RAW layer.
    folder : Path
        Scratch; made when missing, what an interrupted attempt left there is overwritten.
    timezone : str
        IANA zone of times that do not say theirs.
    compress : bool
        Make the parts small (lz4), to be sent elsewhere.

    Returns
    -------
    Staged
        For every row read exactly one of: kept, rejected with a reason, skipped by a rule.

    Raises
    ------
    DataError
        When the original cannot be read as its format at all.
    PlatformError
        When the stored bytes are not those that the hash names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = _Parts(original, folder, compress=compress)
    if original.format in FORMATS:
        joined = _stage_joined(original, raw, made, folder)
        made.finish()
        counted = (tuple(made.rejected), dict(made.reasons), dict(made.skipped))
        return Staged(original.sha256, original.format, original.synthetic, (), *counted, joined=joined)
    reader = reader_for(original, raw, timezone=timezone)
    with open_original(original, raw) as stream, scratch_in(folder):
        for batch in read_with(reader, stream, source=original.source_name):
            made.add(batch)
    several = original.format == ZeekConn.name and any(f"other_stream:{kind}" in made.skipped for kind in KINDS)
    joined = _stage_joined(original, raw, made, folder) if several else {}
    made.finish()
    return Staged(
        original.sha256,
        original.format,
        original.synthetic,
        tuple(made.parts),
        tuple(made.rejected),
        dict(made.reasons),
        dict(made.skipped),
        {name: str(dtype) for name, dtype in reader.native_columns.items()},
        dict(reader.shortcut_columns),
        made.seconds,
        joined,
    )


def _stage_joined(original: Original, raw: ObjectStore, made: _Parts, folder: Path) -> dict[str, list[str]]:
    """Parse what a log says of connections that others hold; or, in a conn log, what the logs between its rows say."""
    main = FORMATS.get(original.format)
    parts: dict[str, list[str]] = {}
    with open_original(original, raw) as stream:
        for number, batch in enumerate(read_joined(stream, main=main, source=original.source_name)):
            used = {f"joined:{kind}": rows for kind, rows in batch.used.items()}
            made.add(Batch(pl.DataFrame(), batch.rejected, {**batch.skipped, **used}))
            if main is None:  # they were passed over, and are used
                made.skipped.subtract({f"other_stream:{kind}": rows for kind, rows in batch.given.items()})
            for kind, partial in batch.partial.items():
                path = folder / f"joined-{kind}-{number:06}.parquet"
                partial.write_parquet(path, compression="lz4")
                parts.setdefault(kind, []).append(str(path))
    made.skipped = +made.skipped
    return parts


class _Parts:
    """The files that an original becomes, batch by batch."""

    def __init__(self, original: Original, folder: Path, *, compress: bool) -> None:
        self._original, self._folder = original, folder
        self._compression: Literal["lz4"] | None = "lz4" if compress else None
        self.parts: list[StagedPart] = []
        self.rejected: list[StagedPart] = []
        self.reasons: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.seconds: str | None = None
        self._refused: list[pl.DataFrame] = []
        self._counts: list[pl.DataFrame] = []

    def add(self, batch: Batch) -> None:
        """Write the rows, keep the refused ones until there are enough for a file."""
        add_skipped(self.skipped, batch.skipped)
        if not batch.rows.is_empty():
            self._write_rows(batch.rows)
        if not batch.rejected.is_empty():
            self.reasons.update(dict(batch.rejected["reason"].value_counts().iter_rows()))
            self._refused.append(batch.rejected)
            if sum(rows.height for rows in self._refused) >= REFUSED_ROWS:
                self._write_refused()

    def finish(self) -> None:
        """Write what is left, and how many rows each second has."""
        self._write_refused()
        if self._counts:
            path = self._folder / "seconds.arrow"
            _sum(self._counts).write_ipc(path, compression="uncompressed")
            self.seconds = str(path)

    def _write_rows(self, rows: pl.DataFrame) -> None:
        provenance = {"raw_sha256": self._original.sha256, "format": self._original.format}
        path = self._folder / f"rows-{len(self.parts):06}.arrow"
        _write_arrow(
            rows.with_columns(pl.lit(value).alias(name) for name, value in provenance.items()), path, self._compression
        )
        times = rows["ts"].to_physical().drop_nulls()
        if not times.is_empty():
            counts = pl.select(second=times // _SECOND_US).to_series().value_counts(name="len")
            counts = counts.cast({"len": pl.Int64})  # as `_sum` gives them
            self._counts = (
                [*self._counts, counts] if len(self._counts) < _COUNTS_AT_ONCE else [_sum(self._counts), counts]
            )
        first, last = times.min(), times.max()
        self.parts.append(
            StagedPart(
                str(path),
                rows.height,
                len(times),
                None if first is None else int(first),  # type: ignore[arg-type]
                None if last is None else int(last),  # type: ignore[arg-type]
            )
        )

    def _write_refused(self) -> None:
        if not self._refused:
            return
        refused = pl.concat(self._refused).with_columns(raw_sha256=pl.lit(self._original.sha256))
        path = self._folder / f"rejected-{len(self.rejected):06}.parquet"
        refused.select(list(REJECTED_SCHEMA)).write_parquet(path, compression="lz4")
        self.rejected.append(StagedPart(str(path), refused.height, 0, None, None))
        self._refused = []


def _write_arrow(rows: pl.DataFrame, path: Path, compression: Literal["lz4"] | None) -> None:
    """Write rows as they lie in memory; Polars 2.1.0 would copy them once more, which takes twice the time."""
    from pyarrow import OSFile, ipc

    table = rows.to_arrow(compat_level=pl.CompatLevel.newest())
    options = ipc.IpcWriteOptions(compression=compression)
    with OSFile(str(path), "wb") as file, ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)


def _sum(counts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(counts).group_by("second").agg(pl.col("len").sum().cast(pl.Int64))


def staged_parts(staged: tuple[Staged, ...]) -> Iterator[StagedPart]:
    """Yield the parts of all originals in their order."""
    for one in staged:
        yield from one.parts
