"""Originals parsed into Arrow files on scratch: the form in which the transformation can look at them by time.

A staged part holds one batch of a reader, so that memory stays bounded however large an original is. It is not
compressed, so that a slice maps it into memory instead of reading it: that costs room on scratch, and halves the time.
An original may be parsed while ingestion stores it (`while_storing`), when its hash is not known: the rows of a part do
not hold where they come from, the part does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import polars as pl

from cybersec_mlops.connections import REJECTED_SCHEMA
from cybersec_mlops.ingestion.ingest import open_original
from cybersec_mlops.ingestion.mappings import reader_for
from cybersec_mlops.ingestion.originals import Original
from cybersec_mlops.ingestion.parquet_text import read_with
from cybersec_mlops.ingestion.reader import Batch, Reader, add_skipped
from cybersec_mlops.ingestion.scratch import scratch_in
from cybersec_mlops.ingestion.zeek_aggregates import KINDS
from cybersec_mlops.ingestion.zeek_conn import ZeekConn
from cybersec_mlops.ingestion.zeek_joined import FORMATS, read_joined
from cybersec_mlops.storage.objects import ObjectStore

REFUSED_ROWS: Final = 100_000
"""Refused rows that are held until they make a file."""
_COUNTS_AT_ONCE: Final = 16
_PARSED: Final = "staged.json"
"""What was parsed while an original was stored, in its folder."""
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
    raw_sha256: str
    format: str
    """Of the original that its rows are from."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in StagedPart.__slots__}


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
        parts = {name: [part.to_dict() for part in getattr(self, name)] for name in ("parts", "rejected")}
        return {**{name: getattr(self, name) for name in Staged.__slots__}, **parts}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Staged:
        """Read the JSON form."""
        parts = {name: tuple(StagedPart(**part) for part in value[name]) for name in ("parts", "rejected")}
        return cls(**{**value, **parts})

    def moved(self, move: Callable[[str], str], raw_sha256: str) -> Staged:
        """Return it with its files in other places, of the original of this hash."""

        def all_moved(parts: tuple[StagedPart, ...]) -> tuple[StagedPart, ...]:
            return tuple(replace(part, path=move(part.path), raw_sha256=raw_sha256) for part in parts)

        return replace(
            self,
            raw_sha256=raw_sha256,
            parts=all_moved(self.parts),
            rejected=all_moved(self.rejected),
            seconds=None if self.seconds is None else move(self.seconds),
            joined={kind: [move(path) for path in paths] for kind, paths in self.joined.items()},
        )


def stage_original(
    original: Original,
    raw: ObjectStore,
    folder: Path,
    *,
    timezone: str = "UTC",
    compress: bool = False,
    parsed: Path | None = None,
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
    parsed : Path, optional
        Where `while_storing.parsing` left what it parsed, which is taken as it is; it must have had the same limits.

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
    if parsed is not None and (done := _parsed_already(original, parsed / original.sha256, timezone)) is not None:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    made = _Parts(original, folder, compress=compress)
    if original.format in FORMATS:
        return made.finish(joined=_stage_joined(original, raw, made, folder))
    reader = reader_for(original, raw, timezone=timezone)
    with open_original(original, raw) as stream:
        made.parse(reader, stream)
    return made.finish(reader, _stage_joined(original, raw, made, folder) if made.holds_other_logs else {})


def stage_content(
    original: Original, content: BinaryIO, raw: ObjectStore, folder: Path, *, timezone: str = "UTC"
) -> Staged | None:
    """Parse the decompressed content of an original as `stage_original` does, where it alone tells everything.

    Returns
    -------
    Staged or None
        None where other originals may have to be known, or the content is looked at twice: nothing or not all of it was
        read then.
    """
    if original.format in FORMATS or original.shared:
        return None
    made = _Parts(original, folder, compress=False)
    reader = reader_for(original, raw, timezone=timezone)
    return made.finish(reader) if made.parse(reader, content, alone=True) else None


def keep_parsed(staged: Staged, folder: Path, *, timezone: str) -> None:
    """Let `stage_original` find what was parsed into a folder, when it is asked for the same."""
    (folder / _PARSED).write_text(json.dumps({"timezone": timezone, "staged": staged.to_dict()}))


def _parsed_already(original: Original, folder: Path, timezone: str) -> Staged | None:
    if original.shared or not (folder / _PARSED).exists():
        return None
    told = json.loads((folder / _PARSED).read_text())
    staged = Staged.from_dict(told["staged"])
    wanted = (original.sha256, original.format, timezone)
    return staged if (staged.raw_sha256, staged.format, told["timezone"]) == wanted else None


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
        self._origin = (original.sha256, original.format)
        self._compression: Literal["lz4"] | None = "lz4" if compress else None
        self.parts: list[StagedPart] = []
        self.rejected: list[StagedPart] = []
        self.reasons: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.seconds: str | None = None
        self._refused: list[pl.DataFrame] = []
        self._counts: list[pl.DataFrame] = []

    @property
    def holds_other_logs(self) -> bool:
        """Whether a conn log has rows of logs between its own that say more of its connections."""
        return self._original.format == ZeekConn.name and any(f"other_stream:{kind}" in self.skipped for kind in KINDS)

    def parse(self, reader: Reader, stream: BinaryIO, *, alone: bool = False) -> bool:
        """Write what a reader makes of a file; where that must tell everything alone, only as long as it does."""
        with scratch_in(self._folder):
            for batch in read_with(reader, stream, source=self._original.source_name):
                self.add(batch)
                if alone and self.holds_other_logs:
                    return False
        return True

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

    def finish(self, reader: Reader | None = None, joined: dict[str, list[str]] | None = None) -> Staged:
        """Write what is left, and how many rows each second has; return everything."""
        self._write_refused()
        if self._counts:
            path = self._folder / "seconds.arrow"
            _sum(self._counts).write_ipc(path, compression="uncompressed")
            self.seconds = str(path)
        return Staged(
            self._original.sha256,
            self._original.format,
            self._original.synthetic,
            tuple(self.parts),
            tuple(self.rejected),
            dict(self.reasons),
            dict(self.skipped),
            {} if reader is None else {name: str(dtype) for name, dtype in reader.native_columns.items()},
            {} if reader is None else dict(reader.shortcut_columns),
            self.seconds,
            joined or {},
        )

    def _write_rows(self, rows: pl.DataFrame) -> None:
        path = self._folder / f"rows-{len(self.parts):06}.arrow"
        _write_arrow(rows, path, self._compression)
        times = rows["ts"].to_physical().drop_nulls()
        if not times.is_empty():
            # of a log in order of time each second is one run, which is cheaper than to count what is anywhere
            runs = (times // _SECOND_US).rle().struct.unnest()
            counts = runs.select(second="value", len=pl.col("len").cast(pl.Int64))  # as `_sum` gives them
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
                *self._origin,
            )
        )

    def _write_refused(self) -> None:
        if not self._refused:
            return
        refused = pl.concat(self._refused)
        path = self._folder / f"rejected-{len(self.rejected):06}.parquet"
        refused.write_parquet(path, compression="lz4")
        self.rejected.append(StagedPart(str(path), refused.height, 0, None, None, *self._origin))
        self._refused = []


def read_refused(part: StagedPart) -> pl.DataFrame:
    """Return refused rows, with the columns of `REJECTED_SCHEMA`."""
    refused = pl.read_parquet(part.path).with_columns(raw_sha256=pl.lit(part.raw_sha256))
    return refused.select(list(REJECTED_SCHEMA))


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
