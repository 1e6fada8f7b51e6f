"""Originals parsed into Parquet parts on scratch: the form in which the transformation can look at them by time.

A staged part holds at most one batch of a reader, so that memory stays bounded however large an original is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from cybersec_mlops.connections import REJECTED_SCHEMA
from cybersec_mlops.ingestion.ingest import open_original
from cybersec_mlops.ingestion.mappings import reader_for
from cybersec_mlops.ingestion.originals import Original
from cybersec_mlops.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class StagedPart:
    """One Parquet file on scratch."""

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


def stage_original(original: Original, raw: ObjectStore, folder: Path, *, timezone: str = "UTC") -> Staged:
    """Parse one RAW original into Parquet parts in a folder of its own.

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
    reader = reader_for(original, raw, timezone=timezone)
    parts: list[StagedPart] = []
    rejected: list[StagedPart] = []
    reasons: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    with open_original(original, raw, folder) as stream:
        for number, batch in enumerate(reader.read(stream, source=original.source_name)):
            skipped.update(batch.skipped)
            if not batch.rows.is_empty():
                rows = batch.rows.with_columns(raw_sha256=pl.lit(original.sha256), format=pl.lit(original.format))
                parts.append(_write(rows, folder / f"rows-{number:06}.parquet"))
            if not batch.rejected.is_empty():
                reasons.update(dict(batch.rejected["reason"].value_counts().iter_rows()))
                bad = batch.rejected.with_columns(raw_sha256=pl.lit(original.sha256)).select(list(REJECTED_SCHEMA))
                rejected.append(_write(bad, folder / f"rejected-{number:06}.parquet"))
    return Staged(
        original.sha256,
        original.format,
        original.synthetic,
        tuple(parts),
        tuple(rejected),
        dict(reasons),
        dict(skipped),
        {name: str(dtype) for name, dtype in reader.native_columns.items()},
        dict(reader.shortcut_columns),
    )


def _write(rows: pl.DataFrame, path: Path) -> StagedPart:
    rows.write_parquet(path, compression="lz4", statistics=True)
    times = rows["ts"].dt.epoch("us") if "ts" in rows.columns else pl.Series(dtype=pl.Int64)
    first, last = times.min(), times.max()
    return StagedPart(
        str(path),
        rows.height,
        len(times) - times.null_count(),
        None if first is None else int(first),  # type: ignore[arg-type]
        None if last is None else int(last),  # type: ignore[arg-type]
    )


def staged_parts(staged: tuple[Staged, ...]) -> Iterator[StagedPart]:
    """Yield the parts of all originals in their order."""
    for one in staged:
        yield from one.parts
